//! `GET /users/me`: token, session and account checked and read in one statement, beside the same statement in
//! `pgbench` and the peers' point read of an account, which checks neither token nor session.

use anyhow::Result;
use user_management::db::profile::BY_SESSION;

use super::{Bench, Contender};
use crate::generator::Generator;
use crate::result::{Case, Role, Verdict};
use crate::sample::Watch;
use crate::world::OURS;

pub(super) const PATH: &str = "/users/me";
const CONNECTIONS: usize = 64;
/// Where pgbench is at its best on two cores.
const PGBENCH_CLIENTS: usize = 16;
/// More than the service remembers of verified tokens would be another case.
pub(super) const TOKENS: u32 = 10_000;

pub(super) async fn run(bench: &Bench<'_>) -> Result<Case> {
    let requests = bench.world.signed_requests("me.requests", PATH, &bench.tokens, TOKENS)?;
    let mut contenders = vec![
        bench.contender(Role::Ours, &bench.ours, bench.wrk(&bench.ours, requests, CONNECTIONS)),
        pgbench(bench)?,
    ];
    let reads = bench.world.point_reads("point.requests")?;
    for server in bench.peers.values() {
        contenders.push(bench.contender(Role::Peer, server, bench.wrk(server, reads.clone(), CONNECTIONS)));
    }
    let rows = bench.take_turns(&contenders).await?;
    let ours = &rows[0];
    let mut verdicts =
        vec![Verdict::of_throughput("GET /users/me / pgbench, same statement", ours, &rows[1], 0.60)];
    for peer in &rows[2..] {
        let target = if peer.name == "Gin" { 1.1 } else { 1.0 };
        verdicts.push(Verdict::of_throughput(
            &format!("GET /users/me / {} point read", peer.name),
            ours,
            peer,
            target,
        ));
        verdicts.push(Verdict::of_p99(&format!("p99 of GET /users/me / {}", peer.name), ours, peer, 1.0));
    }
    Ok(Case { id: "me", title: "GET /users/me", rows, figures: vec![], verdicts, invalid: None })
}

/// The service's own statement. A new session id is drawn every hundredth time: pgbench's variables hold numbers only,
/// so an id has to come from the database, and one per cent of another tiny read changes nothing.
fn pgbench(bench: &Bench<'_>) -> Result<Contender> {
    let statement = BY_SESSION.replace("$1", ":session");
    let sessions = bench.world.size.sessions;
    let script = format!(
        "\\set n random(1, {sessions})\n\\set again random(1, 100)\n\\if :fresh = 1 or :again = 1\n\
         SELECT session FROM bench.drawn WHERE n = :n \\gset\n\\set fresh 0\n\\endif\n{statement};\n"
    );
    let world = bench.world;
    let generator = Generator::Pgbench {
        program: world.pgbench.clone(),
        url: world.url(OURS),
        password: world.password().to_owned(),
        script: world.file("me.pgbench", &script)?,
        clients: PGBENCH_CLIENTS,
        pin: world.layout.servers(),
    };
    let watch = Watch { server: None, postgres: world.postgres.proc().pid, beside: None };
    let beside = super::Beside::Nothing;
    Ok(Contender { name: "pgbench".to_owned(), role: Role::Limit, generator, watch, beside })
}
