//! Throttled comparison of a password: for signing in, and once more, with the second factor, before what a stolen access
//! token must not do.

use std::time::Duration;

use serde_json::json;
use shop_api::Code;
use shop_api::ids::UserId;
use shop_kit::limit::Decision;
use shop_kit::{ApiError, ClientAddr, Quota};
use sqlx::{PgConnection, Postgres, Transaction};

use super::audit::record;
use super::second_factor::{Proof, accept};
use crate::db::backoff::{self, Attempt, Reserved};
use crate::db::{totp, users};
use crate::domain::throttle::{ACCOUNT_BUDGET, LONGEST, account_key, network, place_key, session_key};
use crate::hashing::Verdict;
use crate::signed_in::SignedIn;
use crate::state::AppState;

impl Attempt {
    /// An attempt on the account of this address, from where the request comes.
    pub(super) fn on(email: &str, from: ClientAddr) -> Self {
        Self { place: place_key(email, from.0), account: account_key(email) }
    }

    /// An attempt of somebody signed in, wherever they are.
    pub(super) fn of(me: &SignedIn) -> Self {
        Self { place: session_key(me.session), account: account_key(&me.account.email) }
    }
}

/// Takes one from what the address of the request may ask for.
pub(super) async fn limit(state: &AppState, from: ClientAddr, quota: Option<Quota>) -> Result<(), ApiError> {
    match quota {
        Some(quota) => state.limiter.require(&network(from.0).to_string(), quota).await,
        None => Ok(()),
    }
}

/// Lets an attempt pass, counted as a failure until it proves none, or says when to come back: before anything is
/// hashed, and alike for accounts that do not exist.
pub(super) async fn admit(state: &AppState, attempt: Attempt) -> Result<Reserved, ApiError> {
    // A storm costs its queue no write: what cannot be hashed now is not counted either.
    state.hasher.check_room()?;
    backoff::reserve(&state.pool, attempt).await?.map_err(throttled)
}

/// The same for somebody signed in. Their session is a place of its own, which no stranger can guess from, and a known one:
/// however the account's budget is spent, they are heard.
pub(super) async fn admit_signed_in(state: &AppState, me: &SignedIn) -> Result<Reserved, ApiError> {
    let mut reserved = admit(state, Attempt::of(me)).await?;
    reserved.known = true;
    Ok(reserved)
}

/// What an account may see of failures, as its header says it.
const BUDGET: Quota = Quota { name: "account", burst: ACCOUNT_BUDGET, per: LONGEST };

fn throttled(wait: Duration) -> ApiError {
    metrics::counter!("sign_in_throttled_total").increment(1);
    Decision { allowed: false, remaining: 0, reset: wait, retry_after: wait }
        .refusal(BUDGET)
        .detail("too many failed attempts on this account: wait before the next one")
}

/// Compares a password for an admitted attempt. One that finds no place in the queue was no guess.
///
/// Once the account's budget is spent, every attempt is compared and then told to wait, but the right one from a known
/// place: an account that does not exist has no known place, and would be told apart by a refusal before the hash.
pub(super) async fn compare(
    state: &AppState,
    reserved: &Reserved,
    password: &str,
    stored: Option<&str>,
) -> Result<Verdict, ApiError> {
    match state.hasher.verify(password, stored).await {
        Ok(verdict) => match reserved.spent {
            Some(wait) if verdict == Verdict::Wrong || !reserved.known => Err(throttled(wait)),
            _ => Ok(verdict),
        },
        Err(busy) => {
            backoff::give_back(&state.pool, reserved).await?;
            Err(busy.into())
        }
    }
}

/// Who one is, said once more: the password was right. Whether a code is needed, and right, is asked of the held account.
#[must_use = "it counts in the transaction that holds the account"]
pub(super) struct Confirmed {
    /// What the password was compared with.
    password_hash: String,
    /// The code, and the attempt that it is.
    code: Option<(String, Reserved)>,
}

