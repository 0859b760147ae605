//! What `up` can be asked for. Does nothing: whoever does some of it reads it here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::backoff::Patience;
use crate::plan::{Ports, ServiceSpec};
use crate::server::ServerSpec;

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
    /// Where cargo puts what it builds; where nothing is said, cargo's own settings decide.
    pub target_dir: Option<PathBuf>,
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

/// What `--with` can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extra {
    /// Redis, for caches and rate limits that replicas share.
    Cache,
    /// Elasticsearch.
    Search,
    /// RabbitMQ.
    Queue,
    /// Prometheus, and Grafana through Docker.
    Monitoring,
}
