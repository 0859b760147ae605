//! Follows the events of another service: asks, applies each in its order, remembers how far it came.
//! The position moves in the transaction of the effect, so an event that is delivered twice takes effect once.
//! How events are fetched is the service's business (a typed client); so is what they mean.

use std::time::Duration;

use async_trait::async_trait;
use shop_api::{Event, EventPage};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

/// What went wrong at either end.
pub type ConsumeError = Box<dyn std::error::Error + Send + Sync>;

/// How often a consumer that has read everything asks again. Revocations must arrive within five seconds.
const IDLE: Duration = Duration::from_secs(1);

/// However long the other service was away: it is found again within the time that revocations may take.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Events asked for at once.
const PAGE: u32 = 200;

/// Another service's events and what is done with them.
#[async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// Name of the service that is followed; names the position too, so it never changes.
    fn source(&self) -> &'static str;

    /// The events after a position.
    async fn fetch(&self, after: i64, limit: u32) -> Result<EventPage, ConsumeError>;

    /// Applies one event inside `tx`. A type that means nothing here is no error.
    async fn apply(&self, tx: &mut PgConnection, event: &Event) -> Result<(), ConsumeError>;
}

/// Follows until `stop`. An event that cannot be applied is tried again, ever slower, and nothing after it is applied:
/// skipping it could let a revoked session live. `consumer_failures_total` tells.
pub async fn follow(pool: PgPool, consumer: impl Consumer, stop: CancellationToken) {
    let source = consumer.source();
    let mut failures = 0u32;
    while !stop.is_cancelled() {
        let pause = match step(&pool, &consumer).await {
            Ok(more) => {
                failures = 0;
                if more { Duration::ZERO } else { IDLE }
            }
            Err(error) => {
                tracing::warn!(event.source = source, error = %error, "events could not be consumed; trying on");
                metrics::counter!("consumer_failures_total", "source" => source).increment(1);
                failures += 1;
                (IDLE * 2u32.saturating_pow(failures.min(8))).min(LONGEST_PAUSE)
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Applies one page. Answers whether there is more to read now.
async fn step(pool: &PgPool, consumer: &impl Consumer) -> Result<bool, ConsumeError> {
    let source = consumer.source();
    let after: Option<i64> = sqlx::query_scalar("SELECT after FROM kit.consumer WHERE source = $1")
        .bind(source)
        .fetch_optional(pool)
        .await?;
    let page = consumer.fetch(after.unwrap_or(0), PAGE).await?;
    for event in &page.events {
        apply(pool, consumer, event).await?;
        metrics::counter!("consumer_events_total", "source" => source).increment(1);
    }
    Ok(page.events.len() == PAGE as usize)
}

async fn apply(pool: &PgPool, consumer: &impl Consumer, event: &Event) -> Result<(), ConsumeError> {
    let mut tx = pool.begin().await?;
    // Holds the row until the commit: a second replica waits here and then finds that the event is done.
    let moved = sqlx::query(
        "INSERT INTO kit.consumer AS c (source, after) VALUES ($1, $2)
         ON CONFLICT (source) DO UPDATE SET after = excluded.after, changed_at = now() WHERE c.after < excluded.after",
    )
    .bind(consumer.source())
    .bind(event.seq)
    .execute(&mut *tx)
    .await?;
    if moved.rows_affected() == 1 {
        consumer.apply(&mut tx, event).await?;
        tx.commit().await?;
    }
    Ok(())
}
