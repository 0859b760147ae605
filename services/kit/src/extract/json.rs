//! JSON in and out.
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use shop_api::{Code, FieldError, Validate};

use super::objects::Objects;
use super::scan::{self, Flaw};
use super::{field_error, flaws, invalid, pointer, validated};
use crate::ApiError;
use crate::body;

/// As an extractor: a JSON body whose rules all hold. As an answer: 200 with a JSON body.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned + Validate,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(
                ApiError::code(Code::UnsupportedMediaType).detail("the body must be application/json")
            );
        }
        let bytes = body::read(request.into_body()).await?;
        parse(&bytes).map(Json)
    }
}

/// `application/json` or `application/<something>+json`, with UTF-8 for a charset if one is named.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let Some(subtype) = essence.strip_prefix("application/") else { return false };
    let utf8 = |parameter: &str| {
        let parameter = parameter.to_ascii_lowercase();
        parameter.strip_prefix("charset=").is_none_or(|charset| charset.trim_matches('"') == "utf-8")
    };
    (subtype == "json" || subtype.ends_with("+json")) && parts.all(utf8)
}

fn malformed(detail: &'static str) -> ApiError {
    ApiError::code(Code::MalformedRequest).detail(detail)
}

pub(super) fn parse<T: DeserializeOwned + Validate>(bytes: &Bytes) -> Result<T, ApiError> {
    if bytes.is_empty() {
        return Err(malformed("the body is empty"));
    }
    scan::scan(bytes).map_err(|flaw| match flaw {
        Flaw::TooDeep => malformed("the JSON is nested too deeply"),
        Flaw::Nul => malformed("a string holds the character U+0000"),
    })?;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value: T = match serde_path_to_error::deserialize(Objects(&mut deserializer)) {
        Ok(value) => value,
        Err(error) if error.inner().is_data() => {
            let first = field_error(error.path(), &error.inner().to_string());
            return Err(invalid(flaws::all::<T>(bytes, first)));
        }
        Err(error) => {
            let Some((code, message)) = no_mistake_of_grammar(error.inner(), bytes) else {
                return Err(malformed("the body is not valid JSON in UTF-8"));
            };
            let first = FieldError::new(pointer(error.path()), code, message);
            return Err(invalid(flaws::all::<T>(bytes, first)));
        }
    };
    deserializer.end().map_err(|_| malformed("something follows the JSON value"))?;
    validated(value)
}

/// The rule that a value breaks of which serde_json says that it is no JSON, though it is: a number that no f64 holds
/// (RFC 8259, 6), or a number where a word out of a list is wanted. All of the body must be JSON for that.
fn no_mistake_of_grammar(error: &serde_json::Error, bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let text = error.to_string();
    let rule = if text.starts_with("number out of range") {
        ("out_of_range", "is too large a number")
    } else if text.starts_with("expected value") {
        ("wrong_type", "must be a string")
    } else {
        return None;
    };
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok().then_some(rule)
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        // Enough for one row without growing.
        let mut writer = BytesMut::with_capacity(512).writer();
        if let Err(error) = serde_json::to_writer(&mut writer, &self.0) {
            return ApiError::internal(error).into_response();
        }
        let mut response = Response::new(Body::from(writer.into_inner().freeze()));
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
