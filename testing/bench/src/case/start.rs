//! From the start of the process to the first 200 of `/readyz`, PostgreSQL running; the peers to their first answer.

use anyhow::Result;

use super::Bench;
use crate::machine;
use crate::result::{Case, Figure, Role, Verdict};

const TARGET_MS: f64 = 100.0;
/// Java needs seconds for each.
const PEER_STARTS: usize = 3;

pub(super) async fn run(bench: &Bench<'_>) -> Result<Case> {
    let mut ours = figure(bench.ours.name, Role::Ours);
    for _ in 0..bench.plan.starts {
        machine::wait_for_calm(bench.plan.patience).await;
        let server = bench.service.start().await?;
        ours.values.push(server.ready_after.as_secs_f64() * 1e3);
        server.stop().await?;
    }
    let mut figures = vec![ours];
    for peer in bench.peers.keys() {
        let mut theirs = figure(peer.name(), Role::Peer);
        for _ in 0..PEER_STARTS {
            let server = peer.start(bench.world).await?;
            theirs.values.push(server.ready_after.as_secs_f64() * 1e3);
            server.stop().await?;
        }
        figures.push(theirs);
    }
    let verdicts = vec![Verdict::of_figure("start to ready", &figures[0], TARGET_MS)];
    Ok(Case { id: "start", title: "Start to ready", rows: vec![], figures, verdicts, invalid: None })
}

fn figure(name: &str, role: Role) -> Figure {
    Figure { name: name.to_owned(), role, unit: "ms", values: Vec::new() }
}
