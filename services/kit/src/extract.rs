//! What a handler takes out of a request: bodies, path and query parameters, each answered with a problem when it
//! cannot be had. Nothing here can answer 500, whatever a client sends.
mod json;
mod params;
mod scan;

pub use json::Json;
pub use params::{Form, Path, Query};

use serde::de::DeserializeOwned;
use shop_api::{Code, FieldError, Validate, Violations};

use crate::ApiError;

/// Deserialises and turns a failure into a problem that names the place.
///
/// `place` renders the path to the value; `None` is the whole input.
fn deserialize<'de, T, D>(
    deserializer: D,
    place: fn(&serde_path_to_error::Path) -> String,
) -> Result<T, FieldError>
where
    T: DeserializeOwned,
    D: serde::Deserializer<'de>,
    D::Error: std::fmt::Display,
{
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = place(error.path());
        field_error(path, &error.inner().to_string())
    })
}

/// From serde's own words, which repeat what was sent: only the rule is kept.
fn field_error(pointer: String, text: &str) -> FieldError {
    let text = text.split(" at line ").next().unwrap_or(text);
    let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    let below = |name: &str| format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
    if text.starts_with("missing field") {
        return FieldError::new(below(&quoted(text)), "required", "is required");
    }
    if text.starts_with("unknown field") {
        return FieldError::new(pointer, "unknown_field", "is not a field of this request");
    }
    if text.starts_with("duplicate field") {
        return FieldError::new(pointer, "duplicate_field", "is given more than once");
    }
    if text.starts_with("unknown variant") {
        let allowed = text.split_once("expected ").map_or("one of its values", |(_, allowed)| allowed);
        return FieldError::new(pointer, "unknown_value", format!("must be {}", allowed.replace('`', "")));
    }
    match text.split_once("expected ") {
        Some((_, expected)) => {
            FieldError::new(pointer, "wrong_type", format!("must be {}", expected.replace('`', "")))
        }
        None => FieldError::new(pointer, "invalid", "is not acceptable"),
    }
}

fn invalid(errors: Vec<FieldError>) -> ApiError {
    ApiError::code(Code::ValidationFailed).errors(errors)
}

/// Asks every rule of a value.
fn validated<T: Validate>(value: T) -> Result<T, ApiError> {
    let mut violations = Violations::default();
    value.validate(&mut violations);
    if violations.is_empty() { Ok(value) } else { Err(invalid(violations.into_errors())) }
}
