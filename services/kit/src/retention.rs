//! Throws away what kit's tables keep for a time only. Nothing decides by it: whoever reads asks for the age itself.

use std::time::Duration;

use sqlx::PgPool;

use crate::idempotency;

/// Between two times.
const EVERY: Duration = Duration::from_mins(10);

/// Goes on until it is dropped.
pub(crate) async fn run(pool: PgPool) {
    loop {
        match prune(&pool).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "answers and ended sessions of long ago thrown away"),
            Err(error) => tracing::warn!(%error, "nothing was thrown away; the next time tries again"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Once. Answers how many rows went.
async fn prune(pool: &PgPool) -> sqlx::Result<u64> {
    let ended = sqlx::query("DELETE FROM kit.ended_session WHERE forget_at < now()").execute(pool).await?;
    Ok(idempotency::prune(pool).await? + ended.rows_affected())
}
