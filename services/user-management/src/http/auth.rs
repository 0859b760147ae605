//! Signing in and staying signed in: log in, refresh, log out. Nothing here tells whether an account exists.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use shop_api::ids::{SessionId, UserId};
use shop_api::users::auth::{Login, Refresh, TokenType, Tokens};
use shop_api::{Code, Permission, Roles};
use shop_kit::token::Claims;
use shop_kit::{Access, ApiError, ApiRouter, Caller, ClientAddr, Json};
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa_axum::routes;

use super::audit::{record, record_as};
use super::reauth::limit;
use super::second_factor::{self, Proof};
use super::{field, reauth};
use crate::db::audit::Actor;
use crate::db::backoff::{self, Attempt, Reserved};
use crate::db::refresh::{self, Family, Refreshed};
use crate::db::sessions::{self, Ended, Start, Started};
use crate::db::users::{self, Credentials};
use crate::domain::email::Email;
use crate::domain::token::Token;
use crate::events;
use crate::hashing::Verdict;
use crate::sealing::Sealer;
use crate::state::{ACCESS_TOKEN_LIFE, AppState};

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new()
        .route(Access::Public, routes!(login))
        .route(Access::Public, routes!(refresh_tokens))
        .route(Access::Signed, routes!(logout))
        .route(Access::Need(Permission::SessionsWrite), routes!(logout_all))
}

/// Sign in
///
/// An account with a second factor answers `second_factor_required` to the right password alone: send the same
/// again with a code. An account has at most a hundred sessions: one more ends the one that was used longest ago.
#[utoipa::path(post, path = "/auth/login", tag = "signing in", request_body = Login,
    responses(
        (status = 200, body = Tokens),
        (status = 401, description = "Wrong, not verified yet, or a second factor is needed"),
        (status = 403, description = "The account is disabled")))]
async fn login(
    State(state): State<AppState>,
    from: ClientAddr,
    headers: HeaderMap,
    Json(login): Json<Login>,
) -> Result<Response, ApiError> {
    limit(&state, from, state.quotas.sign_in).await?;
    let email = Email::parse(&login.email).map_err(|error| field("/email", "malformed", error))?;
    let attempt = reauth::admit(&state, Attempt::on(email.as_str(), from)).await?;

    let user = users::credentials_by_email(&state.pool, &email).await?;
    let stored = user.as_ref().map(|user| user.password_hash.as_str());
    let verdict = reauth::compare(&state, &attempt, &login.password, stored).await?;
    let user = match user {
        Some(user) if verdict != Verdict::Wrong && user.verified => user,
        other => {
            refused(&state, other.map(|user| user.id), json!({})).await?;
            return Err(wrong());
        }
    };
    let proof = match proof(&user, &login) {
        Ok(proof) => proof,
        Err(no_guess) => {
            backoff::give_back(&state.pool, &attempt).await?;
            if !user.active {
                refused(&state, Some(user.id), json!({ "because": "disabled" })).await?;
            }
            return Err(no_guess);
        }
    };

    let mut tx = state.pool.begin().await?;
    if let Some(proof) = proof {
        // The account first, as everybody does who changes how one signs in.
        sessions::hold_account(&mut tx, user.id).await?.ok_or(Code::InvalidCredentials)?;
        if !second_factor::accept(&mut tx, &state, user.id, &proof).await? {
            tx.rollback().await?;
            refused(&state, Some(user.id), json!({ "because": "second_factor" })).await?;
            return Err(
                ApiError::code(Code::SecondFactorRequired).detail("the code is wrong, over or was used")
            );
        }
    }
    let refresh = Token::generate();
    let start = Start {
        user: user.id,
        password_hash: &user.password_hash,
        user_agent: &user_agent(&headers),
        address: &from.0.to_canonical().to_string(),
        refresh: refresh.hash(),
    };
    let started = sessions::start(&mut tx, &start).await?;
    let Started { session, expires_at, roles } = started.ok_or(Code::InvalidCredentials)?;
    begun(&mut tx, &attempt, user.id, session).await?;
    let answer = tokens(&state, &Refreshed { session, user: user.id, roles, expires_at }, &refresh)?;
    tx.commit().await?;
    metrics::counter!("sign_ins_total", "outcome" => "done").increment(1);

    // The session is made: whatever becomes of the hash, whoever signed in is told so.
    if verdict == Verdict::RightButOutdated
        && let Err(error) = upgrade(&state, &user, &login.password).await
    {
        tracing::warn!(user.id = %user.id, %error, "an outdated password hash stays until the next log-in");
    }
    Ok(answer)
}

