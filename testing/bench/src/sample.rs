//! One measurement of one contender: a generator runs while the CPU of everybody is counted.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::generator::{Generator, Outcome};
use crate::machine;
use crate::stats::{self, Round};

/// Whose CPU time belongs to the server side of a contender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch {
    /// The server's process; `None` where the generator talks to PostgreSQL itself.
    pub(crate) server: Option<u32>,
    /// The postmaster.
    pub(crate) postgres: u32,
    /// What is made to run beside: not the server's, and not foreign either.
    pub(crate) beside: Option<u32>,
}

/// What one round showed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    /// CPU microseconds a request.
    pub(crate) server_us: f64,
    pub(crate) postgres_us: f64,
    pub(crate) generator_us: f64,
    /// Cores that the generator used, its own start included.
    pub(crate) generator_cores: f64,
    /// Cores that others used meanwhile.
    pub(crate) foreign_cores: f64,
    /// Answers that were no success, and broken connections.
    pub(crate) errors: u64,
    pub(crate) requests: u64,
}

impl Sample {
    /// CPU microseconds a request of server and PostgreSQL.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.server_us + self.postgres_us
    }

    /// CPU microseconds a request of everybody, the generator included.
    pub(crate) fn whole_us(&self) -> f64 {
        self.cpu_us() + self.generator_us
    }
}

/// Runs the generator once, and counts.
pub(crate) async fn take(generator: &Generator, watch: Watch, time: Duration) -> Result<Sample> {
    let before = Reading::of(watch);
    let began = Instant::now();
    let outcome = generator.run(time).await?;
    let wall = began.elapsed().as_secs_f64();
    Ok(Reading::of(watch).since(&before, &outcome, wall))
}

/// CPU seconds of everybody at one moment.
struct Reading {
    server: f64,
    postgres: f64,
    beside: f64,
    bench: f64,
    generators: f64,
    machine: f64,
}

impl Reading {
    fn of(watch: Watch) -> Self {
        // The server may be our child: it is counted by its own number, and only reaped generators by ours.
        let (bench, generators) = machine::cpu_of_self();
        Self {
            server: watch.server.map_or(0.0, machine::cpu_of_tree),
            postgres: machine::cpu_of_tree(watch.postgres),
            beside: watch.beside.map_or(0.0, machine::cpu_of_tree),
            bench,
            generators,
            machine: machine::cpu_of_machine(),
        }
    }

    fn since(&self, before: &Self, outcome: &Outcome, wall: f64) -> Sample {
        let each = |seconds: f64| seconds.max(0.0) * 1e6 / (outcome.requests.max(1) as f64);
        let server = self.server - before.server;
        let postgres = self.postgres - before.postgres;
        let generators = self.generators - before.generators;
        let ours =
            server + postgres + generators + (self.beside - before.beside) + (self.bench - before.bench);
        Sample {
            per_second: outcome.requests as f64 / outcome.seconds,
            p50_ms: outcome.p50_ms,
            p99_ms: outcome.p99_ms,
            server_us: each(server),
            postgres_us: each(postgres),
            generator_us: each(generators),
            generator_cores: generators / wall,
            foreign_cores: ((self.machine - before.machine - ours) / wall).max(0.0),
            errors: outcome.errors,
            requests: outcome.requests,
        }
    }
}

/// The median of one figure over samples, the calm ones where there are enough.
pub(crate) fn middle(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    let rounds: Vec<Round> =
        samples.iter().map(|s| Round { value: figure(s), foreign_cores: s.foreign_cores }).collect();
    stats::median(&stats::counted(&rounds).0)
}

/// Round by round, ours over theirs: rounds of the same number ran one after the other.
pub(crate) fn ratios(ours: &[Sample], theirs: &[Sample], figure: impl Fn(&Sample) -> f64) -> Vec<Round> {
    let pairs = ours.iter().zip(theirs);
    let ratio = |(a, b): (&Sample, &Sample)| Round {
        value: figure(a) / figure(b),
        foreign_cores: a.foreign_cores.max(b.foreign_cores),
    };
    pairs.map(ratio).collect()
}
