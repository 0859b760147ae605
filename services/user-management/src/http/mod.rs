//! The endpoints, one file a resource: `router()` on top, then the handlers. A handler opens the transaction and reads
//! as the story; rules are in `domain`, statements in `db`.

mod addresses;
mod admin;
mod audit;
mod auth;
mod clients;
mod export;
mod me;
mod oauth;
mod pages;
mod password;
mod reauth;
mod register;
mod roles;
mod second_factor;
mod sessions;
mod totp;

use shop_api::{Code, FieldError};
use shop_kit::{ApiError, ApiRouter};

use crate::domain::password::Weak;
use crate::state::AppState;

/// Every endpoint with its rule.
pub(crate) fn router() -> ApiRouter<AppState> {
    [
        register::router(),
        auth::router(),
        password::router(),
        oauth::router(),
        pages::router(),
        me::router(),
        export::router(),
        addresses::router(),
        sessions::router(),
        totp::router(),
        admin::router(),
        roles::router(),
        audit::router(),
        clients::router(),
        shop_kit::outbox::router(),
    ]
    .into_iter()
    .fold(ApiRouter::new(), ApiRouter::merge)
}

/// One field that is not acceptable.
fn field(pointer: &str, code: &str, rule: impl std::fmt::Display) -> ApiError {
    ApiError::code(Code::ValidationFailed).errors(vec![FieldError::new(pointer, code, rule.to_string())])
}

/// A password that is refused.
fn weak(pointer: &str, reason: Weak) -> ApiError {
    ApiError::code(Code::WeakPassword).errors(vec![FieldError::new(
        pointer,
        reason.code(),
        reason.to_string(),
    )])
}
