//! The worker that empties the queue. Several may run, in one process or many: each takes what no other holds.
//! It never sends inside a transaction, and gives up on a letter only after [`MAX_ATTEMPTS`].

use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgPool, Row};
use tokio_util::sync::CancellationToken;

use super::smtp::SendError;
use super::{Job, Letter, Mailer, NotYet, Renderer};

/// With the pauses below these are spread over about two hours.
pub const MAX_ATTEMPTS: i32 = 14;

/// How long an attempt may take before another worker takes the letter: more than SMTP's longest conversation.
const LEASE_SECONDS: f64 = 120.0;

/// How often an idle worker looks.
const IDLE: Duration = Duration::from_millis(400);

/// Pause before the attempt after this one: 2 s, doubled, at most 15 min.
fn pause_seconds(attempt: i32) -> f64 {
    2f64.powi(attempt.clamp(1, 20)).min(900.0)
}

impl Mailer {
    /// Sends what is queued until `stop`; the letter in hand is finished first.
    pub async fn run(self: Arc<Self>, pool: PgPool, renderer: Arc<dyn Renderer>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.step(&pool, &*renderer).await {
                Ok(true) => continue,
                Ok(false) => IDLE,
                Err(error) => {
                    tracing::warn!(error = %error, "the mail worker cannot reach its queue");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes and sends one letter. Answers whether there was one.
    async fn step(&self, pool: &PgPool, renderer: &dyn Renderer) -> Result<bool, sqlx::Error> {
        let Some((job, letter)) = take(pool, renderer).await? else { return Ok(false) };
        let sent = match letter {
            Ok(Some(letter)) => self.send(job.id, letter).await,
            Ok(None) => Ok(()),
            Err(error) if error.is::<NotYet>() => {
                sqlx::query(
                    "UPDATE kit.mail_queue SET attempts = attempts - 1, due_at = now() + interval '1 second' WHERE id = $1",
                )
                .bind(job.id)
                .execute(pool)
                .await?;
                return Ok(true);
            }
            Err(error) => {
                tracing::error!(mail.kind = job.kind, mail.id = %job.id, error = %error, "a letter could not be made");
                Err(SendError::Later("not rendered".to_owned()))
            }
        };
        let outcome = match &sent {
            Ok(()) => "sent",
            Err(SendError::Later(_)) if job.attempt < MAX_ATTEMPTS => "later",
            Err(_) => "dead",
        };
        metrics::counter!("mail_total", "kind" => job.kind.clone(), "outcome" => outcome).increment(1);
        match sent {
            Ok(()) => {
                sqlx::query("DELETE FROM kit.mail_queue WHERE id = $1").bind(job.id).execute(pool).await?
            }
            Err(error) => {
                tracing::warn!(mail.kind = job.kind, mail.id = %job.id, mail.attempt = job.attempt, mail.outcome = outcome, error = %error, "a letter was not sent");
                sqlx::query(
                    "UPDATE kit.mail_queue SET last_error = $2, due_at = now() + make_interval(secs => $3),
                            dead_at = CASE WHEN $4 THEN now() END WHERE id = $1",
                )
                .bind(job.id)
                .bind(error.to_string())
                .bind(pause_seconds(job.attempt))
                .bind(outcome == "dead")
                .execute(pool)
                .await?
            }
        };
        Ok(true)
    }
}

type Rendered = Result<Option<Letter>, super::RenderError>;

/// Takes the next letter for [`LEASE_SECONDS`] and renders it, in one transaction that is committed before anything
/// is sent: whoever reads the mail finds its token valid, and a worker that dies leaves the letter to another.
async fn take(pool: &PgPool, renderer: &dyn Renderer) -> Result<Option<(Job, Rendered)>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let row = sqlx::query(
        "UPDATE kit.mail_queue SET attempts = attempts + 1, due_at = now() + make_interval(secs => $1)
          WHERE id = (SELECT id FROM kit.mail_queue WHERE dead_at IS NULL AND due_at <= now()
                       ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING id, kind, subject, data, attempts",
    )
    .bind(LEASE_SECONDS)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let job = Job {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        subject: row.try_get("subject")?,
        data: row.try_get("data")?,
        attempt: row.try_get("attempts")?,
    };
    // A renderer that fails may have spoilt the transaction: only the savepoint goes, the attempt stays counted.
    let mut savepoint = sqlx::Acquire::begin(&mut *tx).await?;
    let rendered = renderer.render(&mut savepoint, &job).await;
    match &rendered {
        Ok(_) => savepoint.commit().await?,
        Err(_) => savepoint.rollback().await?,
    }
    tx.commit().await?;
    Ok(Some((job, rendered)))
}
