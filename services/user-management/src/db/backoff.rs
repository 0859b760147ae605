//! Queries behind `domain::throttle`: failures of signing in, and the places from which an account did sign in.
//! Keys are hashes; accounts that do not exist have rows like those that do. An attempt counts as a failure from before
//! its password is compared until it proves right, so that guesses sent at once are counted like any others.

use std::time::Duration;

use shop_api::ids::UserId;
use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;

use crate::domain::throttle::{ACCOUNT_BUDGET, LONGEST, wait_after};
use crate::domain::token::SecretHash;

/// The two keys that one attempt counts under.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pub place: SecretHash,
    pub account: SecretHash,
}

/// An attempt that was let pass and counts as a failure: it stays one unless it is given back or succeeds.
#[derive(Debug)]
#[must_use]
pub struct Reserved {
    attempt: Attempt,
    /// When this place counted, and when it had counted before.
    times: Times,
    /// How long the account's budget is spent for, if it is: then only a known place gets in.
    pub spent: Option<Duration>,
    /// Whether the account signed in from this place not long ago.
    pub known: bool,
}

#[derive(Debug)]
struct Times {
    now: OffsetDateTime,
    before: OffsetDateTime,
}

/// Counts an attempt ahead of its outcome, or says how long it has to wait. Of many at once each sees all before it.
pub async fn reserve(pool: &PgPool, attempt: Attempt) -> sqlx::Result<Result<Reserved, Duration>> {
    let mut tx = pool.begin().await?;
    let counted = lock(&mut tx, &attempt).await?;
    if !counted.wait.is_zero() {
        return Ok(Err(counted.wait));
    }
    count(&mut tx, &attempt).await?;
    tx.commit().await?;
    let Counted { times, spent, known, .. } = counted;
    Ok(Ok(Reserved { attempt, times, spent, known }))
}

/// What was counted before an attempt.
struct Counted {
    times: Times,
    /// How long this place has to wait before it may try this account again: zero when it need not.
    wait: Duration,
    spent: Option<Duration>,
    known: bool,
}

/// Holds both rows, the place's before the account's, until the transaction ends; makes them where there are none.
async fn lock(tx: &mut PgConnection, attempt: &Attempt) -> sqlx::Result<Counted> {
    let rows = sqlx::query!(
        r#"INSERT INTO login_backoff AS b (key, failures) VALUES ($1, 0), ($2, 0)
           ON CONFLICT (key) DO UPDATE SET failures = b.failures
           RETURNING key = $1 AS "is_place!", failures, last_failure_at AS before, now() AS "now!",
                     extract(epoch FROM now() - last_failure_at)::float8 AS "age!",
                     extract(epoch FROM now() - window_start)::float8 AS "window_age!",
                     EXISTS (SELECT FROM known_places WHERE key = $1 AND last_seen_at > now() - interval '30 days')
                         AS "known!""#,
        attempt.place.as_bytes(),
        attempt.account.as_bytes()
    )
    .fetch_all(tx)
    .await?;
    let place = rows.iter().find(|row| row.is_place).ok_or(sqlx::Error::RowNotFound)?;
    let times = Times { now: place.now, before: place.before };
    let account = rows.iter().find(|row| !row.is_place).ok_or(sqlx::Error::RowNotFound)?;
    let failures = |failures: i32| u32::try_from(failures).unwrap_or(u32::MAX);
    let window = LONGEST.saturating_sub(seconds(account.window_age));
    Ok(Counted {
        times,
        wait: wait_after(failures(place.failures)).saturating_sub(seconds(place.age)),
        spent: (failures(account.failures) >= ACCOUNT_BUDGET && !window.is_zero()).then_some(window),
        known: place.known,
    })
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Counts a failure under both keys. A place begins anew after a day without one; an account every quarter of an
/// hour.
async fn count(db: &mut PgConnection, attempt: &Attempt) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO login_backoff AS b (key, failures) VALUES ($1, 1), ($2, 1)
         ON CONFLICT (key) DO UPDATE SET last_failure_at = now(),
             failures = CASE WHEN (b.key = $1 AND b.last_failure_at < now() - interval '1 day')
                               OR (b.key = $2 AND b.window_start < now() - interval '15 minutes')
                             THEN 1 ELSE b.failures + 1 END,
             window_start = CASE WHEN b.key = $2 AND b.window_start < now() - interval '15 minutes'
                                 THEN now() ELSE b.window_start END",
        attempt.place.as_bytes(),
        attempt.account.as_bytes()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes an attempt out of the count that was no guess, as if it had not been made.
pub async fn give_back(pool: &PgPool, reserved: &Reserved) -> sqlx::Result<()> {
    let Reserved { attempt, times, .. } = reserved;
    sqlx::query!(
        "UPDATE login_backoff SET failures = greatest(failures - 1, 0),
                last_failure_at = CASE WHEN last_failure_at = $2 THEN $3 ELSE last_failure_at END
         WHERE key = $1",
        attempt.place.as_bytes(),
        times.now,
        times.before
    )
    .execute(pool)
    .await?;
    let mut connection = pool.acquire().await?;
    uncount(&mut connection, attempt).await
}

async fn uncount(db: &mut PgConnection, attempt: &Attempt) -> sqlx::Result<()> {
    let account = attempt.account.as_bytes();
    sqlx::query!("UPDATE login_backoff SET failures = greatest(failures - 1, 0) WHERE key = $1", account)
        .execute(db)
        .await?;
    Ok(())
}

/// Forgives this place its failures and remembers it. The account's failures elsewhere stay counted.
pub async fn succeeded(tx: &mut PgConnection, reserved: &Reserved, user: UserId) -> sqlx::Result<()> {
    proved(tx, reserved.attempt.place, user).await?;
    uncount(tx, &reserved.attempt).await
}

/// Forgets every place of an account: they are kept under the address that it has left, which somebody else may take.
pub async fn forget_places(tx: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM known_places WHERE user_id = $1", user.uuid()).execute(tx).await?;
    Ok(())
}

/// Remembers a place from which the account's mailbox was proved to be its owner's, and forgives it its failures: a
/// stranger who spends the account's budget does not keep the owner out.
pub async fn proved(tx: &mut PgConnection, place: SecretHash, user: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH forgiven AS (DELETE FROM login_backoff WHERE key = $1)
         INSERT INTO known_places (key, user_id) VALUES ($1, $2)
         ON CONFLICT (key) DO UPDATE SET last_seen_at = now(), user_id = excluded.user_id",
        place.as_bytes(),
        user.uuid()
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Throws away what no decision needs any more, at most a thousand of each: failures before `older_than`, and
/// places that count as unknown again; but none that somebody holds just now.
pub async fn purge(db: impl PgExecutor<'_>, older_than: OffsetDateTime) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "WITH places AS (
             DELETE FROM known_places WHERE key IN
                 (SELECT key FROM known_places WHERE last_seen_at < now() - interval '30 days' LIMIT 1000
                  FOR UPDATE SKIP LOCKED)
         )
         DELETE FROM login_backoff WHERE key IN
             (SELECT key FROM login_backoff WHERE last_failure_at < $1 LIMIT 1000 FOR UPDATE SKIP LOCKED)",
        older_than
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
