//! Becoming a user: register, verify the e-mail address. Every answer is the same whether or not the address has an
//! account, and so is the work behind it: mail is made and sent later, by the worker.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use shop_api::ids::UserId;
use shop_api::users::auth::{EmailOnly, MailOnItsWay, MailToken, Register};
use shop_api::{Code, Violations};
use shop_kit::{Access, ApiError, ApiRouter, ClientAddr, Json, mail};
use sqlx::PgConnection;
use utoipa_axum::routes;

use super::audit::{record, record_as};
use super::reauth::limit;
use super::{field, weak};
use crate::db::audit::Actor;
use crate::db::tokens::{self, Purpose, Taken};
use crate::db::users;
use crate::db::{backoff, sessions};
use crate::domain::email::Email;
use crate::domain::password::NewPassword;
use crate::domain::throttle::place_key;
use crate::domain::token::Token;
use crate::events;
use crate::state::AppState;

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new()
        .route(Access::Public, routes!(register))
        .route(Access::Public, routes!(verify))
        .route(Access::Public, routes!(resend))
}

/// Register
///
/// A mail with the next step goes to the address; until it was answered nobody can sign in.
#[utoipa::path(post, path = "/auth/register", tag = "signing up", request_body = Register,
    responses((status = 202, body = MailOnItsWay, description = "The same for every address")))]
async fn register(
    State(state): State<AppState>,
    from: ClientAddr,
    Json(body): Json<Register>,
) -> Result<Response, ApiError> {
    limit(&state, from, state.quotas.mail).await?;
    let (email, password) = check(&body)?;
    let hash = state.hasher.hash(&password).await?;

    let mut tx = state.pool.begin().await?;
    let met = users::register(&mut tx, &email, &hash, body.display_name.trim()).await?;
    // A link verifies the registration that it was mailed for, never a later one of somebody else.
    tokens::revoke(&mut tx, met.id, Purpose::Verify).await?;
    let kind = if met.taken { "already_registered" } else { "verify" };
    mail::enqueue(&mut *tx, kind, met.id.uuid(), &json!({})).await?;
    record_as(&mut tx, "user.registration_asked", Actor::System, Some(met.id.uuid()), json!({})).await?;
    tx.commit().await?;
    Ok(on_its_way())
}

/// Every field that is not acceptable, at once.
fn check(body: &Register) -> Result<(Email, NewPassword), ApiError> {
    let email = Email::parse(&body.email);
    let password = NewPassword::check(&body.password, email.as_ref().map_or("", Email::as_str));
    let mut violations = Violations::default();
    if let Err(error) = &email {
        violations.add("/email", "malformed", error.to_string());
    }
    body.validate_name(&mut violations);
    match (email, password) {
        (Ok(email), Ok(password)) if violations.is_empty() => Ok((email, password)),
        (_, Err(reason)) if violations.is_empty() => Err(weak("/password", reason)),
        (_, password) => {
            if let Err(reason) = password {
                violations.add("/password", reason.code(), reason.to_string());
            }
            Err(ApiError::code(Code::ValidationFailed).errors(violations.into_errors()))
        }
    }
}

/// Ask for another verification mail
#[utoipa::path(post, path = "/auth/verify/resend", tag = "signing up", request_body = EmailOnly,
    responses((status = 202, body = MailOnItsWay, description = "The same for every address")))]
async fn resend(
    State(state): State<AppState>,
    from: ClientAddr,
    Json(body): Json<EmailOnly>,
) -> Result<Response, ApiError> {
    ask_for_mail(&state, from, &body.email, "verify").await
}

/// Queues a mail to the account of an address, or to nobody: the worker finds out.
pub(super) async fn ask_for_mail(
    state: &AppState,
    from: ClientAddr,
    email: &str,
    kind: &str,
) -> Result<Response, ApiError> {
    limit(state, from, state.quotas.mail).await?;
    let email = Email::parse(email).map_err(|error| field("/email", "malformed", error))?;
    let user = users::id_or_fresh(&state.pool, &email).await?;
    mail::enqueue(&state.pool, kind, user.uuid(), &json!({})).await?;
    Ok(on_its_way())
}

fn on_its_way() -> Response {
    let message = "if the address can be used, a mail with the next step is on its way".to_owned();
    (StatusCode::ACCEPTED, Json(MailOnItsWay { message })).into_response()
}

/// Verify an e-mail address
///
/// With the token of the mail: of a new account, or of a new address for an account.
#[utoipa::path(post, path = "/auth/verify", tag = "signing up", request_body = MailToken,
    responses(
        (status = 204, description = "Verified"),
        (status = 409, description = "The new address belongs to another account by now")))]
async fn verify(
    State(state): State<AppState>,
    from: ClientAddr,
    Json(body): Json<MailToken>,
) -> Result<StatusCode, ApiError> {
    let token = Token::parse(&body.token).ok_or(Code::TokenUnusable)?.hash();
    let mut tx = state.pool.begin().await?;
    // The account first, as everybody does who changes how one signs in.
    let user = tokens::subject(&mut *tx, token).await?.ok_or(Code::TokenUnusable)?;
    sessions::hold_account(&mut tx, user).await?;
    if let Some(taken) = tokens::take(&mut tx, token, Purpose::Verify).await? {
        if !proved(&mut tx, taken.user).await? {
            return Err(Code::TokenUnusable.into());
        }
    } else {
        let taken = tokens::take(&mut tx, token, Purpose::EmailChange).await?.ok_or(Code::TokenUnusable)?;
        moved(&mut tx, &taken, from).await?;
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Counts the address as proved, by whichever mail. True when it was not before: from now on there is a user.
pub(super) async fn proved(tx: &mut PgConnection, user: UserId) -> Result<bool, ApiError> {
    if !users::verify(tx, user).await? {
        return Ok(false);
    }
    events::user_registered(tx, user).await?;
    events::user_verified(tx, user).await?;
    record(tx, "user.verified", user.uuid(), user.uuid(), json!({})).await?;
    Ok(true)
}

/// The account has the new address from now on. Its sessions go on: the password was asked for when it was requested.
async fn moved(tx: &mut PgConnection, taken: &Taken, from: ClientAddr) -> Result<(), ApiError> {
    let email = taken.new_email.as_deref().ok_or(Code::TokenUnusable)?;
    if !users::change_email(tx, taken.user, email).await? {
        return Err(
            ApiError::code(Code::AlreadyExists).detail("the address belongs to another account by now")
        );
    }
    // What was mailed to the old address is over: who reads that mailbox may be the reason for moving.
    tokens::clear(tx, taken.user).await?;
    backoff::forget_places(tx, taken.user).await?;
    backoff::proved(tx, place_key(email, from.0), taken.user).await?;
    events::user_verified(tx, taken.user).await?;
    record(tx, "email.changed", taken.user.uuid(), taken.user.uuid(), json!({})).await
}
