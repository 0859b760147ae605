//! What the handlers share. It is made once and never changes; what changes behind it guards itself.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;
use shop_kit::db::HotReads;
use shop_kit::{Kit, Limiter, Quota};
use sqlx::PgPool;

use crate::hashing::Hasher;
use crate::keys::SigningKeys;
use crate::sealing::KeyFile;

pub use shop_kit::token::ACCESS_TOKEN_LIFE;

/// Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// The fields of [`AppState`].
pub struct Shared {
    pub pool: PgPool,
    pub hot: HotReads,
    pub limiter: Limiter,
    pub hasher: Hasher,
    pub keys: Arc<SigningKeys>,
    pub totp_keys: KeyFile,
    pub issuer: String,
    pub audience: String,
    pub quotas: Quotas,
}

/// What one client address, or one session, may ask for; `None` for no bound.
#[derive(Debug, Clone, Copy)]
pub struct Quotas {
    /// Attempts to sign in.
    pub sign_in: Option<Quota>,
    /// Requests that lead to a mail.
    pub mail: Option<Quota>,
    /// Renewals of the tokens of one session, from wherever. Each leaves a row for as long as the session is kept: by it a
    /// token that was used before, however long ago, is told from a made-up one. So what comes in is bounded; a row that
    /// was thrown away would let a thief who renews often enough go unseen.
    pub refresh: Option<Quota>,
}

/// For the routes that kit brings along.
impl FromRef<AppState> for PgPool {
    fn from_ref(state: &AppState) -> Self {
        state.pool.clone()
    }
}

impl AppState {
    /// From what kit has ready and what the configuration named.
    #[must_use]
    pub fn new(
        kit: &Kit,
        hasher: Hasher,
        keys: Arc<SigningKeys>,
        totp_keys: KeyFile,
        quotas: Quotas,
    ) -> Self {
        Self(Arc::new(Shared {
            pool: kit.db.pool.clone(),
            hot: kit.db.hot.clone(),
            limiter: kit.limiter.clone(),
            hasher,
            keys,
            totp_keys,
            issuer: kit.config.tokens.issuer.clone(),
            audience: kit.config.tokens.audience.clone(),
            quotas,
        }))
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
