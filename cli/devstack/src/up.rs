//! `up`: from nothing to a running stack, and back when it is told to stop. Each step is a function of its own module;
//! here is their order, and that whatever was started is ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use time::OffsetDateTime;

use crate::board::Board;
use crate::build::{Build, Programs};
use crate::database::{self, Database};
use crate::docker;
use crate::environment::{Environment, Secrets};
use crate::events::{Event, Events};
use crate::extras::{Extra, Parts};
use crate::fleet::{self, Fleet};
use crate::logs;
use crate::orphans;
use crate::plan::{Place, Plan, Planned, Ports, ServiceSpec};
use crate::process::Proc;
use crate::record::{Record, ReplicaRecord, ReplicaState, ServiceRecord};
use crate::replica::{Patience, ReplicaSpec};
use crate::seed;
use crate::server::{Server, ServerSpec};
use crate::stack::Stack;
use crate::stop::Stop;
use crate::task::Task;
use crate::trouble::{Result, Trouble};
use crate::watch::{Stamps, Watch};

/// What `up` was asked for.
#[derive(Debug, Clone, Default)]
pub struct UpOptions {
    pub services: Vec<ServiceSpec>,
    pub server: ServerSpec,
    /// How many of each service; one where nothing is said.
    pub replicas: BTreeMap<String, u32>,
    pub ports: Ports,
    pub with: Vec<Extra>,
    /// The folder of an Elasticsearch that is unpacked here.
    pub elasticsearch_home: Option<PathBuf>,
    pub release: bool,
    /// Rebuild and restart on a change.
    pub watch: bool,
    /// Whether a fresh database gets its first data.
    pub seed: bool,
    pub patience: Patience,
    /// Whether the compiler's words have colours.
    pub colors: bool,
    /// How the command was called, for `status` and for whoever finds the stack in use.
    pub command: String,
}

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
    let _lock = stack.hold()?;
    let before = stack.record().ok().flatten();
    let board = Board::new(stack.clone(), first_record(stack, options), events.clone());
    let mut running = Running::default();
    let outcome = tokio::select! {
        outcome = supervise(stack, options, before, &board, stop, &mut running) => outcome,
        () = stop.gently.cancelled() => Err(Trouble::Interrupted),
    };
    if running.has_any() {
        events.say(Event::Stopping {});
    }
    let ended = tokio::select! {
        ended = running.end(stack) => ended,
        () = stop.now.cancelled() => orphans::kill(stack).await,
    };
    stack.forget()?;
    events.say(Event::Stopped {});
    outcome.and(ended)
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
        match self.server.take() {
            Some(server) => server.stop().await?,
            None => {
                orphans::end_servers(stack).await?;
            }
        }
        docker::end_all(stack).await?;
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
        board.events().warn(format!("ended {left} processes that an earlier run had left behind"));
    }
    let server_before = before.and_then(|record| record.postgres?.proc);
    let plan = Plan::new(options.services.clone(), &options.replicas, options.ports)?;
    let build = Build {
        root: stack.root().to_owned(),
        packages: options.services.iter().map(|service| service.package.clone()).collect(),
        release: options.release,
        mark: stack.services(),
        colors: options.colors,
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
    if options.watch {
        return Watch::new(stack, options, build).await?.run(&ready, board, &running.fleet).await;
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
    stack.note_server(server.record())?;
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

fn first_record(stack: &Stack, options: &UpOptions) -> Record {
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

/// All that is needed to start services, and to start them again after a build.
pub(crate) struct Ready<'a> {
    stack: &'a Stack,
    options: &'a UpOptions,
    plan: &'a Plan,
    programs: Programs,
    databases: BTreeMap<String, Database>,
    environment: Environment<'a>,
    /// The folder of the logs.
    logs: PathBuf,
}

impl Ready<'_> {
    /// Keys, schemas and first data, one service after the other.
    async fn run_tasks(&self, board: &Board, server: Option<&Server>) -> Result<()> {
        for planned in &self.plan.services {
            let name = &planned.spec.name;
            let keys = planned.spec.signing_keys().map(|keys| self.environment.secrets.path(keys));
            if let Some(keys) = keys.filter(|keys| !keys.exists()) {
                let step = board.events().step("keys", format!("{name} keys init"));
                let folder = keys.display().to_string();
                self.task(planned, &["keys", "init", "--dir", &folder], Kind::Plain).await?;
                step.done(folder);
            }
            let (Some(database), Some(server)) = (self.databases.get(name), server) else { continue };
            self.migrate(planned, board).await?;
            if self.options.seed && !database.seeded {
                let step = board.events().step("seed", name);
                let said = self.task(planned, &["seed"], Kind::Plain).await?;
                seed::note_accounts(self.stack, &said)?;
                database::note_seeded(server, self.stack, &database.name).await?;
                step.done(name);
            }
        }
        let accounts = seed::accounts(self.stack, &self.environment.secrets)?;
        board.change(|record| record.accounts = accounts);
        Ok(())
    }

    /// Brings the schema of a service to what its executable wants.
    pub(crate) async fn migrate(&self, planned: &Planned, board: &Board) -> Result<()> {
        if planned.spec.database.is_none() {
            return Ok(());
        }
        let step = board.events().step("migrate", &planned.spec.name);
        self.task(planned, &["migrate"], Kind::Migrate).await?;
        step.done(&planned.spec.name);
        Ok(())
    }

    async fn task(&self, planned: &Planned, arguments: &[&str], kind: Kind) -> Result<Vec<String>> {
        let service = planned.spec.name.as_str();
        let database = self.databases.get(service);
        let environment = match kind {
            Kind::Migrate => self.environment.migrate(planned, database),
            Kind::Plain => self.environment.command(planned, database),
        };
        let task = Task {
            service,
            program: self.program(planned),
            arguments,
            environment: &environment,
            folder: self.stack.root(),
            mark: self.stack.services(),
            log: self.logs.join(format!("{service}-commands.log")),
        };
        task.run().await
    }

    fn start(&self, board: &Board, stop: &Stop, fleet: &mut Fleet) {
        board.change(|record| {
            record.services = self.plan.services.iter().map(|one| self.record(one)).collect();
        });
        for planned in &self.plan.services {
            let replicas = planned.replicas.iter().map(|place| self.replica(planned, place)).collect();
            let program = self.program(planned).to_owned();
            fleet.start(board, &planned.spec.name, program, replicas, stop);
        }
    }

    fn replica(&self, planned: &Planned, place: &Place) -> ReplicaSpec {
        let database = self.databases.get(&planned.spec.name);
        ReplicaSpec {
            service: planned.spec.name.clone(),
            index: place.index,
            admin: place.admin,
            depends_on: planned.spec.depends_on.clone(),
            environment: self.environment.serve(planned, place, database),
            folder: self.stack.root().to_owned(),
            mark: self.stack.services(),
            log: self.log(planned, place),
            patience: self.options.patience,
        }
    }

    fn log(&self, planned: &Planned, place: &Place) -> PathBuf {
        self.logs.join(format!("{}-{}.log", planned.spec.name, place.index))
    }

    fn record(&self, planned: &Planned) -> ServiceRecord {
        let replica = |place: &Place| ReplicaRecord {
            index: place.index,
            url: format!("http://{}", place.public),
            admin: format!("http://{}", place.admin),
            state: ReplicaState::Waiting,
            proc: None,
            since: OffsetDateTime::now_utc(),
            restarts: 0,
            last_exit: None,
            log: self.log(planned, place),
        };
        ServiceRecord {
            name: planned.spec.name.clone(),
            program: self.program(planned).to_owned(),
            database: planned.spec.database.clone(),
            environment: self
                .environment
                .command(planned, self.databases.get(&planned.spec.name))
                .into_iter()
                .collect(),
            replicas: planned.replicas.iter().map(replica).collect(),
        }
    }

    /// The services that run one of these packages.
    pub(crate) fn of_packages<'b>(
        &'b self,
        packages: &'b BTreeSet<String>,
    ) -> impl Iterator<Item = &'b Planned> {
        self.plan.services.iter().filter(|planned| packages.contains(&planned.spec.package))
    }

    /// When the executables of these packages were last written.
    pub(crate) fn stamps(&self, packages: &BTreeSet<String>) -> Stamps {
        let programs = self.of_packages(packages).map(|planned| self.program(planned));
        programs.map(|program| std::fs::metadata(program).and_then(|meta| meta.modified()).ok()).collect()
    }

    /// The executable of a service.
    pub(crate) fn program(&self, planned: &Planned) -> &Path {
        // The build has answered with one for each package of the plan, or failed.
        self.programs.get(&planned.spec.package).map_or(Path::new(""), PathBuf::as_path)
    }
}

enum Kind {
    Plain,
    Migrate,
}
