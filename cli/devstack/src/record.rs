//! What runs now, as it is written to the state folder for `status`, `down` and the next `up`. Holds no secret and
//! starts nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::process::Proc;

/// How the database server is called among the parts.
pub const POSTGRES: &str = "postgres";

/// The stack as its supervisor sees it. This is also the document of `status --output json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The stack's name.
    pub stack: String,
    /// What its databases are marked with.
    pub id: String,
    /// The checkout.
    pub root: PathBuf,
    /// The process that holds the stack.
    pub supervisor: Proc,
    /// How it was called.
    pub command: String,
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Whether every service was ready once.
    pub ready: bool,
    pub postgres: Option<PostgresRecord>,
    /// Mailbox, Redis, … in the order they were started.
    pub parts: Vec<PartRecord>,
    /// In the order they are started.
    pub services: Vec<ServiceRecord>,
    /// What `seed` made to log in with.
    pub accounts: Option<Accounts>,
}

/// The database server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PostgresRecord {
    /// Where it is from.
    pub source: Source,
    /// Why this one was taken.
    pub why: String,
    /// As it calls itself.
    pub version: String,
    /// `host:port`.
    pub address: String,
    /// The superuser's (or the URL's) address, without a password.
    pub url: String,
    /// The file with the password that goes with `url`.
    pub password_file: Option<PathBuf>,
    /// Its process, where it is ours.
    pub proc: Option<Proc>,
    #[serde(default)]
    pub state: PartState,
    /// How often it was started again after it had ended.
    #[serde(default)]
    pub restarts: u32,
}

/// The ways to a PostgreSQL, in the order they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A server that somebody else runs.
    Url,
    /// Programs on this machine.
    Local,
    /// A container.
    Docker,
    /// Programs fetched into the cache.
    Download,
}

/// Something beside PostgreSQL that the services use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartRecord {
    pub name: String,
    /// Where to look at it, or where the services reach it.
    pub address: String,
    /// What it is good for, in a few words.
    pub note: String,
    pub proc: Option<Proc>,
    pub log: Option<PathBuf>,
    #[serde(default)]
    pub state: PartState,
    /// How often it was started again after it had ended.
    #[serde(default)]
    pub restarts: u32,
}

/// How the supervisor last saw the database server or a part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartState {
    /// It was started and answered. Whether it still does is for whoever asks it.
    #[default]
    Ready,
    /// It ended and will be started again after a while.
    BackingOff,
    /// It ended too often; a new `up` tries again.
    GivenUp,
}

/// One service of shop.toml.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceRecord {
    pub name: String,
    /// The executable that runs.
    pub program: PathBuf,
    pub database: Option<String>,
    /// The variables that its first replica and its commands run with: enough to start it by hand, under a debugger.
    pub environment: BTreeMap<String, String>,
    pub replicas: Vec<ReplicaRecord>,
}

/// One process of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplicaRecord {
    /// From 1.
    pub index: u32,
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    /// Where health and metrics are.
    pub admin: String,
    pub state: ReplicaState,
    pub proc: Option<Proc>,
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// How often it was started again after a crash.
    pub restarts: u32,
    /// How it ended last, if it did.
    pub last_exit: Option<String>,
    pub log: PathBuf,
}

/// How a replica does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplicaState {
    /// For the services it depends on.
    Waiting,
    Starting,
    Ready,
    /// It crashed and will be started again after a while.
    BackingOff,
    /// It crashed too often; a change of its files (`--watch`) or a new `up` tries again.
    GivenUp,
    /// It said that it cannot run so (exit code 2); starting it again would not help.
    Refused,
    Stopping,
    Stopped,
}

impl ReplicaState {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::BackingOff => "backing off",
            Self::GivenUp => "given up",
            Self::Refused => "refused",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// Accounts of a seeded stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accounts {
    pub emails: Vec<String>,
    /// Readable by its owner alone.
    pub password_file: PathBuf,
}

impl Record {
    /// The replica `index` of `service`.
    pub fn replica_mut(&mut self, service: &str, index: u32) -> Option<&mut ReplicaRecord> {
        let service = self.services.iter_mut().find(|known| known.name == service)?;
        service.replicas.iter_mut().find(|replica| replica.index == index)
    }

    /// The services of which a replica is not ready.
    pub fn not_ready(&self) -> Vec<String> {
        let is_ready = |service: &&ServiceRecord| {
            service.replicas.iter().all(|replica| replica.state == ReplicaState::Ready)
        };
        self.services
            .iter()
            .filter(|service| !is_ready(service))
            .map(|service| service.name.clone())
            .collect()
    }

    /// Whether a service needs help: one is given up or refused, or is not ready any more.
    pub fn is_degraded(&self) -> bool {
        let mut states =
            self.services.iter().flat_map(|service| &service.replicas).map(|replica| replica.state);
        let failed = |state| matches!(state, ReplicaState::GivenUp | ReplicaState::Refused);
        states.any(|state| failed(state) || (self.ready && state != ReplicaState::Ready))
    }

    /// Notes how a part, or the server as [`POSTGRES`], does now.
    pub fn note_part(&mut self, part: &str, state: PartState, proc: Option<Proc>, restarts: u32) {
        if let (POSTGRES, Some(server)) = (part, &mut self.postgres) {
            (server.state, server.proc, server.restarts) = (state, proc, restarts);
        }
        for known in self.parts.iter_mut().filter(|known| known.name == part) {
            (known.state, known.proc, known.restarts) = (state, proc, restarts);
        }
    }

    /// Every process that the stack has started and that may still run, services first.
    pub fn procs(&self) -> Vec<Proc> {
        let replicas = self.services.iter().rev().flat_map(|service| &service.replicas);
        let parts = self.parts.iter().rev().filter_map(|part| part.proc);
        replicas.filter_map(|replica| replica.proc).chain(parts).collect()
    }
}
