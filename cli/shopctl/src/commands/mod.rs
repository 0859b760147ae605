//! The command tree: one file a leaf command, one folder a noun. Holds the enum and the match, and
//! what several commands must agree on.
mod auth;
mod build;
mod completions;
mod config;
mod dev;
mod generate;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// The service that people sign in at.
pub(crate) const ISSUER: &str = "user-management";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Config(config::ConfigArgs),
    Build(build::BuildArgs),
    Dev(dev::DevArgs),
    Auth(auth::AuthArgs),
    Generate(generate::GenerateArgs),
    Completions(completions::CompletionsArgs),
}

pub(crate) async fn dispatch(command: Command, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    match command {
        Command::Config(args) => config::run(args, context, ui).await,
        Command::Build(args) => build::run(&args, context, ui).await,
        Command::Dev(args) => dev::run(args, context, ui).await,
        Command::Auth(args) => auth::run(args, context, ui).await,
        Command::Generate(args) => generate::run(args, context, ui).await,
        Command::Completions(args) => completions::run(&args, ui),
    }
}
