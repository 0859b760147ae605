//! `shopctl auth`: who this machine is to the services. Must not talk HTTP itself: shop-client does.
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Log in to the platform's services, and out
#[derive(Debug, clap::Args)]
pub(crate) struct AuthArgs {}

pub(crate) async fn run(_args: AuthArgs, _context: &Context, _ui: &mut Ui) -> Result<Exit, CommandError> {
    Err(CommandError::new(Exit::Unexpected, "not built yet"))
}
