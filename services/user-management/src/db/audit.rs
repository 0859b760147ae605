//! The audit log: who did what to whom. Rows are written in the transaction of what they tell of and never
//! changed; they go when they are old enough. Ids and reasons only: no e-mail, no secret, no whole network address.

use serde_json::Value;
use shop_api::ids::{AuditId, UserId};
use shop_api::users::audit::AuditEntry;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::{Builder, Uuid};

use super::plan_for_values;

/// Who acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A person, signed in.
    User(Uuid),
    /// A service client.
    Service(Uuid),
    /// Someone at the command line of the service.
    Operator,
    /// The service itself, or somebody who has not proved who they are.
    System,
}

/// One entry to be written.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// `noun.verb`, as the table checks.
    pub action: &'static str,
    pub actor: Actor,
    /// Whom or what it happened to.
    pub subject: Option<Uuid>,
    pub request_id: &'a str,
    /// The network the request came from (`throttle::place_label`).
    pub place: String,
    pub data: Value,
}

/// Writes one entry.
pub async fn record(conn: &mut PgConnection, entry: &Entry<'_>) -> sqlx::Result<()> {
    let (kind, actor) = match entry.actor {
        Actor::User(id) => ("user", Some(id)),
        Actor::Service(id) => ("service", Some(id)),
        Actor::Operator => ("operator", None),
        Actor::System => ("system", None),
    };
    sqlx::query!(
        "INSERT INTO audit_log (id, action, actor_kind, actor, subject, request_id, place, data)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        AuditId::new().uuid(),
        entry.action,
        kind,
        actor,
        entry.subject,
        entry.request_id,
        entry.place,
        entry.data
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Entries about `user` or made by it, and of `action`, newest first, older than `before`.
/// The two halves of "about or by" are asked apart and planned for their values, so that each walks its own index
/// from the end.
pub async fn list(
    tx: &mut PgConnection,
    user: Option<UserId>,
    action: Option<&str>,
    before: Option<AuditId>,
    limit: i64,
) -> sqlx::Result<Vec<AuditEntry>> {
    plan_for_values(tx).await?;
    let user = user.map(|id| id.uuid());
    let before = before.map_or(Uuid::max(), |id| id.uuid());
    let rows =
        sqlx::query_file_as!(Row, "src/db/list_audit.sql", user, action, before, limit).fetch_all(tx).await?;
    Ok(rows.into_iter().map(AuditEntry::from).collect())
}

/// So many entries about this user, newest first, older than `before`: for its export. What an administrator did to others
/// is the others', and
/// of what others did to this one it is told when and what, not who and from where, nor the note they made.
pub async fn about(
    db: impl PgExecutor<'_>,
    user: UserId,
    before: Option<AuditId>,
    limit: i64,
) -> sqlx::Result<Vec<AuditEntry>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, at, action, CASE WHEN own THEN actor END AS actor, subject, request_id,
                  CASE WHEN own THEN place ELSE '' END AS "place!",
                  CASE WHEN own THEN data ELSE data - 'reason' END AS "data!"
           FROM audit_log, LATERAL (SELECT actor = subject OR actor_kind = 'system' AS own) whose
           WHERE subject = $1 AND id < $2 ORDER BY id DESC LIMIT $3"#,
        user.uuid(),
        before.map_or(Uuid::max(), |id| id.uuid()),
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(AuditEntry::from).collect())
}

/// Throws away entries from before `older_than`, at most a thousand at a time. Of the last ninety days the table itself
/// lets nobody take one away.
pub async fn purge(db: impl PgExecutor<'_>, older_than: OffsetDateTime) -> sqlx::Result<u64> {
    // Ids begin with the time: the oldest stand first in the primary key, and no others are read.
    let millis = u64::try_from(older_than.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    let done = sqlx::query!(
        "DELETE FROM audit_log WHERE id IN
             (SELECT id FROM audit_log WHERE id < $1 AND at < $2 ORDER BY id LIMIT 1000)",
        Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid(),
        older_than
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

struct Row {
    id: Uuid,
    at: OffsetDateTime,
    action: String,
    actor: Option<Uuid>,
    subject: Option<Uuid>,
    request_id: String,
    place: String,
    data: Value,
}

impl From<Row> for AuditEntry {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            at: row.at,
            actor: row.actor,
            subject: row.subject,
            action: row.action,
            request_id: Some(row.request_id).filter(|text| !text.is_empty()),
            address_prefix: Some(row.place).filter(|text| !text.is_empty()),
            detail: row.data,
        }
    }
}
