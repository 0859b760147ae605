//! A user's own account: read, edit, change the e-mail address, close it.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use shop_api::Code;
use shop_api::Permission::{ProfileRead, ProfileWrite, SecurityWrite};
use shop_api::users::auth::CloseAccount;
use shop_api::users::profile::{Account, ChangeEmail, UpdateProfile};
use shop_kit::etag::{ETag, IfMatch, IfNoneMatch};
use shop_kit::{Access, ApiError, ApiRouter, ClientAddr, Json, mail};
use utoipa_axum::routes;

use super::audit::record;
use super::field;
use super::reauth::{confirm, limit};
use crate::db::sessions::Ended;
use crate::db::tokens::{self, Purpose};
use crate::db::{admin, profile, sessions};
use crate::domain::email::Email;
use crate::events;
use crate::signed_in::SignedIn;
use crate::state::AppState;
use crate::workers::mail::NOTICE;

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new()
        .route(Access::Need(ProfileRead), routes!(read))
        .route(Access::Need(ProfileWrite), routes!(update))
        .route(Access::Need(ProfileWrite), routes!(close))
        .route(Access::Need(SecurityWrite), routes!(change_email))
}

/// Read your account
///
/// Costs one query: the one that every signed-in call makes for its session.
#[utoipa::path(get, path = "/users/me", operation_id = "read_account", tag = "profile",
    params(("If-None-Match" = Option<String>, Header, description = "The ETag you hold")),
    responses(
        (status = 200, body = Account, headers(("ETag" = String))),
        (status = 304, description = "You hold this version already", headers(("ETag" = String)))))]
async fn read(me: SignedIn, held: IfNoneMatch) -> Response {
    held.answer(ETag::of_version(me.version), Json(me.account))
}

/// Edit your profile
#[utoipa::path(patch, path = "/users/me", operation_id = "edit_profile", tag = "profile", request_body = UpdateProfile,
    params(("If-Match" = String, Header, description = "The ETag of what you read", example = "\"v1\"",
            pattern = r#"^([*]|"v[0-9]{1,19}")$"#)),
    responses(
        (status = 200, body = Account, headers(("ETag" = String))),
        (status = 412), (status = 428)))]
async fn update(
    State(state): State<AppState>,
    me: SignedIn,
    seen: IfMatch,
    Json(change): Json<UpdateProfile>,
) -> Result<impl IntoResponse, ApiError> {
    let mut tx = state.pool.begin().await?;
    let held = me.hold(&mut tx).await?;
    seen.check(ETag::of_version(held.version))?;
    if !change.is_empty() {
        profile::update(&mut tx, me.user(), &change).await?;
    }
    let (account, version) = profile::get(&mut *tx, me.user()).await?.ok_or(Code::SessionEnded)?;
    tx.commit().await?;
    Ok((ETag::of_version(version), Json(account)))
}

/// Close your account
///
/// Everything about you is erased or anonymised, here and in the other services. There is no way back. For as long as
/// the audit log is kept, it goes on saying what was done to the account, without name and address; with the reason that
/// an administrator wrote, if the account was ever disabled.
#[utoipa::path(delete, path = "/users/me", operation_id = "close_account", tag = "profile", request_body = CloseAccount,
    responses(
        (status = 204, description = "Closed"),
        (status = 401, description = "The password or the code is wrong, or a code is needed"),
        (status = 409, description = "You are the last administrator")))]
async fn close(
    State(state): State<AppState>,
    me: SignedIn,
    Json(closing): Json<CloseAccount>,
) -> Result<StatusCode, ApiError> {
    let confirmed = confirm(&state, &me, &closing.password, closing.code.as_deref()).await?;
    let mut tx = state.pool.begin().await?;
    // Before the account itself: administrators are locked in one order.
    let locked = admin::lock(&mut tx, me.user()).await?.ok_or(Code::SessionEnded)?;
    if locked.is_last_admin {
        tx.rollback().await?;
        return Err(confirmed.give_up(&state, Code::LastAdmin.into()).await);
    }
    let mut held = confirmed.hold(&state, tx, &me).await?;
    let tx = &mut held.tx;
    let ended = sessions::revoke_all(tx, me.user(), None, Ended::Deleted).await?;
    profile::anonymise(tx, me.user()).await?;
    events::sessions_revoked(tx, me.user(), &ended, Ended::Deleted).await?;
    events::user_deleted(tx, me.user()).await?;
    record(tx, "user.deleted", me.user().uuid(), me.user().uuid(), json!({})).await?;
    held.commit(&state).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Change your e-mail address
///
/// A mail goes to the new address; give its token to `POST /auth/verify` and the change takes effect. The answer is
/// the same whether or not the address belongs to somebody else.
#[utoipa::path(post, path = "/users/me/email", tag = "security", request_body = ChangeEmail,
    responses(
        (status = 202, description = "A mail is on its way to the new address"),
        (status = 401, description = "The password or the code is wrong, or a code is needed")))]
async fn change_email(
    State(state): State<AppState>,
    me: SignedIn,
    from: ClientAddr,
    Json(change): Json<ChangeEmail>,
) -> Result<StatusCode, ApiError> {
    // It mails to whatever address is given.
    limit(&state, from, state.quotas.mail).await?;
    let email = Email::parse(&change.email).map_err(|error| field("/email", "malformed", error))?;
    let confirmed = confirm(&state, &me, &change.password, change.code.as_deref()).await?;
    let mut held = confirmed.hold(&state, state.pool.begin().await?, &me).await?;
    let tx = &mut held.tx;
    profile::set_pending_email(tx, me.user(), Some(&email)).await?;
    // Until the new mail is out, the one before would move the account to where it shall not go any more.
    tokens::revoke(tx, me.user(), Purpose::EmailChange).await?;
    record(tx, "email.change_requested", me.user().uuid(), me.user().uuid(), json!({})).await?;
    mail::enqueue(&mut **tx, NOTICE, me.user().uuid(), &json!({})).await?;
    mail::enqueue(&mut **tx, "email_change", me.user().uuid(), &json!({})).await?;
    held.commit(&state).await?;
    Ok(StatusCode::ACCEPTED)
}
