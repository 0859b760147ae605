//! `shopctl dev`: the platform on one machine. Must not hold what shop-devstack can do without a screen.
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Run the platform on this machine
#[derive(Debug, clap::Args)]
pub(crate) struct DevArgs {}

pub(crate) async fn run(_args: DevArgs, _context: &Context, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::new(Exit::Unexpected, "not built yet"))
}
