//! What is built and prepared, and starting services from it: first their commands in order, then their replicas.
//! Builds nothing and ends nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use time::OffsetDateTime;

use crate::board::Board;
use crate::build::Programs;
use crate::database::{self, Database};
use crate::environment::Environment;
use crate::fleet::Fleet;
use crate::options::UpOptions;
use crate::plan::{Place, Plan, Planned};
use crate::record::{ReplicaRecord, ReplicaState, ServiceRecord};
use crate::replica::ReplicaSpec;
use crate::seed;
use crate::server::Server;
use crate::stack::Stack;
use crate::stop::Stop;
use crate::task::Task;
use crate::trouble::Result;

/// When each executable was last written: a build may find that a change does not concern it.
pub(crate) type Stamps = Vec<Option<SystemTime>>;

/// All that is needed to start services, and to start them again after a build.
pub(crate) struct Ready<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) options: &'a UpOptions,
    pub(crate) plan: &'a Plan,
    pub(crate) programs: Programs,
    pub(crate) databases: BTreeMap<String, Database>,
    pub(crate) environment: Environment<'a>,
    /// The folder of the logs.
    pub(crate) logs: PathBuf,
}

impl Ready<'_> {
    /// Keys, schemas and first data, one service after the other, and what they need of each other.
    pub(crate) async fn run_tasks(&self, board: &Board, server: Option<&Server>) -> Result<()> {
        for planned in &self.plan.services {
            let name = &planned.spec.name;
            let keys = planned.spec.signing_keys().map(|keys| self.environment.secrets.of(name, keys));
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
        for planned in &self.plan.services {
            self.make_client(planned, board).await?;
        }
        let accounts = seed::accounts(self.stack, &self.environment.secrets)?;
        board.change(|record| record.accounts = accounts);
        Ok(())
    }

    /// Makes the client with which a service follows the issuer's events, at the issuer, whose schema is there. Every
    /// time, as only the issuer can tell whether its database knows the one in the file: the file is of this stack, and
    /// the database of the server that it runs with now.
    async fn make_client(&self, planned: &Planned, board: &Board) -> Result<()> {
        let name = &planned.spec.name;
        let file = planned.spec.issuer_client().map(|client| self.environment.secrets.of(name, client));
        let (Some(file), Some(issuer)) = (file, self.plan.issuer()) else { return Ok(()) };
        let step =
            board.events().step("client", format!("{} clients create --name {name}", issuer.spec.name));
        let file = file.display().to_string();
        self.task(issuer, &["clients", "create", "--name", name, "--to", &file], Kind::Plain).await?;
        step.done(file);
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

    pub(crate) fn start(&self, board: &Board, stop: &Stop, fleet: &mut Fleet) {
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