/// What a session that begins does to the account's other ones, to the count of failures and to the audit log.
async fn begun(
    tx: &mut PgConnection,
    attempt: &Reserved,
    user: UserId,
    session: SessionId,
) -> Result<(), ApiError> {
    end_surplus(tx, user, session).await?;
    backoff::succeeded(tx, attempt, user).await?;
    record(tx, "session.started", user.uuid(), user.uuid(), json!({ "session": session })).await
}

/// Ends the sessions beyond what an account may have.
async fn end_surplus(tx: &mut PgConnection, user: UserId, begun: SessionId) -> Result<(), ApiError> {
    let ended = sessions::end_surplus(&mut *tx, user, begun).await?;
    if ended.is_empty() {
        return Ok(());
    }
    events::sessions_revoked(tx, user, &ended, Ended::Revoked).await?;
    let data = json!({ "sessions": ended, "because": "too_many" });
    record_as(tx, "session.surplus_ended", Actor::System, Some(user.uuid()), data).await
}

/// Stores a password that was found right under today's parameters.
async fn upgrade(state: &AppState, user: &Credentials, password: &str) -> Result<(), ApiError> {
    let fresh = state.hasher.rehash(password).await?;
    users::upgrade_hash(&state.pool, user.id, &user.password_hash, &fresh).await?;
    Ok(())
}

/// The code that the right password has to be accompanied by, if any.
fn proof<'a>(user: &Credentials, login: &'a Login) -> Result<Option<Proof<'a>>, ApiError> {
    if !user.active {
        return Err(ApiError::code(Code::Forbidden).detail("this account is disabled: write to the shop"));
    }
    let proof = Proof::of(login.totp_code.as_deref(), login.recovery_code.as_deref());
    match (user.two_factor, proof) {
        (false, _) => Ok(None),
        (true, None) => Err(Code::SecondFactorRequired.into()),
        (true, proof) => Ok(proof),
    }
}

/// Notes the failure, which counts already; only the audit log is told the reason. An account that does not exist costs
/// the same as one that does.
async fn refused(state: &AppState, user: Option<UserId>, data: Value) -> Result<(), ApiError> {
    let mut tx = state.pool.begin().await?;
    record_as(&mut tx, "session.refused", Actor::System, user.map(|user| user.uuid()), data).await?;
    tx.commit().await?;
    metrics::counter!("sign_ins_total", "outcome" => "refused").increment(1);
    Ok(())
}

fn wrong() -> ApiError {
    ApiError::code(Code::InvalidCredentials).detail(
        "the address or the password is wrong, or the link in the verification mail was not opened yet",
    )
}

/// Renew tokens
///
/// The refresh token is used up and comes back renewed. One that was used before ends the session, unless it comes
/// again within ten seconds of its use: then the same new one is answered again.
/// A session has a quota of renewals.
#[utoipa::path(post, path = "/auth/refresh", tag = "signing in", request_body = Refresh,
    responses((status = 200, body = Tokens), (status = 401, description = "Unknown, used before, or its session has ended")))]
