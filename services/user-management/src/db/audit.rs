//! The audit log: who did what to whom. Rows are written in the transaction of what they tell of and never
//! changed. Ids and reasons only: no e-mail, no secret, no whole network address.

use serde_json::Value;
use shop_api::ids::{AuditId, UserId};
use shop_api::users::admin::AuditEntry;
use sqlx::PgExecutor;
use uuid::Uuid;

/// Who acted, and in which request.
#[derive(Debug, Clone, Default)]
pub struct By {
    kind: Kind,
    actor: Option<Uuid>,
    request_id: String,
    place: String,
}

#[derive(Debug, Clone, Copy, Default)]
enum Kind {
    User,
    Service,
    Operator,
    #[default]
    System,
}

impl By {
    /// A person through the API; `None` while nobody is signed in.
    pub fn user(actor: Option<UserId>, request_id: impl Into<String>, place: impl Into<String>) -> Self {
        Self {
            kind: Kind::User,
            actor: actor.map(|id| id.uuid()),
            request_id: request_id.into(),
            place: place.into(),
        }
    }

    /// A service client through the API.
    pub fn service(client: Uuid, request_id: impl Into<String>, place: impl Into<String>) -> Self {
        Self {
            kind: Kind::Service,
            actor: Some(client),
            request_id: request_id.into(),
            place: place.into(),
        }
    }

    /// Someone at the command line of the service.
    pub fn operator() -> Self {
        Self { kind: Kind::Operator, ..Self::default() }
    }

    /// The service itself.
    pub fn system() -> Self {
        Self::default()
    }

    fn kind(&self) -> &'static str {
        match self.kind {
            Kind::User => "user",
            Kind::Service => "service",
            Kind::Operator => "operator",
            Kind::System => "system",
        }
    }
}

/// Writes one entry. `action` is `noun.verb`, as the table checks.
pub async fn write(
    db: impl PgExecutor<'_>,
    by: &By,
    action: &str,
    subject: Option<Uuid>,
    data: Value,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO audit_log (id, action, actor_kind, actor, subject, request_id, place, data)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        AuditId::new().uuid(),
        action,
        by.kind(),
        by.actor,
        subject,
        by.request_id,
        by.place,
        data
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Entries about `user` or made by it, and of `action`, newest first, older than `before`.
/// The two halves of "about or by" are asked apart, so that each walks its own index from the end.
pub async fn list(
    db: impl PgExecutor<'_>,
    user: Option<UserId>,
    action: Option<&str>,
    before: Option<AuditId>,
    limit: i64,
) -> sqlx::Result<Vec<AuditEntry>> {
    let user = user.map(|id| id.uuid());
    let before = before.map_or(Uuid::max(), |id| id.uuid());
    let rows = sqlx::query!(
        r#"SELECT id AS "id!", at AS "at!", action AS "action!", actor, subject, request_id AS "request_id!",
                  place AS "place!", data AS "data!"
           FROM (
             (SELECT * FROM audit_log WHERE $1::uuid IS NULL AND id < $3 AND ($2::text IS NULL OR action = $2)
              ORDER BY id DESC LIMIT $4)
             UNION
             (SELECT * FROM audit_log WHERE subject = $1 AND id < $3 AND ($2::text IS NULL OR action = $2)
              ORDER BY id DESC LIMIT $4)
             UNION
             (SELECT * FROM audit_log WHERE actor = $1 AND id < $3 AND ($2::text IS NULL OR action = $2)
              ORDER BY id DESC LIMIT $4)
           ) AS found
           ORDER BY id DESC LIMIT $4"#,
        user,
        action,
        before,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| AuditEntry {
            id: row.id.into(),
            at: row.at,
            actor: row.actor,
            subject: row.subject,
            action: row.action,
            request_id: Some(row.request_id).filter(|text| !text.is_empty()),
            address_prefix: Some(row.place).filter(|text| !text.is_empty()),
            detail: row.data,
        })
        .collect())
}
