//! What a run found, as it is printed, written as JSON and drawn. Pure.

use serde::Serialize;

use crate::machine::Machine;
use crate::sample::{self, Sample};
use crate::stats::{self, Answer, Bound, Round};

/// What a row is to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Ours,
    /// What the same machine can do at best.
    Limit,
    Peer,
}

/// One contender of a case under load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) rounds: Vec<Sample>,
}

impl Row {
    /// The median of a figure over the rounds that count.
    pub(crate) fn middle(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        sample::middle(&self.rounds, figure)
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.middle(|s| s.per_second)
    }

    pub(crate) fn p99_ms(&self) -> Option<f64> {
        let p99 = self.middle(|s| s.p99_ms.unwrap_or(f64::NAN));
        (!p99.is_nan()).then_some(p99)
    }
}

/// One figure that is no load: milliseconds, megabytes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) unit: &'static str,
    pub(crate) values: Vec<f64>,
}

impl Figure {
    pub(crate) fn middle(&self) -> f64 {
        stats::median(&self.values)
    }
}

/// A target and what the rounds say about it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) bound: Bound,
    pub(crate) target: f64,
    /// `x` for a ratio.
    pub(crate) unit: &'static str,
    pub(crate) seen: f64,
    /// The same by CPU for an answer: what neighbours disturb least.
    pub(crate) by_cpu: Option<f64>,
    pub(crate) answer: Answer,
}

impl Verdict {
    /// Ours over theirs, in answers a second.
    pub(crate) fn of_throughput(what: &str, ours: &Row, theirs: &Row, target: f64) -> Self {
        let rounds = sample::ratios(&ours.rounds, &theirs.rounds, |s| s.per_second);
        // pgbench is client and generator in one: beside it everybody's CPU counts, beside a server that of servers.
        let serves = theirs.rounds.iter().any(|sample| sample.server_us > 0.0);
        let by_cpu = sample::ratios(
            &theirs.rounds,
            &ours.rounds,
            if serves { Sample::cpu_us } else { Sample::whole_us },
        );
        let by_cpu = stats::median(&by_cpu.iter().map(|round| round.value).collect::<Vec<_>>());
        Self { by_cpu: Some(by_cpu), ..Self::of(what, &rounds, Bound::AtLeast, target, "x") }
    }

    /// Ours over theirs, in the 99th percentile.
    pub(crate) fn of_p99(what: &str, ours: &Row, theirs: &Row, target: f64) -> Self {
        let rounds = sample::ratios(&ours.rounds, &theirs.rounds, |s| s.p99_ms.unwrap_or(f64::NAN));
        Self::of(what, &rounds, Bound::AtMost, target, "x")
    }

    /// A figure against its ceiling. No round of it counts as disturbed: what a busy machine makes worse and is met
    /// all the same, is met.
    pub(crate) fn of_figure(what: &str, figure: &Figure, target: f64) -> Self {
        let round = |value: &f64| Round { value: *value, foreign_cores: 0.0 };
        let rounds: Vec<Round> = figure.values.iter().map(round).collect();
        Self::of(what, &rounds, Bound::AtMost, target, figure.unit)
    }

    fn of(what: &str, rounds: &[Round], bound: Bound, target: f64, unit: &'static str) -> Self {
        let (seen, answer) = stats::judge(rounds, bound, target);
        Self { what: what.to_owned(), bound, target, unit, seen, by_cpu: None, answer }
    }
}

/// One case.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Case {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) rows: Vec<Row>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) verdicts: Vec<Verdict>,
    /// Why the numbers must not be used, if so.
    pub(crate) invalid: Option<String>,
}

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    /// RFC 3339, UTC.
    pub(crate) at: String,
    pub(crate) version: &'static str,
    pub(crate) machine: Machine,
    pub(crate) postgres: String,
    pub(crate) settings: Settings,
    pub(crate) cases: Vec<Case>,
}

/// How the run was made.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) users: u32,
    pub(crate) layout: crate::pin::Layout,
    pub(crate) socket: bool,
    pub(crate) profile: String,
}

impl Run {
    /// Every target of every valid case.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.cases.iter().filter(|case| case.invalid.is_none()).flat_map(|case| &case.verdicts)
    }
}
