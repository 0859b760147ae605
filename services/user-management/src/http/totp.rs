//! Switching the second factor on and off, and its recovery codes. Each step asks for the password again.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use shop_api::users::auth::{ConfirmPassword, ConfirmWithCode, RecoveryCodes, TotpCode, TotpStarted};
use shop_api::{Code, Permission};
use shop_kit::{Access, ApiError, ApiRouter, Json, mail};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use utoipa_axum::routes;

use super::audit::record;
use super::auth::secret;
use super::reauth::{admit_signed_in, confirm_password, refused};
use super::second_factor::{Proof, accept, unix_now, unseal};
use crate::db::backoff::{self, Reserved};
use crate::db::{totp, users};
use crate::domain::token::SecretHash;
use crate::domain::totp::{RECOVERY_CODES, RecoveryCode, Seed};
use crate::signed_in::SignedIn;
use crate::state::AppState;

/// How authenticator apps call the account.
const ISSUER: &str = "Shop";

pub(super) fn router() -> ApiRouter<AppState> {
    let access = Access::Need(Permission::SecurityWrite);
    ApiRouter::new()
        .route(access, routes!(begin, remove))
        .route(access, routes!(confirm))
        .route(access, routes!(renew_recovery_codes))
}

/// Begin a second factor
///
/// It is not in force before its first code was confirmed.
#[utoipa::path(post, path = "/users/me/totp", operation_id = "begin_totp", tag = "security", request_body = ConfirmPassword,
    responses((status = 200, body = TotpStarted), (status = 409, description = "There is one already")))]
async fn begin(
    State(state): State<AppState>,
    me: SignedIn,
    Json(body): Json<ConfirmPassword>,
) -> Result<Response, ApiError> {
    let confirmed = confirm_password(&state, &me, &body.password).await?;
    let seed = Seed::generate();
    let sealed = state.totp_keys.sealer().seal(me.user().uuid().as_bytes(), seed.as_bytes());
    let mut tx = state.pool.begin().await?;
    confirmed.hold(&mut tx, &me).await?;
    if !totp::begin(&mut tx, me.user(), &sealed).await? {
        return Err(
            ApiError::code(Code::AlreadyExists).detail("a second factor is in force: remove it first")
        );
    }
    tx.commit().await?;
    Ok(secret(&TotpStarted {
        secret: seed.base32(),
        otpauth_url: seed.otpauth_url(ISSUER, &me.account.email),
    }))
}

/// Put the second factor into force
///
/// With the first code of the app. The recovery codes are shown this once.
#[utoipa::path(post, path = "/users/me/totp/confirm", operation_id = "confirm_totp", tag = "security", request_body = TotpCode,
    responses(
        (status = 200, body = RecoveryCodes),
        (status = 401, description = "The code is wrong"),
        (status = 404, description = "No second factor was begun"),
        (status = 409, description = "It is in force already")))]
async fn confirm(
    State(state): State<AppState>,
    me: SignedIn,
    Json(body): Json<TotpCode>,
) -> Result<Response, ApiError> {
    let factor = totp::get(&state.pool, me.user()).await?.ok_or(Code::NotFound)?;
    if factor.confirmed {
        return Err(Code::AlreadyExists.into());
    }
    let attempt = admit_signed_in(&state, &me).await?;
    let Some(step) = unseal(&state, me.user(), &factor.sealed_seed)?.step_of(&body.code, unix_now()) else {
        refused(&state, "totp.refused", me.user()).await?;
        return Err(ApiError::code(Code::InvalidCredentials)
            .detail("the code is wrong: is the clock of the device right?"));
    };
    backoff::give_back(&state.pool, &attempt).await?;
    let mut tx = state.pool.begin().await?;
    me.hold(&mut tx).await?;
    if !totp::confirm(&mut tx, me.user(), &factor.sealed_seed, step).await? {
        return Err(ApiError::code(Code::AlreadyExists)
            .detail("it is in force by now, or was begun anew: the code was of the seed before"));
    }
    let codes = new_recovery_codes(&mut tx, &me).await?;
    users::touch(&mut tx, me.user()).await?;
    record(&mut tx, "totp.enabled", me.user().uuid(), me.user().uuid(), json!({})).await?;
    mail::enqueue(&mut *tx, "totp_enabled", me.user().uuid(), &json!({})).await?;
    tx.commit().await?;
    Ok(secret(&codes))
}

