//! Whether the session behind a token is alive, asked of the database on every call, and the account row that the
//! same statement brings along. Must not cache: a revoked session, a disabled account and a changed role count at
//! once here.

use async_trait::async_trait;
use axum::extract::FromRequestParts;
use http::Extensions;
use http::request::Parts;
use shop_api::ids::{SessionId, UserId};
use shop_api::users::profile::Account;
use shop_api::{Code, Role, Roles};
use shop_kit::db::HotReads;
use shop_kit::{ApiError, Caller, SessionCheck};
use sqlx::PgConnection;

use crate::db::sessions::{self, Held};
use crate::db::{clients, profile};

/// The caller's account, as it was read when the session was checked.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub account: Account,
    /// Of the account's row, for its `ETag`.
    pub version: i64,
    pub session: SessionId,
}

impl SignedIn {
    /// The caller.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.account.id
    }

    /// Holds the account until the transaction ends, for a change by its owner.
    ///
    /// # Errors
    /// [`Code::SessionEnded`] when the session has ended since the call was let in.
    pub async fn hold(&self, tx: &mut PgConnection) -> Result<Held, ApiError> {
        Ok(sessions::hold(tx, self.user(), self.session).await?.ok_or(Code::SessionEnded)?)
    }
}

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = ApiError;

    /// Takes it out: it is the handler's, and nobody asks twice.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // A service has no account; its roles grant none of the routes that ask for one.
        parts
            .extensions
            .remove()
            .ok_or_else(|| ApiError::code(Code::Forbidden).detail("only a person has an account"))
    }
}

/// Asks the database.
#[derive(Clone)]
pub struct SessionChecker {
    hot: HotReads,
}

impl SessionChecker {
    /// Over these connections.
    #[must_use]
    pub fn new(hot: HotReads) -> Self {
        Self { hot }
    }
}

#[async_trait]
impl SessionCheck for SessionChecker {
    async fn check(&self, caller: &Caller, extensions: &mut Extensions) -> Result<Roles, ApiError> {
        let ended = || ApiError::code(Code::SessionEnded);
        let Some(session) = caller.session else {
            let lives = self.hot.query_opt(clients::LIVES, &[&caller.subject]).await?.is_some();
            // Not that a session ended, which it has none of: another token may be had by the client that took its place.
            let gone = || ApiError::code(Code::InvalidToken).detail("the client of this token was deleted");
            return if lives { Ok(caller.roles) } else { Err(gone()) };
        };
        let row = self.hot.query_opt(profile::BY_SESSION, &[&session.uuid()]).await?.ok_or_else(ended)?;
        let (account, version) = profile::from_hot_row(&row).map_err(ApiError::internal)?;
        if account.id.uuid() != caller.subject {
            return Err(ended());
        }
        let roles = account.roles.iter().map(|role| Role::from(*role)).collect();
        extensions.insert(SignedIn { account, version, session });
        Ok(roles)
    }
}
