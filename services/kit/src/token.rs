//! Access tokens (RFC 9068): what is in one, and how one is verified without asking anybody.
//!
//! One algorithm, EdDSA, is accepted; it is never taken from the token (RFC 8725 §3.1). Minting is the issuer's.
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use shop_api::{Code, Role, Roles, SessionId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ApiError;
use crate::access::{Caller, CallerKind};

/// The `typ` of an access token (RFC 9068 §2.1): keeps other tokens of the same issuer out.
pub const TYPE: &str = "at+jwt";

/// An access token is good for so long. Services hear of sessions that end before it, but must be able to forget them.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::from_mins(15);

/// Clocks of two machines may differ by so many seconds.
const LEEWAY: i64 = 5;

/// Longer than any token of ours; a longer one is refused unread.
const MAX_LENGTH: usize = 4096;

/// Verified tokens kept; one takes about 300 bytes.
const CACHE_TOKENS: u64 = 20_000;

/// The content of an access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who made it.
    pub iss: String,
    /// Whom it is for.
    pub aud: Audience,
    /// The account, or the service client.
    pub sub: Uuid,
    /// Seconds since 1970; not accepted from then on.
    pub exp: i64,
    /// Seconds since 1970; not accepted before.
    pub nbf: i64,
    /// Seconds since 1970.
    pub iat: i64,
    /// Its own id.
    pub jti: Uuid,
    /// The session; absent for a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// Roles at the time it was made.
    pub roles: Roles,
}

/// One audience or several (RFC 7519 §4.1.3 allows both shapes).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// The usual shape.
    One(String),
    /// Also allowed.
    Many(Vec<String>),
}

impl Claims {
    /// Claims of a token that is valid from now on. The `jti` is fresh.
    #[must_use]
    pub fn new(
        issuer: &str,
        audience: &str,
        subject: Uuid,
        roles: Roles,
        now: OffsetDateTime,
        life: Duration,
    ) -> Self {
        let iat = now.unix_timestamp();
        Claims {
            iss: issuer.to_owned(),
            aud: Audience::One(audience.to_owned()),
            sub: subject,
            exp: iat.saturating_add(i64::try_from(life.as_secs()).unwrap_or(i64::MAX)),
            nbf: iat,
            iat,
            jti: Uuid::now_v7(),
            sid: None,
            roles,
        }
    }

    /// The same for a session of a user.
    #[must_use]
    pub fn session(mut self, session: SessionId) -> Self {
        self.sid = Some(session);
        self
    }

    /// The header that goes with them.
    #[must_use]
    pub fn header(kid: &str) -> Header {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(kid.to_owned());
        header
    }

    fn caller(&self) -> Caller {
        let service = self.sid.is_none() && self.roles.contains(Role::Service);
        Caller {
            subject: self.sub,
            session: self.sid,
            roles: self.roles,
            kind: if service { CallerKind::Service } else { CallerKind::User },
            token_id: self.jti,
            expires_at: self.exp,
            not_before: self.nbf,
        }
    }
}

/// Where the public keys come from.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// The key of that id, if the issuer has one.
    ///
    /// # Errors
    /// When the issuer could not be asked and the key is not known from before.
    async fn key(&self, kid: &str) -> Result<Option<DecodingKey>, KeyError>;

    /// Changes whenever a key is withdrawn: a verified token is remembered no longer than this stays the same.
    fn generation(&self) -> u64 {
        0
    }
}

/// The keys could not be had.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the issuer's keys cannot be had: {0}")]
pub struct KeyError(pub String);

/// Verifies access tokens offline and remembers the ones it has verified.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    keys: Arc<dyn KeySource>,
    validation: Validation,
    /// By SHA-256 of the token, so that no token is kept in memory for longer than its request.
    verified: Cache<[u8; 32], Remembered>,
}

#[derive(Clone)]
struct Remembered {
    caller: Arc<Caller>,
    generation: u64,
}

impl Verifier {
    /// Accepts tokens of one issuer for one audience, signed by a key of the source.
    pub fn new(issuer: &str, audience: &str, keys: Arc<dyn KeySource>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Times are checked here, on every use and not only on the first.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let verified = Cache::builder().max_capacity(CACHE_TOKENS).time_to_live(ACCESS_TOKEN_LIFE).build();
        Verifier(Arc::new(Inner { keys, validation, verified }))
    }

    /// The caller, if this token was verified before and is still live. Never waits.
    #[must_use]
    pub fn remembered(&self, token: &str) -> Option<Arc<Caller>> {
        let found = self.0.verified.get(&digest(token))?;
        let live = found.generation == self.0.keys.generation() && check_times(&found.caller, now()).is_ok();
        live.then_some(found.caller)
    }

    /// The caller that the token speaks for.
    ///
    /// # Errors
    /// `invalid_token` for every flaw of the token; `unavailable` when the issuer's keys cannot be had.
    pub async fn verify(&self, token: &str) -> Result<Arc<Caller>, ApiError> {
        if token.len() > MAX_LENGTH {
            return Err(refused("the token is too long"));
        }
        let digest = digest(token);
        let generation = self.0.keys.generation();
        if let Some(found) = self.0.verified.get(&digest)
            && found.generation == generation
        {
            check_times(&found.caller, now())?;
            return Ok(found.caller);
        }
        let caller = Arc::new(self.decode(token).await?);
        check_times(&caller, now())?;
        self.0.verified.insert(digest, Remembered { caller: Arc::clone(&caller), generation });
        Ok(caller)
    }

    async fn decode(&self, token: &str) -> Result<Caller, ApiError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused("the token cannot be read"))?;
        if header.alg != Algorithm::EdDSA {
            return Err(refused("the token's algorithm is not accepted"));
        }
        // RFC 9068 §4: the type may carry the `application/` prefix, in any case.
        let typ = header.typ.as_deref().unwrap_or_default().to_ascii_lowercase();
        if typ.strip_prefix("application/").unwrap_or(&typ) != TYPE {
            return Err(refused("the token is not an access token"));
        }
        if header.crit.is_some() {
            return Err(refused("the token demands an extension"));
        }
        let kid = header.kid.ok_or_else(|| refused("the token names no key"))?;
        let key = self.0.keys.key(&kid).await.map_err(ApiError::unavailable)?;
        let key = key.ok_or_else(|| refused("the token's key is not known"))?;
        let data = jsonwebtoken::decode::<Claims>(token, &key, &self.0.validation)
            .map_err(|error| refused("the token is not valid").source(error))?;
        Ok(data.claims.caller())
    }
}

fn refused(detail: &'static str) -> ApiError {
    ApiError::code(Code::InvalidToken).detail(detail)
}

fn check_times(caller: &Caller, now: i64) -> Result<(), ApiError> {
    if caller.expires_at.saturating_add(LEEWAY) <= now {
        return Err(refused("the token has expired"));
    }
    if caller.not_before.saturating_sub(LEEWAY) > now {
        return Err(refused("the token is not valid yet"));
    }
    Ok(())
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn digest(token: &str) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("remembered", &self.0.verified.entry_count()).finish_non_exhaustive()
    }
}
