//! The domain events of accounts, one function each: what other services learn, written in the transaction of the
//! change. Ids, roles and reasons only; nothing personal leaves the service this way.

use serde::Serialize;
use serde_json::json;
use shop_api::ids::{SessionId, UserId};
use shop_api::users::AccountRole;
use shop_kit::outbox::{self, OutboxError};
use sqlx::PgConnection;

use crate::db::sessions::{self, Ended};

/// An account was made; its address is not proved yet.
pub async fn user_registered(tx: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    write(tx, "user.registered", user, &json!({})).await
}

/// The account's e-mail address was proved.
pub async fn user_verified(tx: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    write(tx, "user.verified", user, &json!({})).await
}

/// The account may not act any more; its sessions have ended.
pub async fn user_disabled(tx: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    write(tx, "user.disabled", user, &json!({})).await
}

/// The account may act again.
pub async fn user_enabled(tx: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    write(tx, "user.enabled", user, &json!({})).await
}

/// The account has exactly these roles now. The access tokens of its sessions say otherwise for as long as they live.
pub async fn user_roles_changed(
    tx: &mut PgConnection,
    user: UserId,
    roles: &[AccountRole],
) -> sqlx::Result<()> {
    let sessions = sessions::live(&mut *tx, user).await?;
    write(tx, "user.roles_changed", user, &json!({ "roles": roles, "sessions": sessions })).await
}

/// The account was closed: whoever holds something about the person forgets it, or anonymises what must be kept.
pub async fn user_deleted(tx: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    write(tx, "user.deleted", user, &json!({})).await
}

/// These sessions ended before their time: their access tokens are refused from now on. Nothing when there is none.
pub async fn sessions_revoked(
    tx: &mut PgConnection,
    user: UserId,
    sessions: &[SessionId],
    reason: Ended,
) -> sqlx::Result<()> {
    if sessions.is_empty() {
        return Ok(());
    }
    write(tx, "session.revoked", user, &json!({ "sessions": sessions, "reason": reason.as_str() })).await
}

async fn write(tx: &mut PgConnection, kind: &str, user: UserId, data: &impl Serialize) -> sqlx::Result<()> {
    outbox::write(tx, kind, user.uuid(), data).await.map(drop).map_err(|error| match error {
        OutboxError::Database(error) => error,
        other => sqlx::Error::Encode(Box::new(other)),
    })
}
