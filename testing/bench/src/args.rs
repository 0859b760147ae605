//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::case::Name;
use crate::limit::Limit;
use crate::peers::Peer;
use crate::pin::Layout;

/// Measure the services beside their limits and the peers, in the same run on the same machine
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// Cases to run; all when none is named
    pub(crate) cases: Vec<Name>,
    /// One round of two seconds, few rows, nothing written: whether the harness works
    #[arg(long)]
    pub(crate) quick: bool,
    /// Peers to measure beside ours
    #[arg(long, value_delimiter = ',', default_value = "gin,fastapi,spring", conflicts_with = "no_peers")]
    pub(crate) peers: Vec<Peer>,
    /// Measure ours and the limits only
    #[arg(long)]
    pub(crate) no_peers: bool,
    /// Rounds in which the contenders take turns
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<usize>,
    /// Seconds of one round
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u64>,
    /// Accounts in each database
    #[arg(long, value_name = "N")]
    pub(crate) users: Option<u32>,
    /// How the cores are shared out
    #[arg(long, value_enum, default_value = "shared")]
    pub(crate) layout: Layout,
    /// Reach PostgreSQL over its Unix socket instead of loopback TCP (Spring cannot)
    #[arg(long)]
    pub(crate) socket: bool,
    /// Cargo profile to build the service with
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
    /// Measure this built program instead of building one
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    pub(crate) program: Option<PathBuf>,
    /// Exit 3 when a target is not met, 11 when that cannot be told
    #[arg(long)]
    pub(crate) check: bool,
    /// Install what is missing (Debian packages, the peers' libraries)
    #[arg(long)]
    pub(crate) install: bool,
    /// Where bench.json, bench.md and bench.svg go; a run of all cases writes to docs/generated unless told otherwise
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Say nothing but the result
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) inner: Option<Inner>,
}

impl Args {
    /// The peers that are wanted.
    pub(crate) fn peers(&self) -> &[Peer] {
        if self.no_peers { &[] } else { &self.peers }
    }
}

/// What the bench starts of itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Inner {
    #[command(subcommand, hide = true)]
    Limit(Limit),
}
