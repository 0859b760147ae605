//! The audit log: who did what to whom. Rows are written in the transaction of what they tell of and never
//! changed. Ids and reasons only: no e-mail, no secret, no whole network address.

use serde_json::Value;
use shop_api::ids::{AuditId, UserId};
use shop_api::users::audit::AuditEntry;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

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

/// Every entry about this user, newest first: for its export. What an administrator did to others is the others', and
/// of what others did to this one it is told when and what, not who and from where, nor the note they made.
pub async fn all_of(tx: &mut PgConnection, user: UserId) -> sqlx::Result<Vec<AuditEntry>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, at, action, CASE WHEN own THEN actor END AS actor, subject, request_id,
                  CASE WHEN own THEN place ELSE '' END AS "place!",
                  CASE WHEN own THEN data ELSE data - 'reason' END AS "data!"
           FROM audit_log, LATERAL (SELECT actor = subject OR actor_kind = 'system' AS own) whose
           WHERE subject = $1 ORDER BY id DESC"#,
        user.uuid()
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(AuditEntry::from).collect())
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
