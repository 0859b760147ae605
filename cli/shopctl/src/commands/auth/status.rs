//! `shopctl auth status`: who this machine is to an environment, asked of the service.
use serde::Serialize;
use shop_api::users::AccountRole;
use shop_client::ClientError;
use time::OffsetDateTime;

use super::store::Keeper;
use super::{Place, PlaceArgs, TOKEN_FILE, failure, shown};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Show who is signed in, until when, and where that is kept
///
/// Asks the service, so a session that was ended elsewhere shows. Ends with 7 when nobody is signed in.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Serialize)]
struct Answer<'a> {
    environment: &'a str,
    url: &'a str,
    /// Absent for a service's token.
    email: Option<String>,
    roles: Vec<AccountRole>,
    /// Absent for a token that a file gave.
    #[serde(with = "time::serde::rfc3339::option")]
    session_until: Option<OffsetDateTime>,
    #[serde(flatten)]
    keeper: Keeper,
}

pub(crate) async fn run(args: &StatusArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let place = Place::find(&args.place, context)?;
    let given = context.variable(TOKEN_FILE);
    if given.is_none() {
        // Says what is wrong with the store, rather than that there is no token.
        place.store.load().await?;
    }
    let (email, roles) = match place.signed_in(context, ui)?.users().me().await {
        Ok(account) => (Some(account.email), account.roles),
        // A service has a token and no account.
        Err(ClientError::Problem(problem)) if problem.status == 403 && given.is_some() => (None, Vec::new()),
        Err(error) => {
            return Err(match &given {
                Some(file) => failure::of_token_file(&error, &place.environment, file),
                None => failure::of(&error, &place.environment),
            });
        }
    };
    // Read after the call, which may have renewed it.
    let (session_until, keeper) = match given {
        Some(path) => (None, Keeper::File(context.directory.join(path))),
        None => match place.store.load().await? {
            Some((kept, keeper)) => (Some(kept.session_until), keeper),
            None => {
                return Err(failure::of(
                    &ClientError::NoToken("it was just ended".into()),
                    &place.environment,
                ));
            }
        },
    };
    let url = place.client.base_url().as_str().trim_end_matches('/');
    let who = email.as_deref().unwrap_or("a service");
    let until = session_until.map(|until| format!(" until {}", shown(until))).unwrap_or_default();
    let names = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    let roles_shown = if names.is_empty() { String::new() } else { format!(" ({names})") };
    let text = format!("{}: {who}{roles_shown}{until}\n  {url}\n  kept in {keeper}", place.environment);
    let answer = Answer { environment: &place.environment, url, email, roles, session_until, keeper };
    ui.data(&answer, text)?;
    Ok(Exit::Done)
}