/// An account that is held until the transaction ends, for what was asked for.
#[must_use = "nothing is done before it is committed"]
pub(super) struct Held {
    pub(super) tx: Transaction<'static, Postgres>,
    pub(super) attempt: Option<Reserved>,
}

impl Confirmed {
    /// What was asked for is not done, and not for the code's sake: that was no guess. Answers why.
    pub(super) async fn give_up(self, state: &AppState, why: ApiError) -> ApiError {
        let Some((_, attempt)) = self.code else { return why };
        backoff::give_back(&state.pool, &attempt).await.map_or_else(ApiError::from, |()| why)
    }

    /// Holds the account until the transaction ends. Comparing takes long: a reset in the meantime shuts out whoever knew
    /// the password before.
    pub(super) async fn hold_for_password(
        &self,
        tx: &mut PgConnection,
        me: &SignedIn,
    ) -> Result<(), ApiError> {
        if me.hold(tx).await?.password_hash == self.password_hash {
            return Ok(());
        }
        Err(ApiError::code(Code::InvalidCredentials).detail("the password was changed meanwhile"))
    }

    /// The same, and uses the code up, which a second factor in force asks for.
    pub(super) async fn hold(
        self,
        state: &AppState,
        mut tx: Transaction<'static, Postgres>,
        me: &SignedIn,
    ) -> Result<Held, ApiError> {
        self.hold_for_password(&mut tx, me).await?;
        match (totp::in_force(&mut tx, me.user()).await?, self.code) {
            (true, Some((code, attempt))) => {
                if accept(&mut tx, state, me.user(), &Proof::guess(&code)).await? {
                    return Ok(Held { tx, attempt: Some(attempt) });
                }
                record(&mut tx, "totp.refused", me.user().uuid(), me.user().uuid(), json!({})).await?;
                tx.commit().await?;
                Err(ApiError::code(Code::InvalidCredentials).detail("the code is wrong, over or was used"))
            }
            (true, None) => Err(Code::SecondFactorRequired.into()),
            (false, code) => Ok(Held { tx, attempt: code.map(|(_, attempt)| attempt) }),
        }
    }
}

impl Held {
    /// Does what was asked for. What was right is no failure.
    pub(super) async fn commit(self, state: &AppState) -> Result<(), ApiError> {
        self.tx.commit().await?;
        if let Some(attempt) = self.attempt {
            backoff::give_back(&state.pool, &attempt).await?;
        }
        Ok(())
    }
}

/// Notes in the audit log that somebody signed in could not prove once more who they are.
pub(super) async fn refused(state: &AppState, action: &'static str, user: UserId) -> Result<(), ApiError> {
    let mut tx = state.pool.begin().await?;
    record(&mut tx, action, user.uuid(), user.uuid(), json!({})).await?;
    Ok(tx.commit().await?)
}

/// Asks a signed-in user who they are once more: for the password, and for the second factor where one is in force.
pub(super) async fn confirm(
    state: &AppState,
    me: &SignedIn,
    password: &str,
    code: Option<&str>,
) -> Result<Confirmed, ApiError> {
    let user = users::credentials(&state.pool, me.user()).await?.ok_or(Code::SessionEnded)?;
    let _place = state.hasher.signed_in()?;
    let attempt = admit_signed_in(state, me).await?;
    let verdict = compare(state, &attempt, password, Some(&user.password_hash)).await?;
    if verdict == Verdict::Wrong {
        refused(state, "password.refused", user.id).await?;
        return Err(ApiError::code(Code::InvalidCredentials).detail("the password is wrong"));
    }
    backoff::give_back(&state.pool, &attempt).await?;
    let code = match code.filter(|_| user.two_factor) {
        Some(code) => Some((code.to_owned(), admit_signed_in(state, me).await?)),
        None => None,
    };
    Ok(Confirmed { password_hash: user.password_hash, code })
}
