//! Resident memory of a fresh instance: idle, and once more idle after reads and log-ins.

use std::time::Duration;

use anyhow::Result;

use super::me::{PATH, TOKENS};
use super::{Bench, log_in};
use crate::machine::{self, Memory};
use crate::result::{Case, Figure, Role, Verdict};
use crate::server::Server;

const TARGET_MB: f64 = 30.0;

pub(super) async fn run(bench: &Bench<'_>) -> Result<Case> {
    let world = bench.world;
    let fresh = bench.service.start().await?;
    let idle = settled(bench, &fresh).await?;
    let reads = world.signed_requests("memory.requests", PATH, &bench.tokens, TOKENS)?;
    let log_ins = world.log_ins("memory-log-in.requests", log_in::PATH)?;
    let time = Duration::from_secs(bench.plan.seconds);
    bench.wrk(&fresh, reads, 64).run(time).await?;
    bench.wrk(&fresh, log_ins, log_in::CONNECTIONS).run(time).await?;
    let after = settled(bench, &fresh).await?;
    fresh.stop().await?;

    let mut figures = vec![
        figure("user-management idle, resident", Role::Ours, idle.rss_kb),
        figure("user-management idle, proportional", Role::Ours, idle.pss_kb),
        figure("user-management after load, resident", Role::Ours, after.rss_kb),
        figure("user-management after load, proportional", Role::Ours, after.pss_kb),
    ];
    for peer in bench.peers.keys() {
        let server = peer.start(world).await?;
        let Memory { rss_kb, .. } = settled(bench, &server).await?;
        figures.push(figure(&format!("{} idle, resident", peer.name()), Role::Peer, rss_kb));
        server.stop().await?;
    }
    let verdicts = vec![Verdict::of_figure("idle memory", &figures[0], TARGET_MB)];
    Ok(Case { id: "memory", title: "Memory", rows: vec![], figures, verdicts, invalid: None })
}

async fn settled(bench: &Bench<'_>, server: &Server) -> Result<Memory> {
    tokio::time::sleep(bench.plan.settle).await;
    machine::memory_of_tree(server.pid)
}

fn figure(name: &str, role: Role, kb: u64) -> Figure {
    Figure { name: name.to_owned(), role, unit: "MB", values: vec![kb as f64 * 1024.0 / 1e6] }
}
