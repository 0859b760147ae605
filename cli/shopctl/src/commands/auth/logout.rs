//! `shopctl auth logout`: ends the session at the service and forgets its tokens here.
use serde::Serialize;

use super::{Place, PlaceArgs, TOKEN_FILE, failure};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Sign out
///
/// Ends the session at the service and removes its tokens here. When the service cannot be reached the tokens go all
/// the same, and the session lives on there until it ends by itself.
#[derive(Debug, clap::Args)]
pub(crate) struct LogoutArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Serialize)]
struct Answer<'a> {
    environment: &'a str,
    /// Whether there was anything to end.
    was_signed_in: bool,
}

pub(crate) async fn run(args: &LogoutArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    if context.variable(TOKEN_FILE).is_some() {
        let message = format!("{TOKEN_FILE} is set: its token was not made by `auth login`");
        return Err(CommandError::usage(message).hint(format!("unset {TOKEN_FILE} to end your own session")));
    }
    let place = Place::find(&args.place, context)?;
    let environment = place.environment.as_str();
    let was_signed_in = place.store.load().await?.is_some();
    if was_signed_in {
        let ended = place.signed_in(context, ui)?.users().logout().await;
        place.store.forget().await?;
        match ended {
            // It had ended already.
            Err(error) if error.is_unauthorised() => {}
            Err(error) => {
                let hint = "the tokens are gone from here, but the session may live on at the service";
                return Err(failure::of(&error, environment).hint(hint));
            }
            Ok(()) => {}
        }
    }
    let text = match was_signed_in {
        true => format!("signed out of {environment}"),
        false => format!("nobody was signed in to {environment}"),
    };
    ui.data(&Answer { environment, was_signed_in }, text)?;
    Ok(Exit::Done)
}
