//! A PostgreSQL server of our own from the programs on this machine: made, started, adopted, stopped. Touches only
//! its own folder; knows nothing of what the databases are for.

mod binaries;
mod cluster;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

pub use self::binaries::Binaries;
use self::cluster::Cluster;
pub(crate) use self::cluster::random_password;
use crate::component::{Error, Report, Result, START_PATIENCE, Step, tail};
use crate::port;
use crate::process::{Proc, Stopped, marked, spawn};

const NAME: &str = "PostgreSQL";
const STATE: &str = "running.json";
/// Long enough for a start by another process, which we then adopt.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
/// How long the server may take to end after it was asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Which server is wanted.
#[derive(Debug, Clone)]
pub struct PostgresSpec {
    /// Its own folder: data, password, log, socket. Made when absent.
    pub dir: PathBuf,
    /// `None`: the one it had last time if still free, else any free one.
    pub port: Option<u16>,
    /// Where its programs are; `None`: look for them.
    pub binaries: Option<PathBuf>,
    /// Whether data survives a crash of the machine (not only of the server). Tests do without and are faster.
    pub durable: bool,
    /// Further settings, `(name, value)`.
    pub settings: Vec<(String, String)>,
}

impl PostgresSpec {
    /// A durable server in `dir` on any free port.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), port: None, binaries: None, durable: true, settings: Vec::new() }
    }
}

/// A server that answers. Dropping it leaves the server running.
#[derive(Debug, Clone)]
pub struct Postgres {
    proc: Proc,
    port: u16,
    adopted: bool,
    cluster: Cluster,
    password: secrecy::SecretString,
}

#[derive(Debug, Serialize, Deserialize)]
struct Known {
    port: u16,
}

impl Postgres {
    /// Adopts the server that runs in the folder, else starts one, making its data folder first where there is none.
    /// Two callers at once get the same server.
    pub async fn start(spec: &PostgresSpec, report: &Report) -> Result<Self> {
        let cluster = Cluster::open(&spec.dir)?;
        let _lock = cluster.state().lock("lock", LOCK_PATIENCE).await?;
        if let Some(running) = Self::adopt(&cluster, spec.port).await? {
            report.say(Step::Adopted { component: NAME, proc: running.proc, port: running.port });
            return Ok(running);
        }
        let named = spec.binaries.as_deref();
        let made = cluster.exists();
        let binaries =
            if made { Binaries::find_for(named, &cluster.data())? } else { Binaries::find(named)? };
        report.say(Step::Found { component: NAME, program: binaries.program("postgres") });
        if made {
            // Before anything is started that nobody could enter.
            cluster.password()?;
        } else {
            end_orphans(&cluster).await?;
            report.say(Step::Creating { component: NAME, dir: cluster.data() });
            cluster.create(&binaries).await?;
        }
        Self::launch(cluster, &binaries, spec, report).await
    }

    /// The server that runs in `dir`, if one does and answers. Starts nothing.
    pub async fn find(dir: &Path) -> Result<Option<Self>> {
        if !dir.join("data").exists() {
            return Ok(None);
        }
        Self::adopt(&Cluster::open(dir)?, None).await
    }

    /// The process of the server that runs in `dir`, whether or not it answers and lets us in.
    pub(crate) fn process(dir: &Path) -> Option<Proc> {
        cluster::running_on(&dir.join("data")).map(|(proc, _)| proc)
    }

