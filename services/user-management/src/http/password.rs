//! A forgotten password: ask for a mail, set a new one with its token. Setting one ends every session.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use shop_api::Code;
use shop_api::users::auth::{EmailOnly, MailOnItsWay, ResetPassword};
use shop_kit::{Access, ApiError, ApiRouter, ClientAddr, Json, mail};
use utoipa_axum::routes;

use super::audit::record;
use super::register::{ask_for_mail, proved};
use super::weak;
use crate::db::profile;
use crate::db::sessions::{self, Ended};
use crate::db::tokens::{self, Purpose};
use crate::db::users;
use crate::domain::password::NewPassword;
use crate::domain::token::Token;
use crate::events;
use crate::state::AppState;

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new().route(Access::Public, routes!(forgot)).route(Access::Public, routes!(reset))
}

/// Ask for a mail to set a new password
#[utoipa::path(post, path = "/auth/password/forgot", tag = "signing in", request_body = EmailOnly,
    responses((status = 202, body = MailOnItsWay, description = "The same for every address")))]
async fn forgot(
    State(state): State<AppState>,
    from: ClientAddr,
    Json(body): Json<EmailOnly>,
) -> Result<Response, ApiError> {
    ask_for_mail(&state, from, &body.email, "reset").await
}

/// Set a new password
///
/// With the token of the mail. Every session of the account ends; a second factor stays.
#[utoipa::path(post, path = "/auth/password/reset", tag = "signing in", request_body = ResetPassword,
    responses((status = 204, description = "Set: sign in with it")))]
async fn reset(
    State(state): State<AppState>,
    Json(body): Json<ResetPassword>,
) -> Result<StatusCode, ApiError> {
    let token = Token::parse(&body.token).ok_or(Code::TokenUnusable)?.hash();
    // Before the hash: guesses cost the guesser a query, not us a core.
    let owner = tokens::owner(&state.pool, token, Purpose::Reset).await?.ok_or(Code::TokenUnusable)?;
    let user = users::credentials(&state.pool, owner).await?.ok_or(Code::TokenUnusable)?;
    let password = NewPassword::check(&body.new_password, &user.email)
        .map_err(|reason| weak("/new_password", reason))?;
    let hash = state.hasher.hash(&password).await?;

    let mut tx = state.pool.begin().await?;
    let taken = tokens::take(&mut tx, token, Purpose::Reset).await?.ok_or(Code::TokenUnusable)?;
    // The account's row first: a log-in under way with the old password waits for it and finds the new one.
    if !users::set_password(&mut tx, taken.user, &hash).await? {
        return Err(Code::TokenUnusable.into());
    }
    proved(&mut tx, taken.user).await?;
    tokens::clear(&mut tx, taken.user).await?;
    // Whoever asked for another address knew the password before.
    profile::set_pending_email(&mut tx, taken.user, None).await?;
    let ended = sessions::revoke_all(&mut tx, taken.user, None, Ended::PasswordReset).await?;
    events::sessions_revoked(&mut tx, taken.user, &ended, Ended::PasswordReset).await?;
    record(&mut tx, "password.reset", taken.user.uuid(), taken.user.uuid(), json!({})).await?;
    mail::enqueue(&mut *tx, "password_changed", taken.user.uuid(), &json!({})).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
