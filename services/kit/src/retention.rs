//! Throws away what kit's tables keep for a time only. Nothing decides by it: whoever reads asks for the age itself.

use std::time::Duration;

use sqlx::PgPool;

use crate::outbox;

/// Between two times.
const EVERY: Duration = Duration::from_mins(10);

/// A service that was away for longer must be filled anew.
const EVENTS: Duration = Duration::from_hours(14 * 24);

/// Rows that one statement takes: far from the limit of its time, however much there is.
pub const BATCH: u64 = 1000;

/// What goes, each by statements that take [`BATCH`] rows at most.
const PURGES: [(&str, &str); 3] = [
    (
        "ended sessions",
        "DELETE FROM kit.ended_session WHERE entry IN
             (SELECT entry FROM kit.ended_session WHERE forget_at < now() LIMIT $1)",
    ),
    (
        "answers to idempotency keys",
        "DELETE FROM kit.idempotency WHERE (scope, key) IN
             (SELECT scope, key FROM kit.idempotency WHERE created_at < now() - interval '24 hours' LIMIT $1
              FOR UPDATE SKIP LOCKED)",
    ),
    // For a month an operator sees what could not be sent, and may try it again.
    (
        "letters that could not be sent",
        "DELETE FROM kit.mail_queue WHERE id IN
             (SELECT id FROM kit.mail_queue WHERE dead_at < now() - interval '30 days' LIMIT $1)",
    ),
];

/// Goes on until it is dropped.
pub(crate) async fn run(pool: PgPool) {
    loop {
        purge(&pool).await;
        tokio::time::sleep(EVERY).await;
    }
}

/// Once. One purge that fails does not keep the others from their work. Answers how many rows went.
pub async fn purge(pool: &PgPool) -> u64 {
    let mut gone = told("events", outbox::prune(pool, EVENTS).await);
    for (what, statement) in PURGES {
        gone += told(what, in_batches(|| delete(pool, statement)).await);
    }
    gone
}

fn told(what: &str, purged: sqlx::Result<u64>) -> u64 {
    match purged {
        Ok(0) => 0,
        Ok(rows) => {
            tracing::info!(rows, what, "thrown away");
            rows
        }
        Err(error) => {
            tracing::warn!(%error, what, "not thrown away; the next time tries again");
            0
        }
    }
}

async fn delete(pool: &PgPool, statement: &'static str) -> sqlx::Result<u64> {
    Ok(sqlx::query(statement).bind(BATCH as i64).execute(pool).await?.rows_affected())
}

/// Calls a purge that takes [`BATCH`] rows at most until less than a batch is left, so that what comes in faster than a
/// batch each time goes as fast. Answers how many rows went.
///
/// # Errors
/// Those of the purge; what went before stays away.
pub async fn in_batches<F: Future<Output = sqlx::Result<u64>>>(purge: impl Fn() -> F) -> sqlx::Result<u64> {
    let mut rows = 0;
    loop {
        let batch = purge().await?;
        rows += batch;
        if batch < BATCH {
            return Ok(rows);
        }
    }
}
