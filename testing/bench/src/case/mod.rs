//! The cases, one file each: who is measured, by which load, and what has to come out. This one holds what they
//! share: contenders that take turns.

mod dev_up;
mod log_in;
mod me;
mod memory;
mod register;
mod size;
mod start;
mod statics;
mod storm;
mod token;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use crate::generator::{Generator, WRK_SCRIPT};
use crate::machine;
use crate::ours::{Service, Tokens};
use crate::peers::Peer;
use crate::result::{Case, Role, Row};
use crate::sample::{self, Sample, Watch};
use crate::server::Server;
use crate::ui::Ui;
use crate::world::World;

/// What runs beside a measurement starts so much earlier.
const HEAD_START: Duration = Duration::from_secs(1);

/// A case by its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Name {
    /// A constant: what the HTTP side can do at best
    Static,
    /// GET /users/me beside pgbench with the same statement, and the peers' point read
    Me,
    /// A log-in beside the bare hash on as many threads, and the peers'
    LogIn,
    /// A registration
    Register,
    /// What checking a token costs that was seen before, and one that was not
    Token,
    /// From the start of the process to ready
    Start,
    /// Memory, idle and after load
    Memory,
    /// Size of the program
    Size,
    /// GET /users/me while others log in
    Storm,
    /// From `shopctl dev up` to everything ready, after the build
    DevUp,
}

/// How long and how often is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    /// Only whether the harness works.
    pub(crate) quick: bool,
    /// Starts that are timed.
    pub(crate) starts: usize,
    /// Seconds that everybody runs before the first round; a virtual machine compiles meanwhile.
    pub(crate) warm_up: u64,
    /// How long a round waits for others to leave the machine alone.
    pub(crate) patience: Duration,
    /// After this long an idle service has given back the memory that it gives back.
    pub(crate) settle: Duration,
}

/// Everything that a case may use.
pub(crate) struct Bench<'a> {
    pub(crate) world: &'a World,
    pub(crate) service: &'a Service,
    pub(crate) tokens: Tokens,
    /// Running all the time.
    pub(crate) ours: Server,
    pub(crate) limit: Server,
    pub(crate) peers: BTreeMap<Peer, Server>,
    pub(crate) plan: Plan,
    pub(crate) ui: Ui,
    wrk_script: PathBuf,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(
        world: &'a World,
        service: &'a Service,
        servers: (Server, Server, BTreeMap<Peer, Server>),
        plan: Plan,
        ui: Ui,
    ) -> Result<Self> {
        let (ours, limit, peers) = servers;
        let wrk_script = world.file("requests.lua", WRK_SCRIPT)?;
        Ok(Self { world, service, tokens: service.tokens()?, ours, limit, peers, plan, ui, wrk_script })
    }

    /// Ends every server.
    pub(crate) async fn stop(self) -> Result<()> {
        for server in self.peers.into_values().chain([self.ours, self.limit]) {
            server.stop().await?;
        }
        Ok(())
    }

    /// Runs one case.
    pub(crate) async fn run(&self, name: Name) -> Result<Case> {
        let mut case = match name {
            Name::Static => statics::run(self).await?,
            Name::Me => me::run(self).await?,
            Name::LogIn => log_in::run(self).await?,
            Name::Register => register::run(self).await?,
            Name::Token => token::run(self).await?,
            Name::Start => start::run(self).await?,
            Name::Memory => memory::run(self).await?,
            Name::Size => size::run(self)?,
            Name::Storm => storm::run(self).await?,
            Name::DevUp => dev_up::run(self).await?,
        };
        case.invalid = case.rows.iter().find_map(flaw);
        Ok(case)
    }

    /// `wrk` over some connections, sending a file's requests to a server.
    pub(crate) fn wrk(&self, server: &Server, requests: PathBuf, connections: usize) -> Generator {
        let pin = self.world.layout.generators();
        Generator::Wrk { url: server.url(), script: self.wrk_script.clone(), requests, connections, pin }
    }

    /// A contender whose server answers `wrk`.
    pub(crate) fn contender(&self, role: Role, server: &Server, generator: Generator) -> Contender {
        let watch =
            Watch { server: Some(server.pid), postgres: self.world.postgres.proc().pid, beside: None };
        Contender { name: server.name.to_owned(), role, generator, watch, beside: Beside::Nothing }
    }

    /// Warms all contenders up, then lets them take turns for as many rounds as planned.
    pub(crate) async fn take_turns(&self, contenders: &[Contender]) -> Result<Vec<Row>> {
        let time = Duration::from_secs(self.plan.seconds);
        if self.plan.warm_up > 0 {
            for contender in contenders {
                contender.generator.run(Duration::from_secs(self.plan.warm_up)).await?;
            }
        }
        let row = |c: &Contender| Row { name: c.name.clone(), role: c.role, rounds: Vec::new() };
        let mut rows: Vec<Row> = contenders.iter().map(row).collect();
        for round in 1..=self.plan.rounds {
            for (contender, row) in contenders.iter().zip(&mut rows) {
                machine::wait_for_calm(self.plan.patience).await;
                let sample = contender.measure(time).await?;
                self.ui.says(&format!(
                    "round {round}: {} {:.0}/s, p99 {:.1} ms, CPU {:.1} + {:.1} + {:.1} us, {:.2} cores foreign, {} errors",
                    contender.name, sample.per_second, sample.p99_ms.unwrap_or(f64::NAN), sample.server_us,
                    sample.postgres_us, sample.generator_us, sample.foreign_cores, sample.errors,
                ));
                row.rounds.push(sample);
            }
        }
        Ok(rows)
    }
}

