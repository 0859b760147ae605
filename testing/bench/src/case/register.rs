//! A registration: one hash, and one transaction with the account and its mail.

use anyhow::Result;

use super::Bench;
use super::log_in::CONNECTIONS;
use crate::result::{Case, Role};

pub(super) async fn run(bench: &Bench<'_>) -> Result<Case> {
    let requests = bench.world.registrations("register.requests", "/auth/register")?;
    let ours = bench.contender(Role::Ours, &bench.ours, bench.wrk(&bench.ours, requests, CONNECTIONS));
    let bare = bench.world.log_ins("hash.requests", "/hash")?;
    let limit = bench.contender(Role::Limit, &bench.limit, bench.wrk(&bench.limit, bare, CONNECTIONS));
    let rows = bench.take_turns(&[ours, limit.named("bare hash")]).await?;
    Ok(Case { id: "register", title: "Register", rows, figures: vec![], verdicts: vec![], invalid: None })
}
