//! Entity tags made of a row's version, `If-Match` against lost updates and `If-None-Match` against needless bytes
//! (RFC 9110 §8.8, §13.1). It does not hash bodies: a tag comes from the version column.

use std::convert::Infallible;
use std::fmt;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use http::StatusCode;
use http::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use shop_api::Code;

use crate::ApiError;

/// The tag of one version of a thing. As a part of an answer it sets `ETag`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ETag(i64);

impl ETag {
    /// Of the value of a version column that grows with every change.
    pub const fn of_version(version: i64) -> Self {
        Self(version)
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"v{}\"", self.0)
    }
}

impl IntoResponseParts for ETag {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        let value = HeaderValue::try_from(self.to_string()).expect("a number in quotes is a header value");
        parts.headers_mut().insert(ETAG, value);
        Ok(parts)
    }
}

/// Why a change was not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PreconditionError {
    /// 428.
    #[error("send the ETag of what you read as If-Match")]
    Required,
    /// 412.
    #[error("it was changed since it was read")]
    Failed,
}

impl From<PreconditionError> for ApiError {
    fn from(error: PreconditionError) -> Self {
        let code = match error {
            PreconditionError::Required => Code::PreconditionRequired,
            PreconditionError::Failed => Code::PreconditionFailed,
        };
        Self::code(code).detail(error.to_string())
    }
}

/// `If-Match`, demanded: 428 without it.
#[derive(Debug, Clone)]
pub struct IfMatch(Vec<String>);

impl IfMatch {
    /// Lets the change of this version pass.
    ///
    /// # Errors
    /// [`PreconditionError::Failed`] when the client saw another version.
    pub fn check(&self, current: ETag) -> Result<(), PreconditionError> {
        // The strong comparison: a weak tag never matches.
        let current = current.to_string();
        let matches = self.0.iter().any(|tag| tag == "*" || *tag == current);
        matches.then_some(()).ok_or(PreconditionError::Failed)
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let tags = tags(&parts.headers, &IF_MATCH);
        if tags.is_empty() { Err(PreconditionError::Required.into()) } else { Ok(Self(tags)) }
    }
}

/// `If-None-Match`, when there is one.
#[derive(Debug, Clone, Default)]
pub struct IfNoneMatch(Vec<String>);

impl IfNoneMatch {
    /// `answer` with its tag, or 304 when the client holds this version already.
    pub fn answer(&self, current: ETag, answer: impl IntoResponse) -> Response {
        let text = current.to_string();
        // The weak comparison.
        let held = self.0.iter().any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == text);
        if held {
            (StatusCode::NOT_MODIFIED, current, ()).into_response()
        } else {
            (current, answer).into_response()
        }
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(tags(&parts.headers, &IF_NONE_MATCH)))
    }
}

/// Our own tags hold no comma, so splitting at commas cannot break one that could match.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().to_owned())
        .filter(|tag| !tag.is_empty())
        .collect()
}
