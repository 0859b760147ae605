//! `shopctl auth logout`: ends the session at the service and forgets its tokens here.
use serde::Serialize;

use super::store::Store;
use super::{NOT_RUNNING, Place, PlaceArgs, TOKEN_FILE, failure};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Sign out
///
/// Ends the session at the service and removes its tokens here. When the service cannot be reached the tokens go all
/// the same, and the session lives on there until it ends by itself. Without --url, and with no stack of this machine
/// up that would tell the address, those of the environment go for every address.
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
    let Some(place) = Place::find_running(&args.place, context)? else {
        return forget_all(&args.place.env, context, ui).await;
    };
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
    answer(environment, was_signed_in, ui)
}

/// Nobody knows which of the addresses is meant, and none answers.
async fn forget_all(environment: &str, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let (mut forgotten, mut outcome) = (0, Ok(()));
    for store in Store::all(context, environment)? {
        match store.forget().await {
            Ok(was_there) => forgotten += usize::from(was_there),
            Err(error) => outcome = Err(error),
        }
    }
    outcome?;
    if forgotten == 0 {
        return answer(environment, false, ui);
    }
    let hint = match forgotten {
        1 => "the tokens are gone from here, but the session may live on at the service".to_owned(),
        _ => format!(
            "the tokens of {forgotten} sessions are gone from here, but the sessions may live on at the service"
        ),
    };
    Err(CommandError::new(Exit::Unreachable, NOT_RUNNING).hint(hint))
}

fn answer(environment: &str, was_signed_in: bool, ui: &mut Ui) -> Result<Exit, CommandError> {
    let text = match was_signed_in {
        true => format!("signed out of {environment}"),
        false => format!("nobody was signed in to {environment}"),
    };
    ui.data(&Answer { environment, was_signed_in }, text)?;
    Ok(Exit::Done)
}