/// Take the second factor away
#[utoipa::path(delete, path = "/users/me/totp", operation_id = "remove_totp", tag = "security", request_body = ConfirmWithCode,
    responses(
        (status = 204, description = "Taken away"),
        (status = 401, description = "The password or the code is wrong"),
        (status = 404, description = "There is none")))]
async fn remove(
    State(state): State<AppState>,
    me: SignedIn,
    Json(body): Json<ConfirmWithCode>,
) -> Result<StatusCode, ApiError> {
    let (mut tx, attempt) = prove_both(&state, &me, &body).await?;
    totp::remove(&mut tx, me.user()).await?;
    users::touch(&mut tx, me.user()).await?;
    record(&mut tx, "totp.disabled", me.user().uuid(), me.user().uuid(), json!({})).await?;
    mail::enqueue(&mut *tx, "totp_disabled", me.user().uuid(), &json!({})).await?;
    tx.commit().await?;
    backoff::give_back(&state.pool, &attempt).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get new recovery codes
///
/// The old ones stop working. Asks for a code as well: whoever has new ones has the second factor.
#[utoipa::path(post, path = "/users/me/recovery-codes", tag = "security", request_body = ConfirmWithCode,
    responses(
        (status = 200, body = RecoveryCodes),
        (status = 401, description = "The password or the code is wrong"),
        (status = 404, description = "No second factor is in force")))]
async fn renew_recovery_codes(
    State(state): State<AppState>,
    me: SignedIn,
    Json(body): Json<ConfirmWithCode>,
) -> Result<Response, ApiError> {
    let (mut tx, attempt) = prove_both(&state, &me, &body).await?;
    let codes = new_recovery_codes(&mut tx, &me).await?;
    record(&mut tx, "totp.recovery_codes_renewed", me.user().uuid(), me.user().uuid(), json!({})).await?;
    mail::enqueue(&mut *tx, "recovery_codes_renewed", me.user().uuid(), &json!({})).await?;
    tx.commit().await?;
    backoff::give_back(&state.pool, &attempt).await?;
    Ok(secret(&codes))
}

/// Password and code were right: the transaction in which the code is used up and the account held, and the attempt to be
/// given back when it is committed.
async fn prove_both(
    state: &AppState,
    me: &SignedIn,
    body: &ConfirmWithCode,
) -> Result<(Transaction<'static, Postgres>, Reserved), ApiError> {
    let confirmed = confirm_password(state, me, &body.password).await?;
    need_factor(&state.pool, me).await?;
    let attempt = admit_signed_in(state, me).await?;
    let mut tx = state.pool.begin().await?;
    confirmed.hold(&mut tx, me).await?;
    if accept(&mut tx, state, me.user(), &Proof::guess(&body.code)).await? {
        return Ok((tx, attempt));
    }
    // Given up before it is written down: that takes a connection of its own, and whoever holds one must not wait for
    // another.
    tx.rollback().await?;
    refused(state, "totp.refused", me.user()).await?;
    Err(ApiError::code(Code::InvalidCredentials).detail("the code is wrong, over or was used"))
}

/// 404 where no second factor is in force.
async fn need_factor(pool: &PgPool, me: &SignedIn) -> Result<(), ApiError> {
    let factor = totp::get(pool, me.user()).await?;
    if factor.is_some_and(|factor| factor.confirmed) { Ok(()) } else { Err(Code::NotFound.into()) }
}

async fn new_recovery_codes(tx: &mut PgConnection, me: &SignedIn) -> Result<RecoveryCodes, ApiError> {
    let codes: Vec<RecoveryCode> = (0..RECOVERY_CODES).map(|_| RecoveryCode::generate()).collect();
    let hashes: Vec<SecretHash> = codes.iter().map(RecoveryCode::hash).collect();
    totp::replace_recovery_codes(tx, me.user(), &hashes).await?;
    Ok(RecoveryCodes { recovery_codes: codes.iter().map(RecoveryCode::reveal).collect() })
}