async fn refresh_tokens(
    State(state): State<AppState>,
    Json(body): Json<Refresh>,
) -> Result<Response, ApiError> {
    let presented = Token::parse(&body.refresh_token).ok_or(Code::InvalidToken)?;
    let found = refresh::look_up(&state.pool, presented.hash()).await?.ok_or(Code::InvalidToken)?;
    // A thief who renews without pause spends the quota: the owner, who comes with a token that was used, must be heard.
    if let Some(quota) = state.quotas.refresh.filter(|_| !found.is_stolen) {
        state.limiter.require(&found.session.to_string(), quota).await?;
    }
    let successor = Token::generate();
    let sealer = Sealer::from_token(&presented);
    let sealed = sealer.seal(SUCCESSOR, successor.reveal().as_bytes());

    let mut tx = state.pool.begin().await?;
    let hash = presented.hash();
    let Family { session, alive } = refresh::hold(&mut tx, hash).await?.ok_or(Code::InvalidToken)?;
    if !alive {
        return Err(Code::SessionEnded.into());
    }
    if let Some(expires_at) =
        refresh::rotate(&mut tx, session.session, hash, successor.hash(), &sealed).await?
    {
        let answer = tokens(&state, &Refreshed { expires_at, ..session }, &successor)?;
        tx.commit().await?;
        return Ok(answer);
    }
    let again = refresh::successor(&mut tx, hash).await?;
    let again = again.and_then(|sealed| sealer.open(SUCCESSOR, &sealed));
    if let Some(successor) = again.and_then(|text| Token::parse(std::str::from_utf8(&text).ok()?)) {
        return tokens(&state, &session, &successor);
    }
    let Refreshed { session, user, .. } = session;
    sessions::revoke(&mut tx, user, session, Ended::RefreshReuse).await?;
    events::sessions_revoked(&mut tx, user, &[session], Ended::RefreshReuse).await?;
    let data = json!({ "session": session });
    record_as(&mut tx, "session.refresh_reused", Actor::System, Some(user.uuid()), data).await?;
    tx.commit().await?;
    metrics::counter!("refresh_reuse_total").increment(1);
    Err(ApiError::code(Code::InvalidToken)
        .detail("the token was used before, so its session was ended: sign in again"))
}

/// What the sealed successor of a refresh token is bound to.
const SUCCESSOR: &[u8] = b"successor";

/// Sign out
///
/// Ends the session of the access token at once. A service's token has none and stays good until it expires.
#[utoipa::path(post, path = "/auth/logout", tag = "signing in",
    responses((status = 204, description = "Signed out")))]
async fn logout(State(state): State<AppState>, caller: Caller) -> Result<StatusCode, ApiError> {
    let Some(session) = caller.session else { return Ok(StatusCode::NO_CONTENT) };
    let user = UserId::from(caller.subject);
    let mut tx = state.pool.begin().await?;
    if sessions::revoke(&mut tx, user, session, Ended::Logout).await? {
        events::sessions_revoked(&mut tx, user, &[session], Ended::Logout).await?;
        record(&mut tx, "session.ended", user.uuid(), user.uuid(), json!({ "session": session })).await?;
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sign out everywhere
#[utoipa::path(post, path = "/auth/logout-all", tag = "signing in",
    responses((status = 204, description = "Every session of the account has ended, this one too")))]
async fn logout_all(State(state): State<AppState>, caller: Caller) -> Result<StatusCode, ApiError> {
    let user = UserId::from(caller.subject);
    let mut tx = state.pool.begin().await?;
    let ended = sessions::revoke_all(&mut tx, user, None, Ended::Logout).await?;
    events::sessions_revoked(&mut tx, user, &ended, Ended::Logout).await?;
    record(&mut tx, "session.all_ended", user.uuid(), user.uuid(), json!({ "sessions": ended })).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The answer to whoever is signed in now.
fn tokens(state: &AppState, session: &Refreshed, refresh: &Token) -> Result<Response, ApiError> {
    let access_token = access_token(state, session.user, session.session, session.roles)?;
    Ok(secret(&Tokens {
        token_type: TokenType::Bearer,
        access_token,
        expires_in: ACCESS_TOKEN_LIFE.as_secs() as u32,
        refresh_token: refresh.reveal().to_owned(),
        refresh_expires_at: session.expires_at,
        session_id: session.session,
    }))
}

/// Called while the account is held: a token never says older roles than its time, by which others judge it.
fn access_token(
    state: &AppState,
    user: UserId,
    session: SessionId,
    roles: Roles,
) -> Result<String, ApiError> {
    let now = OffsetDateTime::now_utc();
    let claims = Claims::new(&state.issuer, &state.audience, user.uuid(), roles, now, ACCESS_TOKEN_LIFE);
    state.keys.sign(&claims.session(session)).map_err(ApiError::internal)
}

/// An answer that no cache may keep (RFC 6749 §5.1).
pub(super) fn secret(body: &impl Serialize) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// As the program calls itself, for the list of sessions: at most 256 printable characters of it.
fn user_agent(headers: &HeaderMap) -> String {
    let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(256).collect()
}
