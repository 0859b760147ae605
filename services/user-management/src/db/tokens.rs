//! Queries of mailed tokens: used once, thirty minutes. One a user and purpose lives; of those to set a new password, which
//! anybody can have mailed, those that were replaced live on beside it (`replaced_tokens`) and end with it.

use shop_api::ids::UserId;
use sqlx::{PgConnection, PgExecutor};
use time::{Duration, OffsetDateTime};

use crate::domain::token::SecretHash;

/// A mailed token works for so long.
pub const LIFE: Duration = Duration::minutes(30);

/// What a token was mailed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Verify,
    Reset,
    EmailChange,
}

impl Purpose {
    /// The stable name in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
            Self::EmailChange => "email_change",
        }
    }
}

/// Puts a new token in the place of the one before, which goes on working if it is one to set a new password. `new_email` only for [`Purpose::EmailChange`].
pub async fn put(
    tx: &mut PgConnection,
    user: UserId,
    purpose: Purpose,
    hash: SecretHash,
    new_email: Option<&str>,
) -> sqlx::Result<()> {
    if purpose == Purpose::Reset {
        sqlx::query!(
            "INSERT INTO replaced_tokens (hash, user_id, expires_at)
             SELECT hash, user_id, expires_at FROM mail_tokens
             WHERE user_id = $1 AND purpose = 'reset' AND expires_at > now()",
            user.uuid()
        )
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query!(
        "INSERT INTO mail_tokens (hash, user_id, purpose, new_email, expires_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (user_id, purpose) DO UPDATE SET hash = excluded.hash, new_email = excluded.new_email,
             created_at = now(), expires_at = excluded.expires_at",
        hash.as_bytes(),
        user.uuid(),
        purpose.as_str(),
        new_email,
        OffsetDateTime::now_utc() + LIFE
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether a token like this was mailed within the last minute: a mailbox must not be flooded through us.
pub async fn is_recent(
    db: impl PgExecutor<'_>,
    user: UserId,
    purpose: Purpose,
    new_email: Option<&str>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM mail_tokens WHERE user_id = $1 AND purpose = $2
                          AND new_email IS NOT DISTINCT FROM $3
                          AND created_at > now() - interval '1 minute') AS "recent!""#,
        user.uuid(),
        purpose.as_str(),
        new_email
    )
    .fetch_one(db)
    .await
}

/// Whose unexpired token this is, left as it is.
pub async fn owner(
    db: impl PgExecutor<'_>,
    hash: SecretHash,
    purpose: Purpose,
) -> sqlx::Result<Option<UserId>> {
    let user = sqlx::query_scalar!(
        r#"SELECT user_id AS "user_id!" FROM mail_tokens WHERE hash = $1 AND purpose = $2 AND expires_at > now()
           UNION ALL
           SELECT user_id FROM replaced_tokens WHERE hash = $1 AND $2 = 'reset' AND expires_at > now()"#,
        hash.as_bytes(),
        purpose.as_str()
    )
    .fetch_optional(db)
    .await?;
    Ok(user.map(UserId::from))
}

/// Whose token this is, whatever it was mailed for and however old.
pub async fn subject(db: impl PgExecutor<'_>, hash: SecretHash) -> sqlx::Result<Option<UserId>> {
    let user = sqlx::query_scalar!("SELECT user_id FROM mail_tokens WHERE hash = $1", hash.as_bytes())
        .fetch_optional(db)
        .await?;
    Ok(user.map(UserId::from))
}

/// A token that was just used up.
pub struct Taken {
    pub user: UserId,
    pub new_email: Option<String>,
}

/// Uses a token up: of many at once exactly one gets it.
pub async fn take(tx: &mut PgConnection, hash: SecretHash, purpose: Purpose) -> sqlx::Result<Option<Taken>> {
    let row = sqlx::query!(
        r#"WITH newest AS (
               DELETE FROM mail_tokens WHERE hash = $1 AND purpose = $2 AND expires_at > now()
               RETURNING user_id, new_email
           ), replaced AS (
               DELETE FROM replaced_tokens WHERE hash = $1 AND $2 = 'reset' AND expires_at > now() RETURNING user_id
           )
           SELECT user_id AS "user_id!", new_email FROM newest
           UNION ALL
           SELECT user_id, NULL FROM replaced"#,
        hash.as_bytes(),
        purpose.as_str()
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Taken { user: row.user_id.into(), new_email: row.new_email }))
}

/// Kills the token that was mailed for a purpose. That it was mailed is still known, so that a mailbox is not flooded.
pub async fn revoke(tx: &mut PgConnection, user: UserId, purpose: Purpose) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE mail_tokens SET expires_at = now() WHERE user_id = $1 AND purpose = $2 AND expires_at > now()",
        user.uuid(),
        purpose.as_str()
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Kills every mailed token of a user.
pub async fn clear(tx: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM mail_tokens WHERE user_id = $1", user.uuid()).execute(&mut *tx).await?;
    sqlx::query!("DELETE FROM replaced_tokens WHERE user_id = $1", user.uuid()).execute(tx).await?;
    Ok(())
}

/// Throws away tokens that expired before `older_than`, at most a thousand at a time, but those that somebody holds just
/// now.
pub async fn purge(db: impl PgExecutor<'_>, older_than: OffsetDateTime) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "WITH replaced AS (
             DELETE FROM replaced_tokens WHERE hash IN
                 (SELECT hash FROM replaced_tokens WHERE expires_at < $1 LIMIT 1000 FOR UPDATE SKIP LOCKED)
         )
         DELETE FROM mail_tokens WHERE hash IN
             (SELECT hash FROM mail_tokens WHERE expires_at < $1 LIMIT 1000 FOR UPDATE SKIP LOCKED)",
        older_than
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
