//! Administration of accounts: search, read, disable, enable, roles, ending sessions. Nobody acts on themselves here,
//! and the last administrator stays.

use std::collections::BTreeSet;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shop_api::Permission::{UsersDisable, UsersRead, UsersRoles, UsersSearch};
use shop_api::ids::UserId;
use shop_api::users::AccountRole;
use shop_api::users::admin::{DisableUser, SetRoles, UserDetail, UserQuery, UserSummary};
use shop_api::users::profile::UserStatus;
use shop_api::{Code, Page, PageQuery};
use shop_kit::etag::{ETag, IfMatch};
use shop_kit::page::{Keyset, Window};
use shop_kit::{Access, ApiError, ApiRouter, Caller, Json, Path, Query};
use sqlx::PgConnection;
use utoipa_axum::routes;

use super::audit::{record, record_as};
use crate::db::admin::{self, Locked, Search};
use crate::db::audit::Actor;
use crate::db::sessions::{self, Ended};
use crate::events;
use crate::state::AppState;

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new()
        .route(Access::Need(UsersSearch), routes!(search))
        .route(Access::Need(UsersRead), routes!(read))
        .route(Access::Need(UsersDisable), routes!(disable))
        .route(Access::Need(UsersDisable), routes!(enable))
        .route(Access::Need(UsersRoles), routes!(set_roles))
        .route(Access::Need(UsersDisable), routes!(end_sessions))
}

/// An account with its tag.
type Detail = (ETag, Json<UserDetail>);

/// Users are listed in the order in which they registered.
#[derive(Serialize, Deserialize)]
struct After(UserId);

impl Keyset for After {
    const LIST: &'static str = "users";
}

/// Search accounts
#[utoipa::path(get, path = "/users", operation_id = "search_users", tag = "administration", params(UserQuery),
    responses((status = 200, body = Page<UserSummary>)))]
async fn search(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<UserQuery>,
) -> Result<Json<Page<UserSummary>>, ApiError> {
    let window = Window::<After>::of(&PageQuery { limit: query.limit, cursor: query.cursor })?;
    let wanted = Search {
        beginning: query.q,
        status: query.status,
        role: query.role,
        after: window.after.as_ref().map(|after| after.0),
        limit: window.rows(),
    };
    let mut tx = state.pool.begin().await?;
    let found = admin::search(&mut tx, &wanted).await?;
    // That somebody looked, never for what: that may be an address, and this outlives the account.
    record_as(&mut tx, "user.searched", Actor::User(caller.subject), None, json!({})).await?;
    tx.commit().await?;
    Ok(Json(window.page(found, |user| After(user.id), |user| user)))
}

/// Read an account
#[utoipa::path(get, path = "/users/{id}", operation_id = "read_user", tag = "administration", params(("id" = UserId, Path)),
    responses((status = 200, body = UserDetail, headers(("ETag" = String))), (status = 404)))]
async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Detail, ApiError> {
    shown(state.pool.begin().await?, &caller, id).await
}

/// Disable an account
///
/// Its sessions end at once; the other services refuse its tokens within five seconds. Doing it twice changes nothing.
#[utoipa::path(post, path = "/users/{id}/disable", operation_id = "disable_user", tag = "administration", request_body = DisableUser,
    params(("id" = UserId, Path)),
    responses(
        (status = 200, body = UserDetail, headers(("ETag" = String))), (status = 404),
        (status = 409, description = "It is closed, or the last administrator's")))]
async fn disable(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<UserId>,
    Json(body): Json<DisableUser>,
) -> Result<Detail, ApiError> {
    not_oneself(&caller, id)?;
    let mut tx = state.pool.begin().await?;
    let user = lock_open(&mut tx, id).await?;
    if user.is_last_admin {
        return Err(Code::LastAdmin.into());
    }
    if user.status != UserStatus::Active {
        return shown(tx, &caller, id).await;
    }
    admin::disable(&mut tx, id, &body.reason).await?;
    let ended = sessions::revoke_all(&mut tx, id, None, Ended::Disabled).await?;
    events::sessions_revoked(&mut tx, id, &ended, Ended::Disabled).await?;
    events::user_disabled(&mut tx, id).await?;
    record(&mut tx, "user.disabled", caller.subject, id.uuid(), json!({ "reason": body.reason })).await?;
    answer(tx, id).await
}

/// Enable an account again
///
/// Its owner has to sign in anew. Doing it twice changes nothing.
#[utoipa::path(post, path = "/users/{id}/enable", operation_id = "enable_user", tag = "administration", params(("id" = UserId, Path)),
    responses(
        (status = 200, body = UserDetail, headers(("ETag" = String))), (status = 404),
        (status = 409, description = "It is closed")))]
