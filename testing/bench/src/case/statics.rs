//! A constant: the bare axum server, our whole stack (request id, metrics, limits, log) around the key set, and the
//! peers' health answer. No database.

use anyhow::Result;

use super::Bench;
use crate::result::{Case, Role};

const CONNECTIONS: usize = 64;

pub(super) async fn run(bench: &Bench<'_>) -> Result<Case> {
    let file = |name: &str, path: &str| bench.world.unsigned_requests(name, path);
    let ours = file("keys.requests", "/.well-known/jwks.json")?;
    let limit = file("static.requests", "/static")?;
    let peer = file("health.requests", "/healthz")?;
    let mut contenders = vec![
        bench.contender(Role::Ours, &bench.ours, bench.wrk(&bench.ours, ours, CONNECTIONS)),
        bench
            .contender(Role::Limit, &bench.limit, bench.wrk(&bench.limit, limit, CONNECTIONS))
            .named("bare axum"),
    ];
    for server in bench.peers.values() {
        contenders.push(bench.contender(Role::Peer, server, bench.wrk(server, peer.clone(), CONNECTIONS)));
    }
    let rows = bench.take_turns(&contenders).await?;
    Ok(Case {
        id: "static",
        title: "Constant answer",
        rows,
        figures: vec![],
        verdicts: vec![],
        invalid: None,
    })
}
