//! The devices an account is signed in on: list them, end one, end all others.

use axum::extract::State;
use http::StatusCode;
use serde_json::json;
use shop_api::ids::SessionId;
use shop_api::users::auth::SessionList;
use shop_api::{Code, Permission};
use shop_kit::{Access, ApiError, ApiRouter, Json, Path};
use utoipa_axum::routes;

use super::audit::record;
use crate::db::sessions::{self, Ended};
use crate::events;
use crate::signed_in::SignedIn;
use crate::state::AppState;

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new()
        .route(Access::Need(Permission::SessionsRead), routes!(list))
        .route(Access::Need(Permission::SessionsWrite), routes!(end_others))
        .route(Access::Need(Permission::SessionsWrite), routes!(end))
}

/// List your sessions
#[utoipa::path(get, path = "/users/me/sessions", operation_id = "list_sessions", tag = "sessions", responses((status = 200, body = SessionList)))]
async fn list(State(state): State<AppState>, me: SignedIn) -> Result<Json<SessionList>, ApiError> {
    let found = sessions::list(&state.pool, me.user(), me.session, None, sessions::PAGE).await?;
    Ok(Json(SessionList { items: found }))
}

/// End one of your sessions
#[utoipa::path(delete, path = "/users/me/sessions/{id}", operation_id = "end_session", tag = "sessions", params(("id" = SessionId, Path)),
    responses((status = 204, description = "Ended"), (status = 404, description = "No such live session of yours")))]
async fn end(
    State(state): State<AppState>,
    me: SignedIn,
    Path(session): Path<SessionId>,
) -> Result<StatusCode, ApiError> {
    let mut tx = state.pool.begin().await?;
    if !sessions::revoke(&mut tx, me.user(), session, Ended::Revoked).await? {
        return Err(Code::NotFound.into());
    }
    events::sessions_revoked(&mut tx, me.user(), &[session], Ended::Revoked).await?;
    record(&mut tx, "session.ended", me.user().uuid(), me.user().uuid(), json!({ "session": session }))
        .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End every other session of yours
#[utoipa::path(delete, path = "/users/me/sessions", operation_id = "end_other_sessions", tag = "sessions",
    responses((status = 204, description = "Only this session is left")))]
async fn end_others(State(state): State<AppState>, me: SignedIn) -> Result<StatusCode, ApiError> {
    let mut tx = state.pool.begin().await?;
    let ended = sessions::revoke_all(&mut tx, me.user(), Some(me.session), Ended::Revoked).await?;
    events::sessions_revoked(&mut tx, me.user(), &ended, Ended::Revoked).await?;
    record(&mut tx, "session.others_ended", me.user().uuid(), me.user().uuid(), json!({ "sessions": ended }))
        .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
