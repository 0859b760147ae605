//! Throws away what is over: sessions and tokens past their end, old failures and events, registrations that nobody
//! verified.
//! It decides nothing: every check asks for the end itself, so that a late sweep changes no answer.

use shop_kit::outbox;
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

use crate::db::{backoff, sessions, tokens, users};

/// Between two sweeps.
const EVERY: std::time::Duration = std::time::Duration::from_mins(10);
/// Ended sessions are kept so long for their owner's questions.
const SESSIONS: Duration = Duration::days(30);
/// A registration may be verified (with a new mail each time) for so long.
const UNVERIFIED: Duration = Duration::days(7);
/// Longer than any wait that failures lead to.
const FAILURES: Duration = Duration::days(2);
/// A service that was away for longer must be filled anew.
const EVENTS: std::time::Duration = std::time::Duration::from_hours(14 * 24);

/// Sweeps until it is dropped.
pub async fn run(pool: PgPool) {
    loop {
        match sweep(&pool, OffsetDateTime::now_utc()).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "swept"),
            Err(error) => tracing::warn!(%error, "the sweep failed; the next one tries again"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// One sweep as of `now`. How many rows went.
///
/// # Errors
/// When the database cannot be reached.
pub async fn sweep(pool: &PgPool, now: OffsetDateTime) -> sqlx::Result<u64> {
    let mut rows = tokens::purge(pool, now).await?;
    rows += backoff::purge(pool, now - FAILURES).await?;
    rows += users::purge_unverified(pool, now - UNVERIFIED).await?;
    rows += sessions::purge(pool, now - SESSIONS).await?;
    rows += outbox::prune(pool, EVENTS).await?;
    Ok(rows)
}
