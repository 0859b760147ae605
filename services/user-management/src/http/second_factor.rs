//! Whether a code proves the second factor. Each code works once, whatever its kind and however often it is sent.

use shop_api::ids::UserId;
use shop_kit::ApiError;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::db::totp;
use crate::domain::totp::{RecoveryCode, Seed};
use crate::state::AppState;

/// What somebody shows.
pub(super) enum Proof<'a> {
    App(&'a str),
    Recovery(&'a str),
}

impl<'a> Proof<'a> {
    /// Of the two fields of a log-in.
    pub(super) fn of(app: Option<&'a str>, recovery: Option<&'a str>) -> Option<Self> {
        app.map(Self::App).or(recovery.map(Self::Recovery))
    }

    /// Of one field for both kinds: six digits are the app's.
    pub(super) fn guess(code: &'a str) -> Self {
        if code.len() == 6 { Self::App(code) } else { Self::Recovery(code) }
    }
}

/// Uses the code up. The caller must give the transaction up when the answer is no.
pub(super) async fn accept(
    tx: &mut PgConnection,
    state: &AppState,
    user: UserId,
    proof: &Proof<'_>,
) -> Result<bool, ApiError> {
    match proof {
        Proof::Recovery(text) => match RecoveryCode::parse(text) {
            Some(code) => Ok(totp::use_recovery_code(tx, user, code.hash()).await?),
            None => Ok(false),
        },
        Proof::App(code) => {
            let Some(factor) = totp::get(&mut *tx, user).await? else { return Ok(false) };
            match unseal(state, user, &factor.sealed_seed)?.step_of(code, unix_now()) {
                Some(step) => Ok(totp::use_step(tx, user, step).await?),
                None => Ok(false),
            }
        }
    }
}

/// The seed of a user. It opens for that user only.
pub(super) fn unseal(state: &AppState, user: UserId, sealed: &[u8]) -> Result<Seed, ApiError> {
    let plain = state.totp_keys.sealer().open(user.uuid().as_bytes(), sealed);
    plain.and_then(|bytes| Seed::from_bytes(&bytes)).ok_or_else(|| {
        ApiError::internal("a second-factor seed does not open: is its key still in TOTP_KEY_FILE?")
    })
}

pub(super) fn unix_now() -> u64 {
    OffsetDateTime::now_utc().unix_timestamp().unsigned_abs()
}
