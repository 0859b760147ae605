//! Switching the second factor on and off, and its recovery codes. Each step asks for the password again.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use shop_api::users::auth::{ConfirmPassword, ConfirmWithCode, RecoveryCodes, TotpCode, TotpStarted};
use shop_api::{Code, Permission};
use shop_kit::{Access, ApiError, ApiRouter, Json, mail};
use sqlx::PgConnection;
use utoipa_axum::routes;

use super::audit::record;
use super::auth::secret;
use super::reauth::{Held, admit_signed_in, confirm, refused};
use super::second_factor::{unix_now, unseal};
use crate::db::backoff;
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
        .route(access, routes!(put_into_force))
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
    let confirmed = confirm(&state, &me, &body.password, None).await?;
    let seed = Seed::generate();
    let sealed = state.totp_keys.sealer().seal(me.user().uuid().as_bytes(), seed.as_bytes());
    let mut tx = state.pool.begin().await?;
    confirmed.hold_for_password(&mut tx, &me).await?;
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
async fn put_into_force(
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
    let mut held = prove_both(&state, &me, &body).await?;
    let tx = &mut held.tx;
    totp::remove(tx, me.user()).await?;
    users::touch(tx, me.user()).await?;
    record(tx, "totp.disabled", me.user().uuid(), me.user().uuid(), json!({})).await?;
    mail::enqueue(&mut **tx, "totp_disabled", me.user().uuid(), &json!({})).await?;
    held.commit(&state).await?;
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
    let mut held = prove_both(&state, &me, &body).await?;
    let tx = &mut held.tx;
    let codes = new_recovery_codes(tx, &me).await?;
    record(tx, "totp.recovery_codes_renewed", me.user().uuid(), me.user().uuid(), json!({})).await?;
    mail::enqueue(&mut **tx, "recovery_codes_renewed", me.user().uuid(), &json!({})).await?;
    held.commit(&state).await?;
    Ok(secret(&codes))
}

/// Holds the account once password and code were right; 404 where no second factor is in force.
async fn prove_both(state: &AppState, me: &SignedIn, body: &ConfirmWithCode) -> Result<Held, ApiError> {
    let confirmed = confirm(state, me, &body.password, Some(&body.code)).await?;
    let mut held = confirmed.hold(state, state.pool.begin().await?, me).await?;
    if totp::in_force(&mut held.tx, me.user()).await? { Ok(held) } else { Err(Code::NotFound.into()) }
}

async fn new_recovery_codes(tx: &mut PgConnection, me: &SignedIn) -> Result<RecoveryCodes, ApiError> {
    let codes: Vec<RecoveryCode> = (0..RECOVERY_CODES).map(|_| RecoveryCode::generate()).collect();
    let hashes: Vec<SecretHash> = codes.iter().map(RecoveryCode::hash).collect();
    totp::replace_recovery_codes(tx, me.user(), &hashes).await?;
    Ok(RecoveryCodes { recovery_codes: codes.iter().map(RecoveryCode::reveal).collect() })
}