async fn enable(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Detail, ApiError> {
    let mut tx = state.pool.begin().await?;
    let user = lock_open(&mut tx, id).await?;
    if user.status != UserStatus::Disabled {
        return shown(tx, &caller, id).await;
    }
    admin::enable(&mut tx, id).await?;
    events::user_enabled(&mut tx, id).await?;
    record(&mut tx, "user.enabled", caller.subject, id.uuid(), json!({})).await?;
    answer(tx, id).await
}

/// Give an account exactly these roles
///
/// They count at once, here; in the other services within five seconds. Nobody changes their own. The roles are those of
/// an account as it was read: what another administrator changed since is not overwritten.
#[utoipa::path(put, path = "/users/{id}/roles", operation_id = "set_user_roles", tag = "administration", request_body = SetRoles,
    params(
        ("id" = UserId, Path),
        ("If-Match" = String, Header, description = "The ETag of what you read", example = "\"v1\"",
            pattern = r#"^([*]|"v[0-9]{1,19}")$"#)),
    responses(
        (status = 200, body = UserDetail, headers(("ETag" = String))), (status = 404),
        (status = 409, description = "It is closed, or the last administrator's"), (status = 412), (status = 428)))]
async fn set_roles(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<UserId>,
    seen: IfMatch,
    Json(body): Json<SetRoles>,
) -> Result<Detail, ApiError> {
    not_oneself(&caller, id)?;
    let roles: Vec<AccountRole> = BTreeSet::from_iter(body.roles).into_iter().collect();
    let mut tx = state.pool.begin().await?;
    let user = lock_open(&mut tx, id).await?;
    seen.check(ETag::of_version(user.version))?;
    if user.is_last_admin && !roles.contains(&AccountRole::Admin) {
        return Err(Code::LastAdmin.into());
    }
    if BTreeSet::from_iter(user.roles.iter().copied()) == BTreeSet::from_iter(roles.iter().copied()) {
        return shown(tx, &caller, id).await;
    }
    admin::set_roles(&mut tx, id, &roles).await?;
    events::user_roles_changed(&mut tx, id, &roles).await?;
    let change = json!({ "before": user.roles, "after": roles });
    record(&mut tx, "user.roles_changed", caller.subject, id.uuid(), change).await?;
    answer(tx, id).await
}

/// End all sessions of an account
#[utoipa::path(delete, path = "/users/{id}/sessions", operation_id = "end_user_sessions", tag = "administration", params(("id" = UserId, Path)),
    responses((status = 204, description = "Ended"), (status = 404)))]
async fn end_sessions(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<StatusCode, ApiError> {
    let mut tx = state.pool.begin().await?;
    admin::lock(&mut tx, id).await?.ok_or(Code::NotFound)?;
    let ended = sessions::revoke_all(&mut tx, id, None, Ended::Revoked).await?;
    events::sessions_revoked(&mut tx, id, &ended, Ended::Revoked).await?;
    record(&mut tx, "user.sessions_ended", caller.subject, id.uuid(), json!({ "sessions": ended.len() }))
        .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn not_oneself(caller: &Caller, user: UserId) -> Result<(), ApiError> {
    if caller.subject == user.uuid() {
        return Err(ApiError::code(Code::Forbidden)
            .detail("nobody does this to their own account: ask another administrator"));
    }
    Ok(())
}

async fn lock_open(tx: &mut PgConnection, user: UserId) -> Result<Locked, ApiError> {
    let locked = admin::lock(tx, user).await?.ok_or(Code::NotFound)?;
    if locked.status == UserStatus::Deleted {
        return Err(ApiError::code(Code::Conflict).detail("the account was closed by its owner"));
    }
    Ok(locked)
}

/// Shows an account that was not changed: that is written down as well, since a person may ask who looked.
async fn shown(
    mut tx: sqlx::Transaction<'_, sqlx::Postgres>,
    caller: &Caller,
    user: UserId,
) -> Result<Detail, ApiError> {
    let (detail, version) = admin::get(&mut *tx, user).await?.ok_or(Code::NotFound)?;
    record(&mut tx, "user.read", caller.subject, user.uuid(), json!({})).await?;
    tx.commit().await?;
    Ok((ETag::of_version(version), Json(detail)))
}

/// Shows an account that was changed, of which the change tells.
async fn answer(mut tx: sqlx::Transaction<'_, sqlx::Postgres>, user: UserId) -> Result<Detail, ApiError> {
    let (detail, version) = admin::get(&mut *tx, user).await?.ok_or(Code::NotFound)?;
    tx.commit().await?;
    Ok((ETag::of_version(version), Json(detail)))
}
