//! The endpoints, one file a resource: `router()` on top, then the handlers. A handler opens the transaction and reads
//! as the story; rules are in `domain`, statements in `db`.

mod addresses;
mod admin;
mod audit;
mod clients;
mod me;
mod roles;

use shop_api::{Code, FieldError};
use shop_kit::ApiError;

use crate::domain::password::Weak;

/// One field that is not acceptable.
fn field(pointer: &str, code: &str, rule: impl std::fmt::Display) -> ApiError {
    ApiError::code(Code::ValidationFailed).errors(vec![FieldError::new(pointer, code, rule.to_string())])
}

/// A password that is refused.
fn weak(pointer: &str, reason: Weak) -> ApiError {
    ApiError::code(Code::WeakPassword).errors(vec![FieldError::new(pointer, reason.code(), reason.to_string())])
}
