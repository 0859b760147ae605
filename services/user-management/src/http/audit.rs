//! The audit log: its list for administrators, and how a handler writes an entry about the request it serves.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shop_api::Permission::AuditRead;
use shop_api::ids::AuditId;
use shop_api::users::audit::{AuditEntry, AuditQuery};
use shop_api::{Page, PageQuery};
use shop_kit::page::{Keyset, Window};
use shop_kit::{Access, ApiError, ApiRouter, Caller, ClientAddr, Json, Query, RequestId};
use sqlx::PgConnection;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::db::audit::{self, Actor, Entry};
use crate::domain::throttle::place_label;
use crate::state::AppState;

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new().route(Access::Need(AuditRead), routes!(list))
}

/// Entries are listed newest first.
#[derive(Serialize, Deserialize)]
struct Before(AuditId);

impl Keyset for Before {
    const LIST: &'static str = "audit";
}

/// List the audit log, newest first
#[utoipa::path(get, path = "/audit", operation_id = "list_audit_log", tag = "administration", params(AuditQuery),
    responses((status = 200, body = Page<AuditEntry>)))]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Page<AuditEntry>>, ApiError> {
    let window = Window::<Before>::of(&PageQuery { limit: query.limit, cursor: query.cursor })?;
    let before = window.after.as_ref().map(|before| before.0);
    let mut tx = state.pool.begin().await?;
    let found = audit::list(&mut tx, query.user, query.action.as_deref(), before, window.rows()).await?;
    // Of whom it was read, if of somebody: what a person did is personal too.
    let of = query.user.map(|user| user.uuid());
    record_as(&mut tx, "audit.read", Actor::User(caller.subject), of, json!({})).await?;
    tx.commit().await?;
    Ok(Json(window.page(found, |entry| Before(entry.id), |entry| entry)))
}

/// Writes what a signed-in user does into the audit log, with the request it is done in.
pub(super) async fn record(
    tx: &mut PgConnection,
    action: &'static str,
    actor: Uuid,
    subject: Uuid,
    data: Value,
) -> Result<(), ApiError> {
    record_as(tx, action, Actor::User(actor), Some(subject), data).await
}

/// The same for whoever acts, and also where nobody is known to whom it happens.
pub(super) async fn record_as(
    tx: &mut PgConnection,
    action: &'static str,
    actor: Actor,
    subject: Option<Uuid>,
    data: Value,
) -> Result<(), ApiError> {
    let entry = Entry {
        action,
        actor,
        subject,
        request_id: &RequestId::current().to_string(),
        place: place_label(ClientAddr::current().0),
        data,
    };
    Ok(audit::record(tx, &entry).await?)
}
