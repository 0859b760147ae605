//! `shopctl dev`: the platform on one machine. Must not hold what shop-devstack can do without a screen.
mod background;
mod down;
mod failure;
mod logs;
mod mail;
mod reset;
mod seed;
mod server;
mod status;
mod table;
mod up;
mod view;

use std::path::PathBuf;

use clap::Subcommand;
use shop_devstack::Stack;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Run the platform on this machine
///
/// The services are those of shop.toml. What runs, its data and its logs lie in one folder for each checkout:
/// $SHOP_DEV_STATE, else ~/.local/state/shop/<checkout>-<hash>, and as root below /var/lib/shop.
#[derive(Debug, clap::Args)]
pub(crate) struct DevArgs {
    #[command(subcommand)]
    command: DevCommand,
}

#[derive(Debug, Subcommand)]
enum DevCommand {
    Up(Box<up::UpArgs>),
    Down(down::DownArgs),
    Status(status::StatusArgs),
    Logs(logs::LogsArgs),
    Mail(mail::MailArgs),
    Seed(seed::SeedArgs),
    Reset(reset::ResetArgs),
}

pub(crate) async fn run(args: DevArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    match args.command {
        DevCommand::Up(args) => up::run(&args, context, ui).await,
        DevCommand::Down(args) => down::run(&args, context, ui).await,
        DevCommand::Status(args) => status::run(&args, context, ui).await,
        DevCommand::Logs(args) => logs::run(&args, context, ui).await,
        DevCommand::Mail(args) => mail::run(&args, context, ui).await,
        DevCommand::Seed(args) => seed::run(&args, context, ui).await,
        DevCommand::Reset(args) => reset::run(&args, context, ui).await,
    }
}

/// The stack of the checkout that the command works in.
fn stack(context: &Context) -> Result<Stack, CommandError> {
    let state =
        context.variable("SHOP_DEV_STATE").map(|folder| context.directory.join(PathBuf::from(folder)));
    Stack::open(context.root()?, state).map_err(failure::of)
}
