//! The issuer of access tokens as the other services see it: its keys, and which of its sessions have ended.
//! Not for the issuer itself, which has keys of its own and asks its own database.

mod ended;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use shop_api::users::clients::ClientCredentials;
use shop_client::{Anonymous, Client, Settings};

use self::ended::{EndedSessions, IssuerEvents};
use crate::access::Gate;
use crate::boot::{BootError, Kit};
use crate::config::{KitConfig, read_file};
use crate::consumers::{catch_up, follow};
use crate::context::traceparent;
use crate::jwks::{self, JwksClient};
use crate::tls;
use crate::token::Verifier;

/// Limit of one call to the issuer, retries included: what it is asked for must be known within five seconds.
const DEADLINE: Duration = Duration::from_secs(2);

impl Kit {
    /// What stands before the routes of a service that believes the issuer's tokens: they are verified offline, and
    /// those of sessions that ended are refused within five seconds of the end.
    ///
    /// # Errors
    /// When ISSUER_URL is missing or not safe, a file is not usable, or the database cannot be read.
    pub async fn gate(&self) -> Result<Gate, BootError> {
        let tokens = &self.config.tokens;
        let authorities = authorities(&self.config)?;
        let issuer = client(&self.config, authorities.clone())?;
        let keys = JwksClient::of(&issuer, authorities.as_deref(), jwks::COOLDOWN)?;
        let gate = Gate::new(Verifier::new(&tokens.issuer, &tokens.audience, Arc::new(keys)));
        let Some(file) = tokens.issuer_client_file.clone() else {
            if self.config.protected {
                return Err(BootError::usage(
                    "ISSUER_CLIENT_FILE is not set: without it ended sessions are not heard of; make it with \
                     `user-management clients create --name <this service>`",
                ));
            }
            tracing::warn!(
                "ISSUER_CLIENT_FILE is not set: tokens of ended sessions are good until they expire"
            );
            return Ok(gate);
        };
        credentials(&file)?;
        let read = move || match credentials(&file) {
            Ok(held) => Ok((held.client_id.to_string(), SecretString::from(held.client_secret))),
            Err(error) => Err(std::io::Error::other(error.to_string())),
        };
        let events = issuer.with_tokens(shop_client::ClientCredentials::new(issuer.clone(), read));
        let (pool, events) = (self.db.pool.clone(), IssuerEvents::from(events));
        // Ready means to know what ended until now. While the issuer is away this service goes on with what it knows.
        let caught_up = tokio::time::timeout(self.config.start_timeout, catch_up(&pool, &events)).await;
        if let Ok(Err(error)) = caught_up {
            tracing::warn!(%error, "what ended while this service was away is not known yet");
        } else if caught_up.is_err() {
            tracing::warn!("what ended while this service was away is still being read");
        }
        let ended = EndedSessions::load(pool.clone()).await?;
        self.workers.spawn(follow(pool, events, self.stop.clone()));
        self.workers.spawn(ended.clone().read_on(self.stop.clone()));
        Ok(gate.with_session_check(ended))
    }
}

fn client(config: &KitConfig, authorities: Option<Vec<u8>>) -> Result<Client, BootError> {
    let url = config.tokens.issuer_url.as_deref().ok_or_else(|| {
        BootError::usage(
            "ISSUER_URL is not set: name where user-management is reached, as https://users.shop.example",
        )
    })?;
    if config.protected && !url.starts_with("https://") {
        return Err(BootError::usage("ISSUER_URL must be https:// in a protected environment"));
    }
    let settings = Settings { deadline: DEADLINE, authorities, traceparent, ..Settings::default() };
    Client::with(url, Anonymous, settings)
        .map_err(|error| BootError::usage(format_args!("ISSUER_URL: {error}")))
}

fn authorities(config: &KitConfig) -> Result<Option<Vec<u8>>, BootError> {
    let Some(path) = &config.tokens.issuer_ca_file else { return Ok(None) };
    tls::authorities_file(path).map(Some).map_err(|error| unusable("ISSUER_CA_FILE", path, &error))
}

fn credentials(path: &Path) -> Result<ClientCredentials, BootError> {
    let text = read_file(path).map_err(|error| unusable("ISSUER_CLIENT_FILE", path, &error))?;
    // The cause would show a part of the secret.
    serde_json::from_slice(&text).map_err(|_| {
        unusable("ISSUER_CLIENT_FILE", path, &"it is not what `user-management clients create` prints")
    })
}

fn unusable(variable: &str, path: &Path, error: &dyn fmt::Display) -> BootError {
    BootError::usage(format_args!("{variable} {} is not usable: {error}", path.display()))
}
