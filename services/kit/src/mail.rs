//! Mail: queued in the transaction of what it tells of, made and sent by a worker over SMTP, at least once.
//! The queue holds neither address nor text, and no line of the log names an address.

mod smtp;
mod worker;

use async_trait::async_trait;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

pub use smtp::{MailConfig, MailConfigError, Mailer};
pub use worker::MAX_ATTEMPTS;

/// A letter to be made.
#[derive(Debug, Clone)]
pub struct Job {
    /// The same in every attempt.
    pub id: Uuid,
    /// Which letter, such as `verify`.
    pub kind: String,
    /// Whom or what it is about; the renderer finds the address by it.
    pub subject: Uuid,
    /// What else the renderer needs; never a secret.
    pub data: serde_json::Value,
    /// 1 for the first attempt.
    pub attempt: i32,
}

/// A letter, made.
#[derive(Clone)]
pub struct Letter {
    /// One address, `name@example.org` or `Name <name@example.org>`.
    pub to: String,
    /// One line.
    pub subject: String,
    /// For readers that show no HTML.
    pub text: String,
    /// The same with some layout.
    pub html: String,
}

/// What went wrong while a letter was made.
pub type RenderError = Box<dyn std::error::Error + Send + Sync>;

/// The letter is to wait for another one: it is asked for again a second later, and no attempt is counted.
#[derive(Debug, thiserror::Error)]
#[error("another letter goes first")]
pub struct NotYet;

/// Makes letters. The service gives one.
#[async_trait]
pub trait Renderer: Send + Sync + 'static {
    /// Makes the letter inside a transaction that is committed before the letter is sent: a token it mentions is made
    /// here, so that only its hash is ever stored. `None` when there is nothing to send any more.
    async fn render(&self, tx: &mut PgConnection, job: &Job) -> Result<Option<Letter>, RenderError>;
}

/// Whether a letter of this kind to the subject waits to be sent still: one that must come before another.
///
/// # Errors
/// When the database fails.
pub async fn is_waiting(db: impl PgExecutor<'_>, kind: &str, subject: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM kit.mail_queue WHERE kind = $1 AND subject = $2 AND dead_at IS NULL)",
    )
    .bind(kind)
    .bind(subject)
    .fetch_one(db)
    .await
}

/// Queues a letter inside the transaction of what it tells of.
///
/// # Errors
/// When the database fails; the transaction is then useless.
pub async fn enqueue(
    tx: impl PgExecutor<'_>,
    kind: &str,
    subject: Uuid,
    data: &impl Serialize,
) -> Result<Uuid, sqlx::Error> {
    let id = Uuid::now_v7();
    let data = serde_json::to_value(data).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query("INSERT INTO kit.mail_queue (id, kind, subject, data) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(kind)
        .bind(subject)
        .bind(data)
        .execute(tx)
        .await?;
    Ok(id)
}
