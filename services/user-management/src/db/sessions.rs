//! Queries of sessions: one signed-in device each. A session row is locked before it is ended or refreshed, so that
//! neither can slip past the other.

use shop_api::Roles;
use shop_api::ids::{SessionId, UserId};
use shop_api::users::auth::Session;
use sqlx::{PgConnection, PgExecutor};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::domain::token::SecretHash;

/// A session ends this long after it began, however busy it is.
pub const ABSOLUTE: Duration = Duration::days(30);
/// A session that is not refreshed for this long ends.
pub const IDLE: Duration = Duration::days(14);

/// So many live sessions has one account at most. What ends all of them stays quick, and the event that tells of it small,
/// whoever signs in how often.
pub const MOST: i64 = 100;

/// So many sessions are listed at a time.
pub const PAGE: i64 = 1000;

/// Why a session ended, as the database knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Logout,
    Revoked,
    RefreshReuse,
    PasswordChanged,
    PasswordReset,
    Disabled,
    Deleted,
}

impl Ended {
    /// The stable name, in the database and in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Revoked => "revoked",
            Self::RefreshReuse => "refresh_reuse",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }
}

/// Who signs in, with what was just compared, and from where.
pub struct Start<'a> {
    pub user: UserId,
    /// The hash that the password was found right for.
    pub password_hash: &'a str,
    pub user_agent: &'a str,
    pub address: &'a str,
    pub refresh: SecretHash,
}

/// A session that began.
pub struct Started {
    pub session: SessionId,
    pub expires_at: OffsetDateTime,
    /// As the row has them that is held: those read before the password was compared may be gone.
    pub roles: Roles,
}

/// Begins a session with its first refresh token. `None` when the account was disabled, or its password changed,
/// while the password was being compared: the row is locked, so a reset ends this session too or forbids it.
pub async fn start(tx: &mut PgConnection, start: &Start<'_>) -> sqlx::Result<Option<Started>> {
    let now = OffsetDateTime::now_utc();
    let row = sqlx::query!(
        r#"WITH u AS (
               SELECT id, roles FROM users
               WHERE id = $2 AND status = 'active' AND email_verified_at IS NOT NULL AND password_hash = $3 FOR SHARE
           ), s AS (
               INSERT INTO sessions (id, user_id, expires_at, ends_at, user_agent, address)
               SELECT $1, id, $4, $5, $6, $7 FROM u RETURNING id
           ), r AS (
               INSERT INTO refresh_tokens (hash, session_id) SELECT $8, id FROM s RETURNING session_id
           )
           SELECT r.session_id, u.roles FROM r, u"#,
        SessionId::new().uuid(),
        start.user.uuid(),
        start.password_hash,
        now + IDLE,
        now + ABSOLUTE,
        start.user_agent,
        start.address,
        start.refresh.as_bytes()
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Started {
        session: row.session_id.into(),
        expires_at: now + IDLE,
        roles: Roles::from_names(row.roles.iter().map(String::as_str)),
    }))
}

/// Ends what is beyond [`MOST`] beside the session that has just begun: those that were used longest ago, at most a thousand
/// at a time. What somebody holds just now is being used.
pub async fn end_surplus(
    tx: &mut PgConnection,
    user: UserId,
    begun: SessionId,
) -> sqlx::Result<Vec<SessionId>> {
    let ended = sqlx::query_scalar!(
        "UPDATE sessions SET revoked_at = now(), revoke_reason = $4, user_agent = '', address = ''
         WHERE id IN (
             SELECT id FROM sessions WHERE id IN (
                 SELECT id FROM sessions
                 WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL AND expires_at > now()
                 ORDER BY last_used_at DESC, id DESC OFFSET $3 LIMIT 1000)
             FOR UPDATE SKIP LOCKED)
         RETURNING id",
        user.uuid(),
        begun.uuid(),
        MOST - 1,
        Ended::Revoked.as_str()
    )
    .fetch_all(tx)
    .await?;
    Ok(ended.into_iter().map(SessionId::from).collect())
}

/// An account that is held for a change by somebody signed in.
pub struct Held {
    /// Of the account's row.
    pub version: i64,
    /// As it is stored now.
    pub password_hash: String,
}

