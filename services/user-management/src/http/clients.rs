//! Service clients: programs of ours that get tokens with client credentials. A secret is shown once, when it is made.

use axum::extract::State;
use http::StatusCode;
use serde_json::json;
use shop_api::Code;
use shop_api::Permission::{ClientsRead, ClientsWrite};
use shop_api::ids::ClientId;
use shop_api::users::clients::{ClientCredentials, ClientList, NewClient};
use shop_kit::{Access, ApiError, ApiRouter, Caller, Json, Path};
use utoipa_axum::routes;

use super::audit::record;
use crate::db::clients;
use crate::domain::token::Token;
use crate::state::AppState;

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new()
        .route(Access::Need(ClientsRead), routes!(list))
        .route(Access::Need(ClientsWrite), routes!(create))
        .route(Access::Need(ClientsWrite), routes!(delete))
        .route(Access::Need(ClientsWrite), routes!(rotate))
}

/// List the service clients
#[utoipa::path(get, path = "/clients", operation_id = "list_clients", tag = "clients", responses((status = 200, body = ClientList)))]
async fn list(State(state): State<AppState>) -> Result<Json<ClientList>, ApiError> {
    Ok(Json(ClientList { items: clients::list(&state.pool).await? }))
}

/// Create a service client
#[utoipa::path(post, path = "/clients", operation_id = "create_client", tag = "clients", request_body = NewClient,
    responses(
        (status = 201, body = ClientCredentials, description = "The secret is shown this once"),
        (status = 409, description = "The name is taken")))]
async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Json(new): Json<NewClient>,
) -> Result<(StatusCode, Json<ClientCredentials>), ApiError> {
    let secret = Token::generate();
    let mut tx = state.pool.begin().await?;
    let id = clients::create(&mut tx, &new.name, secret.hash()).await?.ok_or(Code::AlreadyExists)?;
    record(&mut tx, "client.created", caller.subject, id.uuid(), json!({ "name": new.name })).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, shown_once(id, new.name, &secret)))
}

/// Delete a service client
///
/// Its tokens stop here at once and elsewhere when they expire.
#[utoipa::path(delete, path = "/clients/{id}", operation_id = "delete_client", tag = "clients", params(("id" = ClientId, Path)),
    responses((status = 204, description = "Deleted"), (status = 404)))]
async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<ClientId>,
) -> Result<StatusCode, ApiError> {
    let mut tx = state.pool.begin().await?;
    if !clients::delete(&mut *tx, id).await? {
        return Err(Code::NotFound.into());
    }
    record(&mut tx, "client.deleted", caller.subject, id.uuid(), json!({})).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a service client a new secret
///
/// The one before works on for a day, so that a deployment can change over; any older one stops at once.
#[utoipa::path(post, path = "/clients/{id}/secret", operation_id = "rotate_client_secret", tag = "clients", params(("id" = ClientId, Path)),
    responses(
        (status = 201, body = ClientCredentials, description = "The secret is shown this once"),
        (status = 404)))]
async fn rotate(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<ClientId>,
) -> Result<(StatusCode, Json<ClientCredentials>), ApiError> {
    let secret = Token::generate();
    let mut tx = state.pool.begin().await?;
    let name = clients::rotate(&mut tx, id, secret.hash()).await?.ok_or(Code::NotFound)?;
    record(&mut tx, "client.secret_rotated", caller.subject, id.uuid(), json!({})).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, shown_once(id, name, &secret)))
}

fn shown_once(client_id: ClientId, name: String, secret: &Token) -> Json<ClientCredentials> {
    Json(ClientCredentials { client_id, name, client_secret: secret.reveal().to_owned() })
}
