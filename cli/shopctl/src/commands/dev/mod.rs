//! `shopctl dev`: the platform on one machine. Must not hold what shop-devstack can do without a screen.
mod background;
mod down;
mod failure;
mod logs;
mod mail;
mod reset;
mod seed;
mod server;
mod signals;
mod status;
mod table;
mod up;
mod view;

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use shop_devstack::events::{Event, Events};
use shop_devstack::record::Record;
use shop_devstack::{Stack, Stop, Trouble};
use tokio::sync::mpsc::unbounded_channel;

use crate::context::Context;
use crate::error::{CommandError, OrExit as _};
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
pub(super) fn stack(context: &Context) -> Result<Stack, CommandError> {
    let state = context.variable("SHOP_DEV_STATE").map(PathBuf::from);
    if let Some(relative) = state.as_ref().filter(|state| state.is_relative()) {
        let message = format!("SHOP_DEV_STATE is {}, which is no absolute path", relative.display());
        return Err(CommandError::usage(message)
            .hint("name the folder from / on: it is the same stack wherever you are"));
    }
    Stack::open(context.root()?, state).map_err(failure::of)
}

/// What runs of the stack, as its supervisor wrote it.
pub(super) fn record(stack: &Stack) -> Result<Option<Record>, CommandError> {
    stack.record().map_err(failure::of)
}

/// Runs the engine and shows its events until it is done; what it said last is shown as well. `None` is shown each
/// second, for what depends on the time. When nothing can be shown any more, the engine is told to stop.
async fn watch<T, F>(
    engine: impl FnOnce(Events) -> F,
    stop: &Stop,
    mut show: impl FnMut(Option<Event>) -> Result<(), CommandError>,
) -> Result<Result<T, Trouble>, CommandError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Trouble>> + Send + 'static,
{
    let (sender, mut receiver) = unbounded_channel();
    let mut engine = tokio::spawn(engine(Events::to(sender)));
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    let mut shown = Ok(());
    let mut tell = |event| {
        if shown.is_ok() {
            shown = show(event);
        }
        if shown.is_err() {
            stop.gently.cancel();
        }
    };
    let outcome = loop {
        tokio::select! {
            biased;
            Some(event) = receiver.recv() => tell(Some(event)),
            outcome = &mut engine => break outcome,
            _ = clock.tick() => tell(None),
        }
    };
    while let Ok(event) = receiver.try_recv() {
        tell(Some(event));
    }
    shown?;
    outcome.or_exit(Exit::Unexpected, "the supervisor stopped by itself")
}
