//! `shopctl config`: what shop.toml says. Holds the enum and the match, nothing else.
mod check;
mod schema;
mod show;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Check shop.toml and show what it says
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Show(show::ShowArgs),
    Check(check::CheckArgs),
    Schema(schema::SchemaArgs),
}

pub(crate) async fn run(args: ConfigArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    match args.command {
        ConfigCommand::Show(args) => show::run(&args, context, ui),
        ConfigCommand::Check(args) => check::run(&args, context, ui),
        ConfigCommand::Schema(args) => schema::run(&args, ui),
    }
}
