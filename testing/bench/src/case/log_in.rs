//! A log-in with the right password, beside the bare hash on as many threads behind the same generator, and the peers.

use anyhow::Result;

use super::Bench;
use crate::result::{Case, Role, Verdict};

/// Few: each waits for a hash, and a longer queue would only be a longer wait.
pub(super) const CONNECTIONS: usize = 16;
pub(super) const PATH: &str = "/auth/login";

pub(super) async fn run(bench: &Bench<'_>) -> Result<Case> {
    let ours = bench.world.log_ins("log-in.requests", PATH)?;
    let bare = bench.world.log_ins("hash.requests", "/hash")?;
    let peer = bench.world.log_ins("peer-log-in.requests", "/login")?;
    let mut contenders = vec![
        bench.contender(Role::Ours, &bench.ours, bench.wrk(&bench.ours, ours, CONNECTIONS)),
        bench
            .contender(Role::Limit, &bench.limit, bench.wrk(&bench.limit, bare, CONNECTIONS))
            .named("bare hash"),
    ];
    for server in bench.peers.values() {
        contenders.push(bench.contender(Role::Peer, server, bench.wrk(server, peer.clone(), CONNECTIONS)));
    }
    let rows = bench.take_turns(&contenders).await?;
    let mut verdicts =
        vec![Verdict::of_throughput("log in / bare hash on as many threads", &rows[0], &rows[1], 0.80)];
    for peer in &rows[2..] {
        verdicts.push(Verdict::of_throughput(&format!("log in / {}", peer.name), &rows[0], peer, 1.0));
    }
    Ok(Case { id: "log-in", title: "Log in", rows, figures: vec![], verdicts, invalid: None })
}