/// Holds the account and the session of somebody signed in until the transaction ends; `None` when the account is not
/// active, or the session over, by now: both were asked when the call came in, and much may have happened since.
pub async fn hold(tx: &mut PgConnection, user: UserId, session: SessionId) -> sqlx::Result<Option<Held>> {
    let held = hold_account(tx, user).await?;
    // A statement of its own, after the account's: it sees what whoever held that before has committed.
    let alive = sqlx::query_scalar!(
        "SELECT id FROM sessions WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > now() FOR SHARE",
        session.uuid(),
        user.uuid()
    )
    .fetch_optional(tx)
    .await?;
    Ok(held.filter(|_| alive.is_some()))
}

/// Everybody who ends all sessions of an account, or changes how one signs in, holds the account first: so they come one
/// after the other.
pub async fn hold_account(tx: &mut PgConnection, user: UserId) -> sqlx::Result<Option<Held>> {
    sqlx::query_as!(
        Held,
        r#"SELECT version, password_hash AS "password_hash!" FROM users WHERE id = $1 AND status = 'active'
           FOR NO KEY UPDATE"#,
        user.uuid()
    )
    .fetch_optional(tx)
    .await
}

/// The ids of a user's live sessions, however many.
pub async fn live(db: impl PgExecutor<'_>, user: UserId) -> sqlx::Result<Vec<SessionId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > now()",
        user.uuid()
    )
    .fetch_all(db)
    .await?;
    Ok(ids.into_iter().map(SessionId::from).collect())
}

/// So many live sessions of a user, the newest first, older than `before`.
pub async fn list(
    db: impl PgExecutor<'_>,
    user: UserId,
    current: SessionId,
    before: Option<SessionId>,
    limit: i64,
) -> sqlx::Result<Vec<Session>> {
    let rows = sqlx::query!(
        "SELECT id, user_agent, address, created_at, last_used_at, expires_at FROM sessions
         WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > now() AND id < $2 ORDER BY id DESC LIMIT $3",
        user.uuid(),
        before.map_or(Uuid::max(), SessionId::uuid),
        limit
    )
    .fetch_all(db)
    .await?;
    let sessions = rows.into_iter().map(|row| Session {
        id: row.id.into(),
        current: current.uuid() == row.id,
        user_agent: row.user_agent,
        address: row.address,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        expires_at: row.expires_at,
    });
    Ok(sessions.collect())
}

/// Ends one session of a user. True when it was alive. What it knew of the person's device goes with it.
pub async fn revoke(
    tx: &mut PgConnection,
    user: UserId,
    session: SessionId,
    why: Ended,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE sessions SET revoked_at = now(), revoke_reason = $3, user_agent = '', address = ''
         WHERE id = $2 AND user_id = $1 AND revoked_at IS NULL AND expires_at > now()",
        user.uuid(),
        session.uuid(),
        why.as_str()
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends every session of a user but one, and says which were alive.
pub async fn revoke_all(
    tx: &mut PgConnection,
    user: UserId,
    except: Option<SessionId>,
    why: Ended,
) -> sqlx::Result<Vec<SessionId>> {
    hold_account(&mut *tx, user).await?;
    let ended = sqlx::query_scalar!(
        "UPDATE sessions SET revoked_at = now(), revoke_reason = $3, user_agent = '', address = ''
         WHERE user_id = $1 AND id IS DISTINCT FROM $2 AND revoked_at IS NULL AND expires_at > now() RETURNING id",
        user.uuid(),
        except.map(SessionId::uuid),
        why.as_str()
    )
    .fetch_all(tx)
    .await?;
    Ok(ended.into_iter().map(SessionId::from).collect())
}

/// Takes what is known of the person's device out of sessions that ended by themselves, as [`revoke`] does of the
/// others; at most a thousand at a time.
pub async fn forget_devices(db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "UPDATE sessions SET user_agent = '', address = '' WHERE id IN
             (SELECT id FROM sessions WHERE expires_at <= now() AND (user_agent <> '' OR address <> '')
              LIMIT 1000 FOR UPDATE SKIP LOCKED)"
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Throws away sessions that ended before `older_than`, and their refresh tokens with them; at most a thousand at
/// a time, so that no statement is long. What somebody holds just now is left to the next time: whoever closes an account
/// takes the same rows in another order.
pub async fn purge(db: impl PgExecutor<'_>, older_than: OffsetDateTime) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM sessions WHERE id IN
             (SELECT id FROM sessions WHERE expires_at < $1 LIMIT 1000 FOR UPDATE SKIP LOCKED)",
        older_than
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
