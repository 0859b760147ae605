//! `shopctl`: arguments, commands and all terminal output of the platform.
//!
//! A command is one file under `commands/`: its `XArgs` beside `async fn run(args, &Context, &mut Ui)`. It calls
//! an engine crate and turns the engine's events into output through [`ui::Ui`], the only place that prints.
//! Must not hold what an engine could do without a screen.
mod args;
mod commands;
mod context;
mod error;
mod exit;
mod interrupt;
mod ui;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::args::Args;
use crate::context::Context;
use crate::error::CommandError;
use crate::ui::{Redactor, Ui};

pub use crate::exit::Exit;

/// Parses `arguments` (the program's name first), runs the command and answers its exit code.
/// Never panics on purpose and never calls `exit`: whatever is owned by the command is dropped first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let redactor = Redactor::default();
    ui::report_panics_through(redactor.clone());
    let args = match parse(&arguments) {
        Ok(args) => args,
        Err(error) => return ui::usage_error(&error, &arguments, redactor).into(),
    };
    let mut ui = Ui::new(&args.global, redactor);
    // The hook has said what happened; a bug ends with the same code as any other unexpected error.
    let outcome = catch_unwind(AssertUnwindSafe(|| start(args, &mut ui)))
        .unwrap_or_else(|_| Err(CommandError::quiet(Exit::Unexpected)));
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => ui.error(&error).into(),
    }
}

/// The whole command tree, for completions, the reference in docs/generated and the help tests.
pub fn command() -> clap::Command {
    Args::command()
}

fn parse(arguments: &[OsString]) -> Result<Args, clap::Error> {
    let color = args::color_asked_for(arguments);
    let matches = command().color(color).try_get_matches_from(arguments)?;
    Args::from_arg_matches(&matches)
}

fn start(args: Args, ui: &mut Ui) -> Result<Exit, CommandError> {
    let context = Context::new(&args.global)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::new(Exit::Unexpected, "the runtime did not start").source(error))?;
    let interrupt = ui.interrupt().clone();
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = commands::dispatch(args.command, &context, ui) => outcome,
            exit = interrupt.wished() => Err(CommandError::quiet(exit)),
        }
    });
    // A blocking read (a terminal, a hung file system) must not hold the process back once the answer is known.
    runtime.shutdown_background();
    outcome
}
