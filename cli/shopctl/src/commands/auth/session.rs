//! The token of a signed-in person, renewed when it ends. One command renews at a time; the others take what it kept.
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use shop_api::users::auth::{Refresh, Tokens};
use shop_client::{Client, ClientError, TokenSource};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::store::{Kept, Store};
use crate::error::CommandError;
use crate::ui::Redactor;

/// A token that ends sooner than this might end on its way.
const MARGIN: Duration = Duration::from_secs(30);

/// Hands out the access token that is kept, or a new one.
pub(super) struct Signed {
    client: Client,
    store: Store,
    redactor: Redactor,
    held: Mutex<Option<Kept>>,
}

impl Kept {
    pub(super) fn of(tokens: Tokens, email: String, redactor: &Redactor) -> Self {
        redactor.register(&tokens.access_token);
        redactor.register(&tokens.refresh_token);
        Self {
            email,
            access_token: tokens.access_token,
            access_until: OffsetDateTime::now_utc() + Duration::from_secs(tokens.expires_in.into()),
            refresh_token: tokens.refresh_token,
            session_until: tokens.refresh_expires_at,
        }
    }

    fn is_fresh(&self) -> bool {
        OffsetDateTime::now_utc() + MARGIN < self.access_until
    }
}

impl Signed {
    pub(super) fn new(client: Client, store: Store, redactor: Redactor) -> Self {
        Self { client, store, redactor, held: Mutex::default() }
    }

    async fn load(&self) -> Result<Kept, ClientError> {
        let Some((kept, _)) = self.store.load().await.map_err(lost)? else {
            return Err(ClientError::NoToken("nobody has signed in here".to_owned()));
        };
        self.redactor.register(&kept.access_token);
        self.redactor.register(&kept.refresh_token);
        Ok(kept)
    }

    /// New tokens for those whose access token is `stale`, unless another command has renewed them meanwhile.
    async fn renew(&self, stale: &str) -> Result<Kept, ClientError> {
        let _lock = self.store.lock().await.map_err(lost)?;
        let kept = self.load().await?;
        if kept.access_token != stale && kept.is_fresh() {
            return Ok(kept);
        }
        let refresh = Refresh { refresh_token: kept.refresh_token };
        match self.client.users().refresh(&refresh).await {
            Ok(tokens) => {
                let renewed = Kept::of(tokens, kept.email, &self.redactor);
                self.store.save(&renewed).await.map_err(lost)?;
                Ok(renewed)
            }
            Err(error) if error.is_unauthorised() => {
                self.store.forget().await.map_err(lost)?;
                Err(ClientError::NoToken("the session has ended".to_owned()))
            }
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl TokenSource for Signed {
    async fn token(&self) -> Result<Option<SecretString>, ClientError> {
        let mut held = self.held.lock().await;
        let mut kept = match held.take() {
            Some(kept) => kept,
            None => self.load().await?,
        };
        if !kept.is_fresh() {
            kept = self.renew(&kept.access_token).await?;
        }
        let token = SecretString::from(kept.access_token.clone());
        *held = Some(kept);
        Ok(Some(token))
    }

    async fn rejected(&self, token: &SecretString) -> bool {
        let mut held = self.held.lock().await;
        match self.renew(token.expose_secret()).await {
            Ok(renewed) => {
                *held = Some(renewed);
                true
            }
            // What is kept is gone or as it was: the refusal stands.
            Err(_) => false,
        }
    }
}

/// The words of a store's error; its exit code is that of a missing token.
fn lost(error: CommandError) -> ClientError {
    ClientError::NoToken(error.message)
}
