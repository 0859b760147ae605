//! Throws away what is over: sessions and tokens past their end, old failures and entries of the audit log,
//! registrations that nobody verified, the devices of ended sessions; and, more often, the sealed successors of refresh tokens.
//! It decides nothing: every check asks for the end itself, so that a late sweep changes no answer.

use shop_kit::retention::in_batches;
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

use crate::db::{audit, backoff, refresh, sessions, tokens, users};

/// Between two sweeps.
const EVERY: std::time::Duration = std::time::Duration::from_mins(10);
/// Between two looks for successors whose grace is over: so long, and the grace, is the most that one lies sealed.
const SUCCESSORS_EVERY: std::time::Duration = std::time::Duration::from_secs(30);
/// Ended sessions are kept so long, that whoever comes back with their token is told so.
const SESSIONS: Duration = Duration::days(30);
/// A registration may be verified (with a new mail each time) for so long.
const UNVERIFIED: Duration = Duration::days(7);
/// Longer than any wait that failures lead to.
const FAILURES: Duration = Duration::days(2);

/// Sweeps until it is dropped. Entries of the audit log are kept for `audit_retention`.
pub async fn run(pool: PgPool, audit_retention: Duration) {
    loop {
        match sweep(&pool, OffsetDateTime::now_utc(), audit_retention).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "swept"),
            Err(error) => tracing::warn!(%error, "the sweep failed; the next one tries again"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// One sweep as of `now`. How many rows went, or were stripped of what they knew of a device.
///
/// # Errors
/// When the database cannot be reached.
pub async fn sweep(pool: &PgPool, now: OffsetDateTime, audit_retention: Duration) -> sqlx::Result<u64> {
    // One that fails does not keep the others from their work.
    let steps = [
        in_batches(|| tokens::purge(pool, now)).await,
        in_batches(|| backoff::purge(pool, now - FAILURES)).await,
        in_batches(|| users::purge_unverified(pool, now - UNVERIFIED)).await,
        in_batches(|| sessions::purge(pool, now - SESSIONS)).await,
        in_batches(|| sessions::forget_devices(pool)).await,
        in_batches(|| audit::purge(pool, now - audit_retention)).await,
    ];
    steps.into_iter().try_fold(0, |rows, step| Ok(rows + step?))
}

/// Throws sealed successors away, soon after their grace, until it is dropped: an old token that leaks opens nothing.
pub async fn run_successors(pool: PgPool) {
    loop {
        if let Err(error) = successors(&pool).await {
            tracing::warn!(%error, "sealed successors of refresh tokens were not thrown away; the next time tries again");
        }
        tokio::time::sleep(SUCCESSORS_EVERY).await;
    }
}

/// Throws the successors away whose grace is over. How many went.
///
/// # Errors
/// When the database cannot be reached.
pub async fn successors(pool: &PgPool) -> sqlx::Result<u64> {
    in_batches(|| refresh::forget_successors(pool)).await
}
