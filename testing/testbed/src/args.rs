//! What `shop-testbed` is asked to do. Does none of it.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Real components for tests: started once, shared by all test binaries, stopped by their process number.
#[derive(Debug, Parser)]
#[command(name = "shop-testbed")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start parts, or all of them; what runs is left as it is.
    Up {
        /// Their names, as `status` prints them.
        parts: Vec<String>,
        /// Install what is absent (also with CI=true).
        #[arg(long)]
        install: bool,
        /// How to show what runs.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Install the programs of parts, or of all of them, and start none.
    Install {
        /// Their names.
        parts: Vec<String>,
    },
    /// Stop parts, or all of them. Their data stays; a server that the environment named is left alone.
    Down {
        /// Their names.
        parts: Vec<String>,
    },
    /// Show which parts run and where.
    Status {
        /// Their names.
        parts: Vec<String>,
        /// How to show it.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Make a database with the migrations of some folders and print its address, password included, as JSON.
    Scratch(Scratch),
    /// Drop a database of tests.
    Drop {
        /// Its name; begins with `shop_test_`.
        database: String,
    },
    /// Be the mailbox that `up smtp` starts.
    #[command(hide = true)]
    RunSmtp {
        /// Its folder.
        dir: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Scratch {
    /// A folder of `*.sql` files; may be given again, the order counts.
    #[arg(long, required = true)]
    pub(crate) migrations: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}
