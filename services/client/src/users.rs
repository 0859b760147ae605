//! Calls to user-management, as programs that sign in need them. One function a call; no flow, no storage.

use shop_api::users::auth::{Login, Refresh, Tokens};
use shop_api::users::profile::Account;

use crate::{Client, Result};

/// What user-management offers to somebody who signs in.
#[derive(Debug, Clone, Copy)]
pub struct Users<'a>(&'a Client);

impl Client {
    /// This client as one of user-management.
    pub fn users(&self) -> Users<'_> {
        Users(self)
    }
}

impl Users<'_> {
    /// Signs in. [`shop_api::Code::SecondFactorRequired`] asks to do it again with a code.
    ///
    /// # Errors
    /// [`crate::ClientError`].
    pub async fn login(&self, login: &Login) -> Result<Tokens> {
        self.0.post("/auth/login").anonymous().json(login).send().await
    }

    /// A new pair of tokens for a refresh token, which then is used up. A lost answer may be asked for again within
    /// the service's ten seconds of grace, so it is tried again.
    ///
    /// # Errors
    /// [`crate::ClientError`].
    pub async fn refresh(&self, refresh: &Refresh) -> Result<Tokens> {
        self.0.post("/auth/refresh").anonymous().repeatable().json(refresh).send().await
    }

    /// Ends the session of this client's token.
    ///
    /// # Errors
    /// [`crate::ClientError`].
    pub async fn logout(&self) -> Result<()> {
        self.0.post("/auth/logout").done().await
    }

    /// Who this client's token belongs to.
    ///
    /// # Errors
    /// [`crate::ClientError`].
    pub async fn me(&self) -> Result<Account> {
        self.0.get("/users/me").send().await
    }
}
