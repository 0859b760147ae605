//! What a token costs: the same read with tokens that were verified before, and with tokens never seen.

use anyhow::Result;

use super::Bench;
use super::me::{PATH, TOKENS};
use crate::result::{Case, Role};

const CONNECTIONS: usize = 64;
/// Five times what the service remembers of tokens, so that one is forgotten before its turn comes again.
const UNSEEN: u32 = 100_000;
/// Enough for a second of a slow build.
const UNSEEN_QUICK: u32 = 5_000;

pub(super) async fn run(bench: &Bench<'_>) -> Result<Case> {
    let world = bench.world;
    let seen = world.signed_requests("seen.requests", PATH, &bench.tokens, TOKENS)?;
    let unseen = if bench.plan.quick { UNSEEN_QUICK } else { UNSEEN };
    let unseen = world.signed_requests("unseen.requests", PATH, &bench.tokens, unseen)?;
    let hit = bench.contender(Role::Ours, &bench.ours, bench.wrk(&bench.ours, seen, CONNECTIONS));
    let miss = bench.contender(Role::Ours, &bench.ours, bench.wrk(&bench.ours, unseen, CONNECTIONS));
    let rows = bench.take_turns(&[hit.named("token seen before"), miss.named("token never seen")]).await?;
    Ok(Case {
        id: "token",
        title: "Token check (GET /users/me)",
        rows,
        figures: vec![],
        verdicts: vec![],
        invalid: None,
    })
}
