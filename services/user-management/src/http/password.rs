//! A password forgotten: ask for a mail, set a new one with its token. A password known: change it.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use shop_api::Code;
use shop_api::Permission::SecurityWrite;
use shop_api::ids::{SessionId, UserId};
use shop_api::users::auth::{EmailOnly, MailOnItsWay, ResetPassword};
use shop_api::users::profile::ChangePassword;
use shop_kit::{Access, ApiError, ApiRouter, ClientAddr, Json, mail};
use sqlx::PgConnection;
use utoipa_axum::routes;

use super::audit::record;
use super::reauth::confirm;
use super::register::{ask_for_mail, proved};
use super::weak;
use crate::db::backoff;
use crate::db::profile;
use crate::db::sessions::{self, Ended};
use crate::db::tokens::{self, Purpose};
use crate::db::users;
use crate::domain::password::NewPassword;
use crate::domain::throttle::place_key;
use crate::domain::token::Token;
use crate::events;
use crate::signed_in::SignedIn;
use crate::state::AppState;

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new()
        .route(Access::Public, routes!(forgot))
        .route(Access::Public, routes!(reset))
        .route(Access::Need(SecurityWrite), routes!(change_password))
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
    from: ClientAddr,
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
    // The account first, as everybody does who changes how one signs in.
    sessions::hold_account(&mut tx, owner).await?;
    let taken = tokens::take(&mut tx, token, Purpose::Reset).await?.ok_or(Code::TokenUnusable)?;
    if !replace(&mut tx, taken.user, &hash, None, Ended::PasswordReset).await? {
        return Err(Code::TokenUnusable.into());
    }
    proved(&mut tx, taken.user).await?;
    backoff::proved(&mut tx, place_key(&user.email, from.0), taken.user).await?;
    record(&mut tx, "password.reset", taken.user.uuid(), taken.user.uuid(), json!({})).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Change your password
///
/// Ends every other session.
#[utoipa::path(post, path = "/users/me/password", tag = "security", request_body = ChangePassword,
    responses(
        (status = 204, description = "Changed"),
        (status = 401, description = "The password or the code is wrong, or a code is needed")))]
async fn change_password(
    State(state): State<AppState>,
    me: SignedIn,
    Json(change): Json<ChangePassword>,
) -> Result<StatusCode, ApiError> {
    let password = NewPassword::check(&change.new_password, &me.account.email)
        .map_err(|reason| weak("/new_password", reason))?;
    let confirmed = confirm(&state, &me, &change.current_password, change.code.as_deref()).await?;
    let hash = match state.hasher.hash(&password).await {
        Ok(hash) => hash,
        Err(busy) => return Err(confirmed.give_up(&state, busy.into()).await),
    };
    let mut held = confirmed.hold(&state, state.pool.begin().await?, &me).await?;
    let tx = &mut held.tx;
    replace(tx, me.user(), &hash, Some(me.session), Ended::PasswordChanged).await?;
    record(tx, "password.changed", me.user().uuid(), me.user().uuid(), json!({})).await?;
    held.commit(&state).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets a password and shuts out whoever knew the one before: their sessions but the one to keep, the links they
/// asked for, their wish for another address. The owner has a letter. False when the account is not active any more.
async fn replace(
    tx: &mut PgConnection,
    user: UserId,
    hash: &str,
    keep: Option<SessionId>,
    why: Ended,
) -> Result<bool, ApiError> {
    // The account's row first: a log-in under way with the old password waits for it and finds the new one.
    if !users::set_password(&mut *tx, user, hash).await? {
        return Ok(false);
    }
    tokens::clear(&mut *tx, user).await?;
    profile::set_pending_email(&mut *tx, user, None).await?;
    let ended = sessions::revoke_all(&mut *tx, user, keep, why).await?;
    events::sessions_revoked(&mut *tx, user, &ended, why).await?;
    mail::enqueue(&mut *tx, "password_changed", user.uuid(), &json!({})).await?;
    Ok(true)
}
