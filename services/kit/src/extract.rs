//! What a handler takes out of a request: bodies, path and query parameters, each answered with a problem when it
//! cannot be had. Nothing here can answer 500, whatever a client sends.
mod flaws;
mod json;
mod objects;
mod params;
mod scan;

pub use json::Json;
pub(crate) use params::no_query;
pub use params::{Form, Path, Query};

use shop_api::{Code, FieldError, Validate, Violations};

use crate::ApiError;

/// What serde says of a value at a place, as the rule that it breaks. Serde's own words repeat what was sent.
fn field_error(path: &serde_path_to_error::Path, text: &str) -> FieldError {
    let text = text.split(" at line ").next().unwrap_or(text);
    let pointer = pointer(path);
    let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    let field = |name: &str| {
        let step = format!("/{}", escaped(name));
        if pointer.ends_with(&step) { pointer.clone() } else { format!("{pointer}{step}") }
    };
    if text.starts_with("missing field") {
        return FieldError::new(format!("{pointer}/{}", escaped(&quoted(text))), "required", "is required");
    }
    if text.starts_with("unknown field") {
        return FieldError::new(field(&quoted(text)), "unknown_field", "is not a field of this request");
    }
    if text.starts_with("duplicate field") {
        return FieldError::new(field(&quoted(text)), "duplicate_field", "is given more than once");
    }
    let expected = text.rsplit_once("expected ").map(|(_, expected)| expected.replace('`', ""));
    match expected {
        Some(expected) if text.starts_with("unknown variant") => {
            FieldError::new(pointer, "unknown_value", format!("must be {expected}"))
        }
        Some(expected) if expected.starts_with("struct ") => {
            FieldError::new(pointer, "wrong_type", "must be an object")
        }
        Some(expected) => FieldError::new(pointer, "wrong_type", format!("must be {expected}")),
        None => FieldError::new(pointer, "invalid", "is not acceptable"),
    }
}

/// RFC 6901.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => pointer.push_str(&escaped(key)),
            Segment::Enum { variant } => pointer.push_str(variant),
            Segment::Unknown => pointer.push('?'),
        }
    }
    pointer
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
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
