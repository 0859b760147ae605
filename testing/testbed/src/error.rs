//! Why a part of the testbed is not there. Each message names the next step.

use std::io;

/// Shorthand of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a part of the testbed is not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its program is not installed and nobody allowed us to.
    #[error(
        "{part} is not installed; run `cargo xtask testbed up {part} --install`, or bring it yourself: {how}"
    )]
    Absent { part: &'static str, how: String },
    /// The package manager could not.
    #[error("`{command}` failed: {reason}")]
    Install { command: String, reason: String },
    /// It is there but does not run.
    #[error(transparent)]
    Component(#[from] shop_devstack::component::Error),
    /// What the environment names as a server is unusable.
    #[error("{variable} is not usable: {reason}")]
    Given { variable: &'static str, reason: String },
    /// A database that is not the tests' own.
    #[error("the database {0} does not begin with {prefix}, so the testbed will not touch it", prefix = crate::PREFIX)]
    Foreign(String),
    /// No part of that name.
    #[error("there is no part {name}; there are {known}")]
    Unknown { name: String, known: String },
    /// The database refused.
    #[error("PostgreSQL: {}", refusal(.0))]
    Database(#[from] tokio_postgres::Error),
    /// A migration could not be applied.
    #[error("{file}: {}", refusal(.source))]
    Migration { file: String, source: tokio_postgres::Error },
    /// A certificate could not be made.
    #[error("a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A file or a process could not be handled.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The driver says only `db error` and keeps what the server said.
fn refusal(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)
}