    async fn adopt(cluster: &Cluster, wanted: Option<u16>) -> Result<Option<Self>> {
        let Some((proc, port)) = cluster.running() else { return Ok(None) };
        let found = Self::handle(cluster.clone(), proc, port, true)?;
        if wanted.is_some_and(|wanted| wanted != port) {
            found.stop().await?;
            return Ok(None);
        }
        // It may be starting or ending just now.
        match found.await_answer(Instant::now()).await {
            Ok(()) => Ok(Some(found)),
            Err(error) if found.proc.is_alive() => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn handle(cluster: Cluster, proc: Proc, port: u16, adopted: bool) -> Result<Self> {
        let password = cluster.password()?.into();
        Ok(Self { proc, port, adopted, cluster, password })
    }

    async fn launch(
        cluster: Cluster,
        binaries: &Binaries,
        spec: &PostgresSpec,
        report: &Report,
    ) -> Result<Self> {
        let began = Instant::now();
        loop {
            // A wish and no more: where it cannot be read, another port does as well.
            let last = cluster.state().read_json::<Known>(STATE).ok().flatten().map(|known| known.port);
            let port = port::choose(NAME, spec.port, last)?;
            // Again before each start: what was still ending at the last one may have ended without being waited for.
            cluster.clear_pid_file()?;
            let from = std::fs::metadata(cluster.log()).map_or(0, |meta| meta.len());
            let command = server_command(&cluster, binaries, spec, port);
            let proc = spawn(command, cluster.state().path(), &cluster.log())?;
            report.say(Step::Starting { component: NAME, proc, port });
            cluster.state().write_json(STATE, &Known { port })?;
            let started = Self::handle(cluster.clone(), proc, port, false)?;
            match started.await_answer(began).await {
                Ok(()) => {
                    report.say(Step::Ready { component: NAME, after: began.elapsed() });
                    return Ok(started);
                }
                Err(error) if began.elapsed() > START_PATIENCE || !passing(&cluster, from, spec) => {
                    // It may run on all the same, and is of no use to anybody.
                    started.stop().await?;
                    return Err(error);
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Returns once it takes a connection with its password.
    async fn await_answer(&self, began: Instant) -> Result<()> {
        loop {
            match self.connect("postgres").await {
                Ok(_) => return Ok(()),
                Err(Error::Database(error)) if error.code() == Some(&SqlState::INVALID_PASSWORD) => {
                    return Err(self.cluster.shut("does not fit"));
                }
                Err(Error::Database(error)) if error.code().is_some_and(is_final) => return Err(error.into()),
                Err(_) => {}
            }
            let log = || tail(&self.cluster.log(), 20);
            if !self.proc.is_alive() {
                return Err(Error::Failed { component: NAME, doing: "its start".to_owned(), log: log() });
            }
            if began.elapsed() > START_PATIENCE {
                return Err(Error::Silent { component: NAME, waited: began.elapsed(), log: log() });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its process.
    pub fn proc(&self) -> Proc {
        self.proc
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it ran before this handle was asked for.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// The folder of its Unix socket, where the path is short enough for one.
    pub fn sockets(&self) -> Option<PathBuf> {
        self.cluster.sockets()
    }

    /// The superuser's password.
    pub fn password(&self) -> &secrecy::SecretString {
        &self.password
    }

    /// The file with the superuser's password, readable by its owner alone.
    pub fn password_file(&self) -> PathBuf {
        self.cluster.password_file()
    }

    /// What the server writes.
    pub fn log(&self) -> PathBuf {
        self.cluster.log()
    }

    /// The address of a database for the superuser, without the password.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// A connection of the superuser to one of its databases.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        use secrecy::ExposeSecret;
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user("postgres").dbname(database);
        config.password(self.password.expose_secret()).connect_timeout(Duration::from_secs(5));
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Makes the database if there is none of that name; says whether it did.
    pub async fn ensure_database(&self, name: &str) -> Result<bool> {
        let client = self.connect("postgres").await?;
        if client.query_opt("select 1 from pg_database where datname = $1", &[&name]).await?.is_some() {
            return Ok(false);
        }
        client.batch_execute(&format!("create database {}", quoted(name))).await?;
        Ok(true)
    }

    /// Ends it: open connections are cut, data is written out. Kills it when that takes too long.
    pub async fn stop(&self) -> Result<Stopped> {
        // SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
        Ok(self.proc.stop(Signal::INT, STOP_PATIENCE).await?)
    }
}

/// A name as SQL writes it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Ends an `initdb` that a killed run has left behind: it would write into the new data, or take it away when it fails.
/// Only for the holder of the folder's lock who has just seen that no server runs.
async fn end_orphans(cluster: &Cluster) -> Result<()> {
    loop {
        // Its children are looked for again: they may have been started meanwhile.
        let left = marked(cluster.state().path());
        if left.is_empty() {
            return Ok(());
        }
        for orphan in left {
            orphan.stop(Signal::INT, STOP_PATIENCE).await?;
        }
    }
}

/// Answers that no waiting mends: a missing role or database.
fn is_final(code: &SqlState) -> bool {
    matches!(code.code(), "28000" | "3D000")
}

/// Whether the start failed on something that passes: a killed server, or its children, that still end and hold its
/// lock file or its memory, or somebody who took the free port first.
fn passing(cluster: &Cluster, from: u64, spec: &PostgresSpec) -> bool {
    let log = std::fs::read(cluster.log()).unwrap_or_default();
    let new = String::from_utf8_lossy(&log[usize::try_from(from).unwrap_or(0).min(log.len())..]).into_owned();
    let memory = new.contains("pre-existing shared memory block") || new.contains("is still in use");
    let lock = new.contains("lock file \"") && new.contains("already exists");
    memory || lock || (spec.port.is_none() && new.contains("Address already in use"))
}

fn server_command(
    cluster: &Cluster,
    binaries: &Binaries,
    spec: &PostgresSpec,
    port: u16,
) -> std::process::Command {
    // The setting is a list: in quotes, as it writes names, since a path may hold a comma.
    let sockets = cluster.sockets().map(|dir| quoted(&dir.display().to_string())).unwrap_or_default();
    let mut settings: Vec<(String, String)> = [
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        ("unix_socket_directories", sockets),
        ("max_connections", "300".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("log_timezone", "UTC".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    if !spec.durable {
        settings.extend(
            ["fsync", "synchronous_commit", "full_page_writes"].map(|name| (name.into(), "off".into())),
        );
    }
    settings.extend(spec.settings.iter().cloned());
    let mut command = cluster.command(&binaries.program("postgres"));
    command.arg("-D").arg(cluster.data());
    for (name, value) in settings {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    command
}
