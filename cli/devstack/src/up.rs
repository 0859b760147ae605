//! `up`: from nothing to a running stack, and back when it is told to stop. Each step is a function of its own module;
//! here is their order, and that whatever was started is ended.

use std::collections::BTreeMap;
use std::time::Instant;

use time::OffsetDateTime;

use crate::board::Board;
use crate::build::Build;
use crate::database::{self, Database};
use crate::environment::{Environment, Secrets};
use crate::events::{Event, Events};
use crate::extras::Parts;
use crate::fleet::{self, Fleet};
use crate::known_servers;
use crate::logs;
use crate::options::UpOptions;
use crate::orphans;
use crate::plan::Plan;
use crate::process::Proc;
use crate::ready::Ready;
use crate::record::Record;
use crate::server::Server;
use crate::stack::Stack;
use crate::stop::Stop;
use crate::trouble::{Result, Trouble};
use crate::watch::Watch;

/// Everything that has to be ended again.
#[derive(Debug, Default)]
struct Running {
    server: Option<Server>,
    parts: Parts,
    fleet: Fleet,
}

/// Brings the stack up and supervises it until `stop` is wished; then ends all that it started, in reverse order.
///
/// # Errors
/// Whatever keeps the stack from starting; then nothing is left running. A service that crashes is no error:
/// it is told, and the others go on.
pub async fn up(stack: &Stack, options: &UpOptions, events: &Events, stop: &Stop) -> Result<()> {
    options.server.check()?;
    stack.require_writable()?;
    let _lock = stack.hold()?;
    let before = stack.record().ok().flatten();
    let board = Board::new(stack.clone(), first_record(stack, options), events.clone());
    let mut running = Running::default();
    let outcome = tokio::select! {
        outcome = supervise(stack, options, before, &board, stop, &mut running) => outcome,
        () = stop.gently.cancelled() => Err(Trouble::Interrupted),
        never = board.keep_written() => match never {},
    };
    if running.has_any() {
        events.say(Event::Stopping {});
    }
    let ended = tokio::select! {
        ended = running.end(stack) => ended,
        () = stop.now.cancelled() => {
            // Or they would start again what is killed here.
            running.parts.let_go().await;
            running.fleet.let_go().await;
            orphans::kill(stack).await
        }
    };
    stack.forget()?;
    events.say(Event::Stopped {});
    match (outcome, ended) {
        // What could not be ended is worth more than that somebody wished the end.
        (Ok(()) | Err(Trouble::Interrupted), Err(left)) => Err(left),
        (outcome, Ok(())) => outcome,
        (outcome, Err(left)) => {
            events.warn(format!("not everything could be ended: {left}"));
            outcome
        }
    }
}

impl Running {
    fn has_any(&self) -> bool {
        self.server.is_some() || !self.parts.is_empty()
    }

    async fn end(&mut self, stack: &Stack) -> Result<()> {
        self.fleet.end().await;
        let parts = self.parts.end(stack).await;
        // Commands, builds and servers that were interrupted on their way are known by their mark alone.
        let record = stack.record().ok().flatten();
        orphans::end_services(stack, record.as_ref()).await?;
        if let Some(server) = self.server.take() {
            server.stop().await?;
        }
        // One that was interrupted on its way, or that runs again as another process.
        orphans::end_servers(stack).await?;
        parts
    }
}

async fn supervise(
    stack: &Stack,
    options: &UpOptions,
    before: Option<Record>,
    board: &Board,
    stop: &Stop,
    running: &mut Running,
) -> Result<()> {
    let began = Instant::now();
    let left = orphans::end_services(stack, before.as_ref()).await?;
    if left > 0 {
        board.events().warn(format!("ended what an earlier run had left behind, processes: {left}"));
    }
    let server_before = before.and_then(|record| record.postgres?.proc);
    let plan = Plan::new(options.services.clone(), &options.replicas, options.ports)?;
    let build = Build {
        root: stack.root().to_owned(),
        packages: options.services.iter().map(|service| service.package.clone()).collect(),
        release: options.release,
        target_dir: options.target_dir.clone(),
        mark: stack.services(),
        colors: options.colors,
    };
    let watch = match options.watch {
        true => Some(Watch::new(stack, options, build.clone()).await?),
        false => None,
    };
    let (programs, databases) = tokio::try_join!(
        build.run(board.events()),
        prepare(stack, options, &plan, board, server_before, running)
    )?;
    let secrets = Secrets::make(stack, &plan)?;
    let environment = Environment { plan: &plan, secrets, parts: running.parts.variables() };
    let logs = logs::folder(stack)?;
    let ready = Ready { stack, options, plan: &plan, programs, databases, environment, logs };
    ready.run_tasks(board, running.server.as_ref()).await?;
    ready.start(board, stop, &mut running.fleet);
    let not_ready = fleet::settled(board).await;
    if not_ready.is_empty() {
        board.change(|record| record.ready = true);
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        board.events().say(Event::Ready { record: Box::new(board.read()), took_ms });
    } else {
        board.events().say(Event::NotReady { services: not_ready });
    }
    if let Some(watch) = watch {
        return watch.run(&ready, board, &running.fleet).await;
    }
    std::future::pending().await
}

/// The database server, the databases, and what `--with` asked for.
async fn prepare(
    stack: &Stack,
    options: &UpOptions,
    plan: &Plan,
    board: &Board,
    server_before: Option<Proc>,
    running: &mut Running,
) -> Result<BTreeMap<String, Database>> {
    let server = Server::start(stack, &options.server, board.events()).await?;
    let record = server.record().clone();
    orphans::end_replaced(server_before, record.proc).await?;
    board.change(|known| {
        known.postgres = Some(record);
    });
    known_servers::note(stack, server.record())?;
    if let Some(tended) = server.tended() {
        running.parts.tend(tended, board, options.patience);
    }
    running.server = Some(server.clone());
    running.parts.start(stack, options, plan, board).await?;
    let mut databases = BTreeMap::new();
    for planned in &plan.services {
        if let Some(name) = &planned.spec.database {
            databases.insert(planned.spec.name.clone(), database::ensure(&server, stack, name).await?);
        }
    }
    Ok(databases)
}

pub(crate) fn first_record(stack: &Stack, options: &UpOptions) -> Record {
    Record {
        stack: stack.name().to_owned(),
        id: stack.id().to_owned(),
        root: stack.root().to_owned(),
        // This process lives, so it is found.
        supervisor: Proc::of(std::process::id()).unwrap_or(Proc { pid: std::process::id(), started: 0 }),
        command: options.command.clone(),
        since: OffsetDateTime::now_utc(),
        ready: false,
        postgres: None,
        parts: Vec::new(),
        services: Vec::new(),
        accounts: None,
    }
}
