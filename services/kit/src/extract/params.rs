//! Parameters of the path, the query and form bodies.
use std::borrow::Cow;

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shop_api::{Code, FieldError, Validate, Violations};

use super::{field_error, flaws, invalid, validated};
use crate::{ApiError, body};

/// Parameters of the path: `Path(id): Path<UserId>`, or a tuple or struct of several.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

/// The query string whose rules all hold.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// A form body (`application/x-www-form-urlencoded`) whose rules all hold, as OAuth wants it.
#[derive(Debug, Clone, Copy)]
pub struct Form<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        use axum::extract::path::ErrorKind;
        use axum::extract::rejection::PathRejection;
        if has_nul(parts.uri.path()) {
            return Err(malformed("the path holds the character U+0000"));
        }
        let error = match axum::extract::Path::<T>::from_request_parts(parts, &()).await {
            Ok(axum::extract::Path(value)) => return Ok(Path(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => error,
            Err(missing) => return Err(ApiError::internal(missing)),
        };
        let bad = |name: &str| {
            let errors = vec![FieldError::new(format!("{{{name}}}"), "invalid", "is not acceptable")];
            Err(invalid(errors))
        };
        match error.into_kind() {
            ErrorKind::InvalidUtf8InPathParam { .. } => Err(malformed("the path is not UTF-8")),
            ErrorKind::ParseErrorAtKey { key, .. } | ErrorKind::DeserializeError { key, .. } => bad(&key),
            ErrorKind::ParseErrorAtIndex { index, .. } => bad(&index.to_string()),
            ErrorKind::ParseError { .. } | ErrorKind::Message(_) => bad("id"),
            bug => Err(ApiError::internal(bug.to_string())),
        }
    }
}

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned + Validate,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse(parts.uri.query().unwrap_or_default().as_bytes(), "the query", '?').map(Query)
    }
}

impl<T, S> FromRequest<S> for Form<T>
where
    T: DeserializeOwned + Validate,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let detail = "the body must be application/x-www-form-urlencoded";
            return Err(ApiError::code(Code::UnsupportedMediaType).detail(detail));
        }
        let bytes = body::read(request.into_body()).await?;
        parse(&bytes, "the form", '/').map(Form)
    }
}

/// The query of a route that takes none: whatever is asked for in it would be ignored, and is refused instead.
pub(crate) fn no_query(query: &str) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    impl Validate for Nothing {
        fn validate(&self, _: &mut Violations) {}
    }
    parse(query.as_bytes(), "the query", '?').map(|Nothing {}| ())
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::code(Code::MalformedRequest).detail(detail)
}

/// `mark` stands before the name of a parameter in an error.
fn parse<T: DeserializeOwned + Validate>(
    encoded: &[u8],
    what: &'static str,
    mark: char,
) -> Result<T, ApiError> {
    check_text(encoded, what)?;
    match read_pairs(encoded, mark) {
        Ok(value) => validated(value),
        Err((first, _)) => Err(invalid(flaws::of_pairs::<T>(encoded, mark, first))),
    }
}

/// The parameters, or the first flaw of them with serde's own words.
pub(super) fn read_pairs<T: DeserializeOwned>(encoded: &[u8], mark: char) -> Result<T, (FieldError, String)> {
    let pairs = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(encoded));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let text = error.inner().to_string();
        let flaw = field_error(error.path(), &text);
        let pointer = format!("{mark}{}", flaw.pointer.trim_start_matches('/'));
        (FieldError { pointer, ..flaw }, text)
    })
}

/// The decoder would quietly put U+FFFD for what is not UTF-8: a search for it would find other things.
fn check_text(encoded: &[u8], what: &'static str) -> Result<(), ApiError> {
    let mut plain = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [byte, after @ ..] = rest {
        let (value, left) = match (byte, after) {
            (b'%', [high, low, left @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, left),
                _ => (*byte, after),
            },
            _ => (*byte, after),
        };
        plain.push(value);
        rest = left;
    }
    match std::str::from_utf8(&plain) {
        Err(_) => Err(malformed(format!("{what} is not UTF-8"))),
        Ok(text) if text.contains('\0') => Err(malformed(format!("{what} holds the character U+0000"))),
        Ok(_) => Ok(()),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn has_nul(path: &str) -> bool {
    path.contains("%00")
}
