//! Queries of refresh tokens: a family is a session, a token is used once (RFC 9700 §4.14). Whoever brings one holds
//! first the account and then the session ([`hold`]), as everybody does, and only then touches a token. A successor is kept,
//! sealed, for the grace and no longer: [`rotate`] clears it when it is used, [`forget_successors`] when it is not.

use shop_api::Roles;
use shop_api::ids::{SessionId, UserId};
use sqlx::{PgConnection, PgExecutor};
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

/// The session of a token, held until the transaction ends.
pub struct Family {
    pub session: Refreshed,
    /// It lives and its account is active.
    pub alive: bool,
}

/// What a presented token is, before anything is held.
pub struct Presented {
    /// Alive or over.
    pub session: SessionId,
    /// It was used up, it is too late to ask for its successor again, and its session lives: which has to end.
    pub is_stolen: bool,
}

/// Looks a token up; `None` when it is none of ours.
pub async fn look_up(db: impl PgExecutor<'_>, presented: SecretHash) -> sqlx::Result<Option<Presented>> {
    let row = sqlx::query!(
        r#"SELECT r.session_id, s.revoked_at IS NULL AND s.expires_at > now() AND r.used_at IS NOT NULL
                  AND NOT (r.used_at > clock_timestamp() - make_interval(secs => $2) AND n.used_at IS NULL) AS "is_stolen!"
           FROM refresh_tokens r JOIN sessions s ON s.id = r.session_id
           LEFT JOIN refresh_tokens n ON n.hash = r.next_hash
           WHERE r.hash = $1"#,
        presented.as_bytes(),
        GRACE_SECONDS
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Presented { session: row.session_id.into(), is_stolen: row.is_stolen }))
}

/// Holds the account and then the session of a token; `None` when it is none of ours. Closing an account takes the same
/// two first and the tokens with the session: in another order each could wait for the other.
pub async fn hold(tx: &mut PgConnection, presented: SecretHash) -> sqlx::Result<Option<Family>> {
    // The session is joined to the row that holds the account, so it cannot be held before that.
    let row = sqlx::query!(
        r#"WITH account AS (
               SELECT s.id AS session_id, u.roles, u.status
               FROM refresh_tokens r JOIN sessions s ON s.id = r.session_id JOIN users u ON u.id = s.user_id
               WHERE r.hash = $1 FOR SHARE OF u
           )
           SELECT s.id, s.user_id, s.expires_at, a.roles,
                  s.revoked_at IS NULL AND s.expires_at > now() AND a.status = 'active' AS "alive!"
           FROM account a JOIN sessions s ON s.id = a.session_id FOR NO KEY UPDATE OF s"#,
        presented.as_bytes()
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Family {
        session: Refreshed {
            session: row.id.into(),
            user: row.user_id.into(),
            roles: Roles::from_names(row.roles.iter().map(String::as_str)),
            expires_at: row.expires_at,
        },
        alive: row.alive,
    }))
}

/// Uses a token of a held session up and puts its successor in its place: when the session ends now, or `None` when the
/// token was used before. Of many at once exactly one gets through. `sealed` is the successor under a key made from the
/// old token; what the old token was sealed as itself, in the row before, is over and goes: otherwise each token would
/// open the next, and an old one that leaked would lead to the living one.
pub async fn rotate(
    tx: &mut PgConnection,
    session: SessionId,
    presented: SecretHash,
    successor: SecretHash,
    sealed: &[u8],
) -> sqlx::Result<Option<OffsetDateTime>> {
    sqlx::query_scalar!(
        r#"WITH used AS (
               UPDATE refresh_tokens SET used_at = now(), next_hash = $2, successor = $3
               WHERE hash = $1 AND session_id = $5 AND used_at IS NULL RETURNING session_id
           ), fresh AS (
               INSERT INTO refresh_tokens (hash, session_id) SELECT $2, session_id FROM used
           ), unsealed AS (
               UPDATE refresh_tokens p SET successor = NULL
               FROM used WHERE p.session_id = used.session_id AND p.next_hash = $1 AND p.successor IS NOT NULL
           )
           UPDATE sessions s SET last_used_at = now(), expires_at = least(s.ends_at, $4)
           FROM used WHERE s.id = used.session_id RETURNING s.expires_at"#,
        presented.as_bytes(),
        successor.as_bytes(),
        sealed,
        OffsetDateTime::now_utc() + IDLE,
        session.uuid()
    )
    .fetch_optional(tx)
    .await
}

/// The sealed successor of a token that [`rotate`] did not take: only within the grace time and while the successor
/// itself is unused.
pub async fn successor(tx: &mut PgConnection, presented: SecretHash) -> sqlx::Result<Option<Vec<u8>>> {
    let sealed = sqlx::query_scalar!(
        "SELECT r.successor FROM refresh_tokens r JOIN refresh_tokens n ON n.hash = r.next_hash
         WHERE r.hash = $1 AND r.used_at > clock_timestamp() - make_interval(secs => $2) AND n.used_at IS NULL",
        presented.as_bytes(),
        GRACE_SECONDS
    )
    .fetch_optional(tx)
    .await?;
    Ok(sealed.flatten())
}

/// Throws the sealed successors away whose grace is over, at most a thousand at a time. What somebody holds just now is
/// being used, or goes the next time.
pub async fn forget_successors(db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "UPDATE refresh_tokens SET successor = NULL WHERE hash IN
             (SELECT hash FROM refresh_tokens
              WHERE successor IS NOT NULL AND used_at <= now() - make_interval(secs => $1)
              LIMIT 1000 FOR UPDATE SKIP LOCKED)",
        GRACE_SECONDS
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