/// One of those who take turns.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) generator: Generator,
    pub(crate) watch: Watch,
    pub(crate) beside: Beside,
}

/// What else runs meanwhile.
pub(crate) enum Beside {
    Nothing,
    /// Another load.
    Load(Generator),
    /// So many threads that only compute.
    Busy(usize),
}

impl Contender {
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    pub(crate) fn beside(mut self, beside: Beside) -> Self {
        self.beside = beside;
        self
    }

    async fn measure(&self, time: Duration) -> Result<Sample> {
        match &self.beside {
            Beside::Nothing => sample::take(&self.generator, self.watch, time).await,
            // It starts a little earlier and ends a little later than what is measured.
            Beside::Load(generator) => {
                let load = generator.start(time + 2 * HEAD_START)?;
                tokio::time::sleep(HEAD_START).await;
                let watch = Watch { beside: load.pid(), ..self.watch };
                let mut sample = sample::take(&self.generator, watch, time).await?;
                sample.errors += load.outcome().await?.errors;
                Ok(sample)
            }
            Beside::Busy(threads) => {
                let mut command = tokio::process::Command::new(std::env::current_exe()?);
                command.args(["limit", "spin", "--threads", &threads.to_string()]).kill_on_drop(true);
                let mut busy = command.spawn()?;
                tokio::time::sleep(HEAD_START).await;
                let watch = Watch { beside: busy.id(), ..self.watch };
                let sample = sample::take(&self.generator, watch, time).await;
                busy.kill().await?;
                sample
            }
        }
    }
}

/// Why a row's numbers must not be used.
fn flaw(row: &Row) -> Option<String> {
    let errors: u64 = row.rounds.iter().map(|sample| sample.errors).sum();
    if errors > 0 {
        return Some(format!("{}: {errors} answers were no success", row.name));
    }
    if row.rounds.iter().any(|sample| sample.requests == 0) {
        return Some(format!("{}: a round without a single answer", row.name));
    }
    // One thread of wrk is at its end near one core; pgbench has two threads and is no server's generator.
    let cores = row.middle(|sample| sample.generator_cores);
    (row.role != Role::Limit && cores > 0.97)
        .then(|| format!("{}: the generator was saturated ({cores:.2} cores)", row.name))
}
