//! A user's address book. Somebody else's address is not found, like one that does not exist.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use shop_api::Code;
use shop_api::Permission::{AddressesRead, AddressesWrite};
use shop_api::ids::AddressId;
use shop_api::users::profile::{Address, AddressInput, AddressList};
use shop_kit::etag::{ETag, IfMatch, IfNoneMatch};
use shop_kit::{Access, ApiError, ApiRouter, Json, Path};
use utoipa_axum::routes;

use crate::db::addresses;
use crate::signed_in::SignedIn;
use crate::state::AppState;

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new()
        .route(Access::Need(AddressesRead), routes!(list))
        .route(Access::Need(AddressesWrite), routes!(add))
        .route(Access::Need(AddressesRead), routes!(read))
        .route(Access::Need(AddressesWrite), routes!(replace))
        .route(Access::Need(AddressesWrite), routes!(remove))
}

/// List your addresses
#[utoipa::path(get, path = "/users/me/addresses", operation_id = "list_addresses", tag = "addresses",
    responses((status = 200, body = AddressList)))]
async fn list(State(state): State<AppState>, me: SignedIn) -> Result<Json<AddressList>, ApiError> {
    let items = addresses::list(&state.pool, me.user()).await?;
    Ok(Json(AddressList { items }))
}

/// Add an address
///
/// The first one becomes the default. At most fifty are kept.
#[utoipa::path(post, path = "/users/me/addresses", operation_id = "add_address", tag = "addresses", request_body = AddressInput,
    responses(
        (status = 201, body = Address, headers(("ETag" = String), ("Location" = String))),
        (status = 409, description = "There are fifty already")))]
async fn add(
    State(state): State<AppState>,
    me: SignedIn,
    Json(new): Json<AddressInput>,
) -> Result<impl IntoResponse, ApiError> {
    let mut tx = state.pool.begin().await?;
    me.hold(&mut tx).await?;
    let (address, version) = addresses::insert(&mut tx, me.user(), &new).await?.ok_or_else(|| {
        ApiError::code(Code::Conflict).detail("at most fifty addresses are kept: delete one first")
    })?;
    tx.commit().await?;
    let location = [(header::LOCATION, format!("/users/me/addresses/{}", address.id))];
    Ok((StatusCode::CREATED, location, ETag::of_version(version), Json(address)))
}

/// Read an address
#[utoipa::path(get, path = "/users/me/addresses/{id}", operation_id = "read_address", tag = "addresses",
    params(
        ("id" = AddressId, Path),
        ("If-None-Match" = Option<String>, Header, description = "The ETag you hold")),
    responses(
        (status = 200, body = Address, headers(("ETag" = String))),
        (status = 304, description = "You hold this version already", headers(("ETag" = String))), (status = 404)))]
async fn read(
    State(state): State<AppState>,
    me: SignedIn,
    Path(id): Path<AddressId>,
    held: IfNoneMatch,
) -> Result<Response, ApiError> {
    let (address, version) = addresses::get(&state.pool, me.user(), id).await?.ok_or(Code::NotFound)?;
    Ok(held.answer(ETag::of_version(version), Json(address)))
}

/// Write an address anew
///
/// `is_default: true` makes it the default; `false` leaves the default where it is.
#[utoipa::path(put, path = "/users/me/addresses/{id}", operation_id = "replace_address", tag = "addresses", request_body = AddressInput,
    params(
        ("id" = AddressId, Path),
        ("If-Match" = String, Header, description = "The ETag of what you read", example = "\"v1\"",
            pattern = r#"^([*]|"v[0-9]{1,19}")$"#)),
    responses(
        (status = 200, body = Address, headers(("ETag" = String))),
        (status = 404), (status = 412), (status = 428)))]
async fn replace(
    State(state): State<AppState>,
    me: SignedIn,
    Path(id): Path<AddressId>,
    seen: IfMatch,
    Json(new): Json<AddressInput>,
) -> Result<impl IntoResponse, ApiError> {
    let mut tx = state.pool.begin().await?;
    me.hold(&mut tx).await?;
    let (_, version) = addresses::get(&mut *tx, me.user(), id).await?.ok_or(Code::NotFound)?;
    seen.check(ETag::of_version(version))?;
    let (address, version) = addresses::replace(&mut tx, me.user(), id, &new).await?;
    tx.commit().await?;
    Ok((ETag::of_version(version), Json(address)))
}

/// Delete an address
///
/// When it was the default, the oldest one left becomes it.
#[utoipa::path(delete, path = "/users/me/addresses/{id}", operation_id = "delete_address", tag = "addresses",
    params(
        ("id" = AddressId, Path),
        ("If-Match" = String, Header, description = "The ETag of what you read", example = "\"v1\"",
            pattern = r#"^([*]|"v[0-9]{1,19}")$"#)),
    responses((status = 204, description = "Deleted"), (status = 404), (status = 412), (status = 428)))]
async fn remove(
    State(state): State<AppState>,
    me: SignedIn,
    Path(id): Path<AddressId>,
    seen: IfMatch,
) -> Result<StatusCode, ApiError> {
    let mut tx = state.pool.begin().await?;
    me.hold(&mut tx).await?;
    let (_, version) = addresses::get(&mut *tx, me.user(), id).await?.ok_or(Code::NotFound)?;
    seen.check(ETag::of_version(version))?;
    addresses::delete(&mut tx, me.user(), id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
