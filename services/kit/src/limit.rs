//! Rate limits by key: the generic cell rate algorithm (GCRA), in this process or shared through Redis.
//!
//! Redis that is away never stops a request: the limits of this process take over and a metric says so.
mod in_process;
mod in_redis;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use shop_api::Code;

use crate::ApiError;
use in_process::Local;
use in_redis::Shared;
pub use in_redis::{RedisConfig, RedisConfigError};

/// draft-ietf-httpapi-ratelimit-headers-10 §3, §4.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// So many at once, refilled evenly over a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Named in the headers and in the key.
    pub name: &'static str,
    /// How many may come at once.
    pub burst: u32,
    /// The time in which as many are refilled.
    pub per: Duration,
}

/// What the limiter says of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may go on.
    pub allowed: bool,
    /// How many more may come right now.
    pub remaining: u32,
    /// Until the whole burst is there again.
    pub reset: Duration,
    /// Until one more may come; zero when it may already.
    pub retry_after: Duration,
}

/// Decides by key. Cheap to clone; clones share their counts.
#[derive(Clone, Debug)]
pub struct Limiter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    local: Local,
    shared: Option<Shared>,
}

impl Quota {
    /// So many in so many seconds.
    #[must_use]
    pub const fn new(name: &'static str, burst: u32, seconds: u64) -> Self {
        Quota { name, burst, per: Duration::from_secs(seconds) }
    }

    /// Nanoseconds that one request costs.
    fn interval_ns(self) -> u64 {
        (u64::try_from(self.per.as_nanos()).unwrap_or(u64::MAX) / u64::from(self.burst.max(1))).max(1)
    }
}

impl Limiter {
    /// Limits of this process alone.
    #[must_use]
    pub fn in_process() -> Self {
        Limiter(Arc::new(Inner { local: Local::default(), shared: None }))
    }

    /// Limits shared by every process with the same Redis and prefix. Connects in the background.
    ///
    /// # Errors
    /// When the configuration is not usable; a Redis that is away is no error.
    pub fn redis(config: &RedisConfig, prefix: &str, protected: bool) -> Result<Self, RedisConfigError> {
        let shared = Shared::new(config, prefix, protected)?;
        Ok(Limiter(Arc::new(Inner { local: Local::default(), shared: Some(shared) })))
    }

    /// Takes one from the key's quota.
    pub async fn check(&self, key: &str, quota: Quota) -> Decision {
        if let Some(shared) = &self.0.shared
            && let Some(decision) = shared.check(key, quota).await
        {
            return decision;
        }
        self.0.local.check(key, quota)
    }

    /// Takes one from the key's quota, or fails with `too_many_requests`.
    ///
    /// # Errors
    /// When there is none left.
    pub async fn require(&self, key: &str, quota: Quota) -> Result<(), ApiError> {
        let decision = self.check(key, quota).await;
        if decision.allowed { Ok(()) } else { Err(decision.refusal(quota)) }
    }
}

impl Decision {
    /// Of two that a request needs both of, the one that leaves less.
    pub(crate) fn narrower(self, other: Decision) -> Decision {
        if (other.allowed, other.remaining) < (self.allowed, self.remaining) { other } else { self }
    }

    /// `too_many_requests` with `Retry-After` and the RateLimit headers.
    #[must_use]
    pub fn refusal(self, quota: Quota) -> ApiError {
        let mut error =
            ApiError::code(Code::TooManyRequests).retry_after(whole_seconds(self.retry_after).max(1));
        self.write_headers(quota, error.headers_mut());
        error
    }

    /// `RateLimit-Policy` and `RateLimit`, unless a narrower limit has written its own.
    pub(crate) fn write_headers(self, quota: Quota, headers: &mut HeaderMap) {
        if headers.contains_key(&LIMIT) {
            return;
        }
        let policy = format!("\"{}\";q={};w={}", quota.name, quota.burst, whole_seconds(quota.per));
        let limit = format!("\"{}\";r={};t={}", quota.name, self.remaining, whole_seconds(self.reset));
        for (name, value) in [(POLICY, policy), (LIMIT, limit)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
}

/// Rounded up: who comes back after so long is not told the same again.
fn whole_seconds(duration: Duration) -> u32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// The headers that a browser's script may read across origins.
pub(crate) const EXPOSED: [HeaderName; 3] = [POLICY, LIMIT, header::RETRY_AFTER];
