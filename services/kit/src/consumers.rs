//! Follows the events of another service: asks, applies each in its order, remembers how far it came.
//! The position moves in the transaction of the effect, so an event that is delivered twice takes effect once.
//! How events are fetched is the service's business (a typed client); so is what they mean.

use std::time::Duration;

use async_trait::async_trait;
use shop_api::{Event, EventPage};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What went wrong at either end.
pub type ConsumeError = Box<dyn std::error::Error + Send + Sync>;

/// How often a consumer that has read everything asks again. Revocations must arrive within five seconds.
pub(crate) const IDLE: Duration = Duration::from_secs(1);

/// However long the other service was away: it is found again within the time that revocations may take.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Events asked for at once: as many as there are in a page.
const PAGE: u32 = crate::outbox::MAX_PAGE;

/// Another service's events and what is done with them.
#[async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// Name of the service that is followed; names the position too, so it never changes.
    fn source(&self) -> &'static str;

    /// The events after a position; the default page where those are not kept any more, or that log is another one.
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

/// Applies what there is to read now, for a service that wants to know before it is asked.
///
/// # Errors
/// When the other service or an event fails; what was applied before stays so.
pub async fn catch_up(pool: &PgPool, consumer: &impl Consumer) -> Result<(), ConsumeError> {
    while step(pool, consumer).await? {}
    Ok(())
}

/// Applies one page. Answers whether there is more to read now.
async fn step(pool: &PgPool, consumer: &impl Consumer) -> Result<bool, ConsumeError> {
    let source = consumer.source();
    let place: Option<(i64, Option<Uuid>)> =
        sqlx::query_as("SELECT after, event FROM kit.consumer WHERE source = $1")
            .bind(source)
            .fetch_optional(pool)
            .await?;
    let (after, event) = place.unwrap_or_default();
    let page = consumer.fetch(after, PAGE).await?;
    let is_another = event.zip(page.at).is_some_and(|(ours, theirs)| ours != theirs.uuid());
    if page.next_after < after || is_another {
        // The other log was restored or made anew: what it tells now was never heard.
        tracing::warn!(event.source = source, from = after, "the log begins again; all of it is read");
        let again =
            sqlx::query("UPDATE kit.consumer SET after = 0, event = NULL WHERE source = $1 AND after = $2");
        again.bind(source).bind(after).execute(pool).await?;
        return Ok(true);
    }
    // Together as a rule; one after the other where one fails, so that those before it are done.
    if apply(pool, consumer, &page.events).await.is_err() {
        for event in &page.events {
            apply(pool, consumer, std::slice::from_ref(event)).await?;
        }
    }
    metrics::counter!("consumer_events_total", "source" => source).increment(page.events.len() as u64);
    Ok(!page.events.is_empty())
}

/// In one transaction. Those that another replica has applied meanwhile are left out.
async fn apply(pool: &PgPool, consumer: &impl Consumer, events: &[Event]) -> Result<(), ConsumeError> {
    let Some(last) = events.last() else { return Ok(()) };
    let mut tx = pool.begin().await?;
    let source = consumer.source();
    sqlx::query("INSERT INTO kit.consumer (source, after) VALUES ($1, 0) ON CONFLICT DO NOTHING")
        .bind(source)
        .execute(&mut *tx)
        .await?;
    // Held until the commit: a second replica waits here and then finds what is done.
    let after: i64 = sqlx::query_scalar("SELECT after FROM kit.consumer WHERE source = $1 FOR UPDATE")
        .bind(source)
        .fetch_one(&mut *tx)
        .await?;
    for event in events.iter().filter(|event| event.seq > after) {
        consumer.apply(&mut tx, event).await?;
    }
    sqlx::query(
        "UPDATE kit.consumer SET after = $2, event = $3, changed_at = now() WHERE source = $1 AND after < $2",
    )
    .bind(source)
    .bind(last.seq)
    .bind(last.id.uuid())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}
