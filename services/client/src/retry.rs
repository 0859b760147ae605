//! When a call is tried again, and after which pause. Only what does no harm when it happens twice.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode};

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// Methods that mean the same when they are sent twice (RFC 9110 §9.2.2).
pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS)
}

/// Answers that ask to come back, or that a proxy gives for a service that is just being replaced.
pub(crate) fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// What the service asks for, in seconds; it never sends a date.
pub(crate) fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The pause before try `n + 2`: between nothing and the doubled one, so that clients that failed together do not
/// come back together.
pub(crate) fn pause(n: u32) -> Duration {
    let ceiling = SHORTEST.saturating_mul(1 << n.min(10)).min(LONGEST);
    // The keys of `RandomState` are random: enough to spread, and needs no generator.
    let share = (RandomState::new().hash_one(n) >> 11) as f64 / (1u64 << 53) as f64;
    ceiling.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_ceiling_and_differ() {
        let sample = |n| (0..200).map(|_| pause(n)).collect::<Vec<_>>();
        assert!(sample(0).iter().all(|p| *p <= SHORTEST));
        assert!(sample(30).iter().all(|p| *p <= LONGEST));
        assert!(sample(30).iter().any(|p| *p > LONGEST / 2), "they never grew");
        let all = sample(3);
        assert!(all.iter().any(|p| *p != all[0]), "no jitter");
    }
}
