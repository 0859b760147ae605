//! Domain events: written in the transaction of the change, read by other services in an order that never changes
//! behind a reader (decision 0012). Readers come and ask; where RabbitMQ is configured, the relay gives it the same
//! events (decision 0029).

mod amqp;
mod http;
mod relay;

use std::time::Duration;

use serde::Serialize;
use shop_api::{Code, Event, EventId, EventPage};
use sqlx::{PgExecutor, PgPool, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{ApiError, retention};

pub use amqp::{AmqpConfig, AmqpConfigError};
pub use http::router;
pub use relay::Relay;

/// Most events of one page.
pub const MAX_PAGE: u32 = 500;

/// Why events could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The reader was away for longer than events are kept: some are lost for it.
    #[error("events up to {pruned} are no longer kept and {after} was asked for")]
    Gone {
        /// Where the reader stands.
        after: i64,
        /// The last event thrown away; reading may start after it.
        pruned: i64,
    },
    /// The reader knows events that this log does not have: its database was restored, or made anew.
    #[error("the log ends at {last} and {after} was asked for")]
    Ahead {
        /// Where the reader stands.
        after: i64,
        /// The last event that there is.
        last: i64,
    },
    /// The data of an event is no JSON.
    #[error("the data of an event cannot be written as JSON")]
    Data(#[from] serde_json::Error),
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<OutboxError> for ApiError {
    fn from(error: OutboxError) -> Self {
        match error {
            OutboxError::Gone { pruned, .. } => {
                Self::code(Code::Gone).detail(format!("events up to {pruned} are no longer kept"))
            }
            OutboxError::Ahead { last, .. } => {
                Self::code(Code::Gone).detail(format!("the log is another one: it ends at {last}"))
            }
            OutboxError::Data(error) => Self::internal(error),
            OutboxError::Database(error) => error.into(),
        }
    }
}

/// How often a prune gives positions, a thousand each: what is left over then waits for the next one.
const MOST_SEQUENCED: usize = 1000;

/// Writes an event into the transaction of its change. `kind` is its stable name, such as `thing.changed`;
/// `aggregate` is the thing it happened to: events of one aggregate are read in the order they were written.
///
/// # Errors
/// [`OutboxError`]; the transaction is then useless and must be rolled back.
pub async fn write(
    tx: impl PgExecutor<'_>,
    kind: &str,
    aggregate: Uuid,
    data: &impl Serialize,
) -> Result<EventId, OutboxError> {
    let id = EventId::new();
    sqlx::query("INSERT INTO kit.outbox (id, type, aggregate, data) VALUES ($1, $2, $3, $4)")
        .bind(id.uuid())
        .bind(kind)
        .bind(aggregate)
        .bind(serde_json::to_value(data)?)
        .execute(tx)
        .await?;
    Ok(id)
}

/// Events after a position, in order; after 0 from the oldest that is kept, for a reader that begins. Gives a position to what was committed since the last call.
///
/// # Errors
/// [`OutboxError`].
pub async fn read(pool: &PgPool, after: i64, limit: u32) -> Result<EventPage, OutboxError> {
    let head = sqlx::query(
        "SELECT pruned, last, EXISTS (SELECT FROM kit.outbox WHERE seq IS NULL) AS unsequenced FROM kit.outbox_head",
    )
    .fetch_one(pool)
    .await?;
    let (pruned, last): (i64, i64) = (head.try_get("pruned")?, head.try_get("last")?);
    if after > last {
        return Err(OutboxError::Ahead { after, last });
    }
    if after != 0 && after < pruned {
        return Err(OutboxError::Gone { after, pruned });
    }
    if head.try_get("unsequenced")? {
        sequence(pool).await?;
    }
    let at: Option<uuid::Uuid> = sqlx::query_scalar("SELECT id FROM kit.outbox WHERE seq = $1")
        .bind(after)
        .fetch_optional(pool)
        .await?;
    let rows = sqlx::query(
        "SELECT seq, id, type, aggregate, occurred_at, data FROM kit.outbox WHERE seq > $1 ORDER BY seq LIMIT $2",
    )
    .bind(after)
    .bind(i64::from(limit.clamp(1, MAX_PAGE)))
    .fetch_all(pool)
    .await?;
    let events = rows.iter().map(event).collect::<Result<Vec<_>, sqlx::Error>>()?;
    let next_after = events.last().map_or(after, |event| event.seq);
    Ok(EventPage { events, next_after, at: at.map(EventId::from) })
}

/// Gives the next positions to events that are committed and have none.
///
/// One sequencer works at a time (the row of `outbox_head` is its lock; another one just leaves), and each position
/// is committed before the next sequencer starts: so a reader that has seen position n will never find a new event
/// at or below n. Within an aggregate the order is that of writing: if we see an event, we also see those that had
/// been committed before it was written.
async fn sequence(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let head: Option<i64> = sqlx::query_scalar("SELECT last FROM kit.outbox_head FOR UPDATE SKIP LOCKED")
        .fetch_optional(&mut *tx)
        .await?;
    let Some(last) = head else { return Ok(()) };
    // A statement of its own: its snapshot is taken after the lock, so it sees what the last sequencer did.
    sqlx::query(
        "WITH fresh AS (
            SELECT entry, $1 + row_number() OVER (ORDER BY entry) AS seq
              FROM kit.outbox WHERE seq IS NULL ORDER BY entry LIMIT 1000
         ), given AS (
            UPDATE kit.outbox o SET seq = fresh.seq FROM fresh WHERE o.entry = fresh.entry RETURNING o.seq
         )
         UPDATE kit.outbox_head SET last = greatest(last, (SELECT max(seq) FROM given))",
    )
    .bind(last)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Throws away events older than `keep`, whether anybody has read them or not. Answers how many.
///
/// # Errors
/// When the database fails.
pub async fn prune(pool: &PgPool, keep: Duration) -> Result<u64, sqlx::Error> {
    let oldest = OffsetDateTime::now_utc() - keep;
    // Where nobody reads, nobody gives positions.
    for _ in 0..MOST_SEQUENCED {
        let unread = "SELECT EXISTS (SELECT FROM kit.outbox WHERE seq IS NULL AND occurred_at < $1)";
        if !sqlx::query_scalar(unread).bind(oldest).fetch_one(pool).await? {
            break;
        }
        sequence(pool).await?;
    }
    // Only a prefix goes: an older event behind a younger one stays until the younger one is old as well.
    let upto: i64 = sqlx::query_scalar(
        "SELECT coalesce((SELECT min(seq) - 1 FROM kit.outbox WHERE occurred_at >= $1), last) FROM kit.outbox_head",
    )
    .bind(oldest)
    .fetch_one(pool)
    .await?;
    retention::in_batches(|| throw_away(pool, upto)).await
}

/// At most a batch of the events up to a position.
async fn throw_away(pool: &PgPool, upto: i64) -> Result<u64, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let head = sqlx::query("SELECT FROM kit.outbox_head FOR UPDATE SKIP LOCKED");
    if head.fetch_optional(&mut *tx).await?.is_none() {
        return Ok(0);
    }
    let batch =
        "SELECT max(seq) FROM (SELECT seq FROM kit.outbox WHERE seq <= $1 ORDER BY seq LIMIT $2) AS batch";
    let upto: Option<i64> =
        sqlx::query_scalar(batch).bind(upto).bind(retention::BATCH as i64).fetch_one(&mut *tx).await?;
    let Some(upto) = upto else { return Ok(0) };
    let gone = sqlx::query("DELETE FROM kit.outbox WHERE seq <= $1").bind(upto).execute(&mut *tx).await?;
    sqlx::query("UPDATE kit.outbox_head SET pruned = greatest(pruned, $1)")
        .bind(upto)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(gone.rows_affected())
}

fn event(row: &sqlx::postgres::PgRow) -> Result<Event, sqlx::Error> {
    Ok(Event {
        id: EventId::from(row.try_get::<Uuid, _>("id")?),
        seq: row.try_get("seq")?,
        r#type: row.try_get("type")?,
        aggregate: row.try_get("aggregate")?,
        occurred_at: row.try_get("occurred_at")?,
        data: row.try_get("data")?,
    })
}
