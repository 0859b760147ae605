//! The keys that sign access tokens: a mounted folder of Ed25519 keys, read again when it changes. A private key
//! never leaves this module, and never enters the database.

pub mod folder;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use shop_api::users::auth::{Jwk, Jwks};
use shop_kit::config::read_file;
use shop_kit::token::{Claims, KeyError as SourceError, KeySource};

use folder::Role;

/// A changed folder is noticed within this time; a key is published far longer before it signs.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why the folder gives no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(
        "the signing key {path} cannot be read: {source} (make keys with `user-management keys init --dir`)"
    )]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{0} is not an unencrypted PKCS#8 Ed25519 key in PEM")]
    Malformed(PathBuf),
}

/// The keys of a folder as they are now.
pub struct SigningKeys {
    dir: PathBuf,
    set: RwLock<Arc<Set>>,
    generation: AtomicU64,
}

struct Set {
    signer: EncodingKey,
    kid: String,
    public: Vec<Jwk>,
}

impl SigningKeys {
    /// Reads the folder.
    ///
    /// # Errors
    /// [`KeyError`] when the current key is missing or any key is malformed.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Arc<Self>, KeyError> {
        let dir = dir.into();
        let set = RwLock::new(Arc::new(Set::read(&dir)?));
        Ok(Arc::new(Self { dir, set, generation: AtomicU64::new(0) }))
    }

    /// Reads the folder again now; true when its keys are others than before.
    ///
    /// # Errors
    /// [`KeyError`]; the keys from before stay in use then.
    pub fn reload(&self) -> Result<bool, KeyError> {
        let fresh = Set::read(&self.dir)?;
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        let changed = set.public != fresh.public;
        if changed {
            *set = Arc::new(fresh);
            self.generation.fetch_add(1, Ordering::Release);
        }
        Ok(changed)
    }

    /// Looks at the folder every two seconds for as long as anybody holds the keys. A poll, because the folder of a
    /// Kubernetes secret changes by a link that file watchers do not follow.
    pub async fn watch(keys: Arc<Self>) {
        let weak = Arc::downgrade(&keys);
        drop(keys);
        let mut failing = false;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(keys) = weak.upgrade() else { return };
            match keys.reload() {
                Ok(changed) => {
                    if changed {
                        tracing::info!(kid = keys.set().kid, "the signing keys changed");
                    }
                    failing = false;
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "the signing keys cannot be read again; the ones in use stay in use");
                }
                Err(_) => {}
            }
        }
    }

    /// Signs an access token with the current key.
    ///
    /// # Errors
    /// When the claims cannot be written as JSON or the key is refused: a bug either way.
    pub fn sign(&self, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
        let set = self.set();
        jsonwebtoken::encode(&Claims::header(&set.kid), claims, &set.signer)
    }

    /// The public keys, the current one first.
    #[must_use]
    pub fn jwks(&self) -> Jwks {
        Jwks { keys: self.set().public.clone() }
    }

    fn set(&self) -> Arc<Set> {
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Our own tokens are verified with our own keys: nothing is fetched.
#[async_trait]
impl KeySource for SigningKeys {
    async fn key(&self, kid: &str) -> Result<Option<DecodingKey>, SourceError> {
        let set = self.set();
        let Some(jwk) = set.public.iter().find(|jwk| jwk.kid == kid) else { return Ok(None) };
        DecodingKey::from_ed_components(&jwk.x).map(Some).map_err(|error| SourceError(error.to_string()))
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

impl Set {
    fn read(dir: &std::path::Path) -> Result<Self, KeyError> {
        let current = read_key(&folder::path(dir, Role::Current))?;
        let mut public = vec![jwk(&current.pair)];
        for role in [Role::Next, Role::Previous] {
            match read_key(&folder::path(dir, role)) {
                Ok(key) => {
                    let jwk = jwk(&key.pair);
                    // In the middle of a rotation a key may stand in two places.
                    if !public.contains(&jwk) {
                        public.push(jwk);
                    }
                }
                Err(KeyError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let kid = public[0].kid.clone();
        Ok(Self { signer: EncodingKey::from_ed_der(current.der.secret_pkcs8_der()), kid, public })
    }
}

struct Key {
    der: PrivatePkcs8KeyDer<'static>,
    pair: Ed25519KeyPair,
}

fn read_key(path: &std::path::Path) -> Result<Key, KeyError> {
    let pem = read_file(path).map_err(|source| KeyError::Read { path: path.to_owned(), source })?;
    let malformed = || KeyError::Malformed(path.to_owned());
    let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| malformed())?;
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| malformed())?;
    Ok(Key { der, pair })
}

/// The public half as RFC 8037 writes it, named by its thumbprint (RFC 7638 §3: the required members, sorted).
fn jwk(pair: &Ed25519KeyPair) -> Jwk {
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let kid = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()));
    let text = |text: &str| text.to_owned();
    Jwk { kty: text("OKP"), crv: text("Ed25519"), alg: text("EdDSA"), r#use: text("sig"), kid, x }
}
