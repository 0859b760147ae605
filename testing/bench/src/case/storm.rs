//! `GET /users/me` in a storm of log-ins, beside the same reads next to as many threads that only compute: whether
//! hashing takes more from a read than its share of the processor.

use anyhow::Result;

use super::me::{PATH, TOKENS};
use super::{Bench, Beside, log_in};
use crate::machine;
use crate::result::{Case, Role, Verdict};

/// Few enough not to queue by themselves.
const CONNECTIONS: usize = 16;

pub(super) async fn run(bench: &Bench<'_>) -> Result<Case> {
    let reads = bench.world.signed_requests("storm.requests", PATH, &bench.tokens, TOKENS)?;
    let log_ins = bench.world.log_ins("storm-log-in.requests", log_in::PATH)?;
    let storm = Beside::Load(bench.wrk(&bench.ours, log_ins, log_in::CONNECTIONS));
    let contender =
        || bench.contender(Role::Ours, &bench.ours, bench.wrk(&bench.ours, reads.clone(), CONNECTIONS));
    let in_storm = contender().named("in a log-in storm").beside(storm);
    let busy = contender().named("beside busy threads").beside(Beside::Busy(machine::cores()));
    let rows = bench.take_turns(&[in_storm, busy, contender().named("alone")]).await?;
    let verdicts =
        vec![Verdict::of_p99("p99 in a log-in storm / beside as many busy threads", &rows[0], &rows[1], 3.0)];
    Ok(Case {
        id: "storm",
        title: "GET /users/me in a log-in storm",
        rows,
        figures: vec![],
        verdicts,
        invalid: None,
    })
}
