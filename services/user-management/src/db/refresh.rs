//! Queries of refresh tokens: a family is a session, a token is used once (RFC 9700 §4.14). Rotation is one
//! statement; what a token that was not rotated means is told by [`find`].

use shop_api::Roles;
use shop_api::ids::{SessionId, UserId};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::sessions::IDLE;
use crate::domain::token::SecretHash;

/// For so long after a rotation the old token is answered with the same successor again: two tabs, a lost answer.
pub const GRACE_SECONDS: f64 = 10.0;

/// A session that goes on.
pub struct Refreshed {
    pub session: SessionId,
    pub user: UserId,
    pub roles: Roles,
    pub expires_at: OffsetDateTime,
}

/// Uses a token up and puts its successor in its place; `None` when it was used before, is unknown, or its session
/// is over. Of many at once exactly one gets through. `sealed` is the successor under a key made from the old token.
pub async fn rotate(
    tx: &mut PgConnection,
    presented: SecretHash,
    successor: SecretHash,
    sealed: &[u8],
) -> sqlx::Result<Option<Refreshed>> {
    let row = sqlx::query!(
        r#"WITH used AS (
               UPDATE refresh_tokens SET used_at = now(), next_hash = $2, successor = $3
               WHERE hash = $1 AND used_at IS NULL RETURNING session_id
           ), alive AS (
               UPDATE sessions s SET last_used_at = now(), expires_at = least(s.ends_at, $4)
               FROM used, users u
               WHERE s.id = used.session_id AND s.revoked_at IS NULL AND s.expires_at > now()
                 AND u.id = s.user_id AND u.status = 'active'
               RETURNING s.id, s.user_id, s.expires_at, u.roles
           ), fresh AS (
               INSERT INTO refresh_tokens (hash, session_id) SELECT $2, id FROM alive
           )
           SELECT id AS "id!", user_id AS "user_id!", expires_at AS "expires_at!", roles AS "roles!" FROM alive"#,
        presented.as_bytes(),
        successor.as_bytes(),
        sealed,
        OffsetDateTime::now_utc() + IDLE
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Refreshed {
        session: row.id.into(),
        user: row.user_id.into(),
        roles: Roles::from_names(row.roles.iter().map(String::as_str)),
        expires_at: row.expires_at,
    }))
}

/// A token that [`rotate`] did not take.
pub struct Spent {
    pub session: Refreshed,
    /// Its session lives and its account is active.
    pub alive: bool,
    /// The successor, sealed: only within the grace time and while the successor itself is unused.
    pub successor: Option<Vec<u8>>,
}

/// What is known of a token; `None` when it is none of ours. Its session is locked until the transaction ends.
pub async fn find(tx: &mut PgConnection, presented: SecretHash) -> sqlx::Result<Option<Spent>> {
    let row = sqlx::query!(
        r#"SELECT s.id, s.user_id, s.expires_at, u.roles,
                  s.revoked_at IS NULL AND s.expires_at > now() AND u.status = 'active' AS "alive!",
                  CASE WHEN r.used_at > clock_timestamp() - make_interval(secs => $2) AND n.used_at IS NULL
                       THEN r.successor END AS successor
           FROM refresh_tokens r
           JOIN sessions s ON s.id = r.session_id
           JOIN users u ON u.id = s.user_id
           LEFT JOIN refresh_tokens n ON n.hash = r.next_hash
           WHERE r.hash = $1 FOR UPDATE OF s"#,
        presented.as_bytes(),
        GRACE_SECONDS
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Spent {
        session: Refreshed {
            session: row.id.into(),
            user: row.user_id.into(),
            roles: Roles::from_names(row.roles.iter().map(String::as_str)),
            expires_at: row.expires_at,
        },
        alive: row.alive,
        successor: row.successor,
    }))
}
