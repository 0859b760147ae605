//! The issuer's public keys, fetched over HTTP and kept: verification goes on while the issuer is away.
//!
//! A key that is not known is asked for at most once in a while, so that invented key ids are no way to make this
//! service flood the issuer, nor to make its own callers wait.
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use shop_client::Client;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::boot::BootError;
use crate::token::{KeyError, KeySource};

/// The issuer is not asked again sooner, whatever key ids come.
pub const COOLDOWN: Duration = Duration::from_secs(10);

/// How often the keys are fetched anyway, so that a withdrawn one is known here. Within the issuer's overlap.
const REFRESH: Duration = Duration::from_secs(300);

const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Far more than a set of keys needs.
const MAX_BYTES: usize = 64 * 1024;

/// Follows one issuer's JWKS.
#[derive(Clone)]
pub struct JwksClient(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    url: Url,
    cooldown: Duration,
    keys: RwLock<HashMap<String, DecodingKey>>,
    /// Changes when a key is withdrawn.
    generation: AtomicU64,
    /// When the issuer was asked last and whether it answered; held while it is asked.
    asked: Mutex<Option<(Instant, Result<(), KeyError>)>>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// The fields of RFC 8037 §2 that we need.
#[derive(Deserialize)]
struct Key {
    kid: String,
    kty: String,
    crv: String,
    x: String,
    #[serde(rename = "use")]
    usage: Option<String>,
}

impl JwksClient {
    /// Follows the set of an issuer, trusting these authorities (PEM) or the system's.
    ///
    /// # Errors
    /// When no HTTP client can be made of them.
    pub(crate) fn of(
        issuer: &Client,
        authorities: Option<&[u8]>,
        cooldown: Duration,
    ) -> Result<Self, BootError> {
        let mut url = issuer.base_url().clone();
        url.set_path(&format!("{}/.well-known/jwks.json", url.path().trim_end_matches('/')));
        let mut builder = reqwest::Client::builder();
        if let Some(pem) = authorities {
            let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(BootError::unexpected)?;
            builder = builder.tls_certs_only(roots);
        }
        let http = builder.timeout(FETCH_TIMEOUT).redirect(reqwest::redirect::Policy::none()).build();
        Ok(Self::new(http.map_err(BootError::unexpected)?, url, cooldown))
    }

    /// Follows the set at a URL. The issuer is asked again after `cooldown` at the soonest.
    #[must_use]
    pub fn new(http: reqwest::Client, url: Url, cooldown: Duration) -> Self {
        let inner = Inner {
            http,
            url,
            cooldown,
            keys: RwLock::default(),
            generation: AtomicU64::new(0),
            asked: Mutex::new(None),
        };
        let client = JwksClient(Arc::new(inner));
        client.refresh_in_background();
        client
    }

    fn refresh_in_background(&self) {
        let weak = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            while let Some(inner) = weak.upgrade() {
                if let Err(error) = JwksClient(inner).ask().await {
                    tracing::warn!(error.message = %error, "the issuer's keys stay as they are");
                }
                tokio::time::sleep(REFRESH).await;
            }
        });
    }

    fn known(&self, kid: &str) -> Option<DecodingKey> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
    }

    /// Fetches the set unless that was tried a moment ago; then the outcome of that counts.
    async fn ask(&self) -> Result<(), KeyError> {
        let mut asked = self.0.asked.lock().await;
        if let Some((when, outcome)) = &*asked
            && when.elapsed() < self.0.cooldown
        {
            return outcome.clone();
        }
        let outcome = self.fetch().await;
        metrics::gauge!("dependency_up", "dependency" => "issuer").set(if outcome.is_ok() {
            1.0
        } else {
            0.0
        });
        *asked = Some((Instant::now(), outcome.clone()));
        outcome
    }

    async fn fetch(&self) -> Result<(), KeyError> {
        let failed = |error: reqwest::Error| KeyError(error.without_url().to_string());
        let mut response = self.0.http.get(self.0.url.clone()).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(KeyError(format!("the issuer answered {}", response.status().as_u16())));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BYTES {
                return Err(KeyError("the set of keys is too large".to_owned()));
            }
        }
        let set: Set = serde_json::from_slice(&body).map_err(|_| KeyError("not a set of keys".to_owned()))?;
        let fresh: HashMap<_, _> = set.keys.into_iter().filter_map(usable).collect();
        if fresh.is_empty() {
            return Err(KeyError("the set holds no usable key".to_owned()));
        }
        let mut keys = self.0.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.keys().any(|kid| !fresh.contains_key(kid)) {
            self.0.generation.fetch_add(1, Ordering::AcqRel);
        }
        *keys = fresh;
        Ok(())
    }
}

/// Ed25519 keys for signatures; the issuer may publish others for others.
fn usable(key: serde_json::Value) -> Option<(String, DecodingKey)> {
    let key: Key = serde_json::from_value(key).ok()?;
    let for_us =
        key.kty == "OKP" && key.crv == "Ed25519" && key.usage.as_deref().is_none_or(|usage| usage == "sig");
    let decoding = DecodingKey::from_ed_components(&key.x).ok()?;
    for_us.then_some((key.kid, decoding))
}

#[async_trait]
impl KeySource for JwksClient {
    async fn key(&self, kid: &str) -> Result<Option<DecodingKey>, KeyError> {
        if let Some(key) = self.known(kid) {
            return Ok(Some(key));
        }
        self.ask().await?;
        Ok(self.known(kid))
    }

    fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }
}

impl fmt::Debug for JwksClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksClient").field("url", &self.0.url.as_str()).finish_non_exhaustive()
    }
}
