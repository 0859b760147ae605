//! Repository automation, `cargo xtask <command>`: what CI and a laptop run alike.
//! Must not depend on a crate of this workspace, so that it builds in seconds even when they do not build.
mod tidy;
mod ui;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Check the layout, the dependency table, sizes, module documents and imports
    Tidy(tidy::TidyArgs),
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Tidy(args) => tidy::run(&args, &root()),
    };
    result.unwrap_or_else(|error| {
        ui::error(&error);
        ExitCode::FAILURE
    })
}

/// The root of the repository: the folder above this crate's.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_path_buf()
}
