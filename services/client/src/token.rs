//! Where the access token of a call comes from. A source hands out tokens; it never decides who may do what.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use shop_api::users::auth::ServiceToken;
use tokio::sync::Mutex;

use crate::{Client, ClientError, Result};

/// A token is renewed this long before it ends, so that it does not end on its way.
const MARGIN: Duration = Duration::from_secs(30);

/// Gives the token of a call.
#[async_trait]
pub trait TokenSource: Send + Sync + 'static {
    /// The token to send; `None` sends none.
    ///
    /// # Errors
    /// [`ClientError::NoToken`] when there should be one.
    async fn token(&self) -> Result<Option<SecretString>>;

    /// Told when the service did not take this token. True when another one is worth a try.
    async fn rejected(&self, _token: &SecretString) -> bool {
        false
    }
}

/// No token at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

#[async_trait]
impl TokenSource for Anonymous {
    async fn token(&self) -> Result<Option<SecretString>> {
        Ok(None)
    }
}

/// One token, as long as it lasts.
#[derive(Debug, Clone)]
pub struct Fixed(pub SecretString);

#[async_trait]
impl TokenSource for Fixed {
    async fn token(&self) -> Result<Option<SecretString>> {
        Ok(Some(self.0.clone()))
    }
}

/// The token of a service: fetched with its client id and secret (RFC 6749 §4.4), kept until shortly before its end.
/// Callers that find none wait for the one that fetches.
pub struct ClientCredentials {
    issuer: Client,
    read: Box<dyn Fn() -> std::io::Result<(String, SecretString)> + Send + Sync>,
    held: Mutex<Option<Held>>,
}

struct Held {
    token: SecretString,
    until: Instant,
}

impl ClientCredentials {
    /// Tokens from `issuer`; `read` gives the client's id and secret and is asked each time, so that a rotated secret is
    /// found, and a client that was made anew.
    pub fn new(
        issuer: Client,
        read: impl Fn() -> std::io::Result<(String, SecretString)> + Send + Sync + 'static,
    ) -> Self {
        Self { issuer, read: Box::new(read), held: Mutex::default() }
    }

    async fn fetch(&self) -> Result<Held> {
        let (id, secret) = (self.read)()
            .map_err(|error| ClientError::NoToken(format!("the client secret cannot be read: {error}")))?;
        let asked = Instant::now();
        let granted: ServiceToken = self
            .issuer
            .call(Method::POST, "/auth/token")
            .anonymous()
            .basic(&id, secret.expose_secret())
            .form(&[("grant_type", "client_credentials")])
            // Asking twice yields two tokens, and harms nothing.
            .repeatable()
            .send()
            .await?;
        let lifetime = Duration::from_secs(granted.expires_in.into());
        Ok(Held { token: granted.access_token.into(), until: asked + lifetime.saturating_sub(MARGIN) })
    }
}

#[async_trait]
impl TokenSource for ClientCredentials {
    async fn token(&self) -> Result<Option<SecretString>> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| Instant::now() < held.until) {
            return Ok(Some(held.token.clone()));
        }
        let fresh = self.fetch().await?;
        let token = fresh.token.clone();
        *held = Some(fresh);
        Ok(Some(token))
    }

    async fn rejected(&self, token: &SecretString) -> bool {
        let mut held = self.held.lock().await;
        // Somebody else may have fetched a new one since.
        if held.as_ref().is_some_and(|held| held.token.expose_secret() == token.expose_secret()) {
            *held = None;
        }
        true
    }
}
