//! The error of every handler: a problem document for the client, and the cause for the log.
//!
//! What caused an internal error is never part of the answer; it is logged once, when the answer is made.
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use shop_api::{Code, FieldError, Problem, problem};

use crate::context::RequestId;

/// A problem on its way to the client. Small (one pointer), as results of handlers are moved a lot.
pub struct ApiError(Box<Inner>);

struct Inner {
    code: Code,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    /// Seconds.
    retry_after: Option<u32>,
    /// Beside those that the code brings with it.
    headers: HeaderMap,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ApiError {
    /// A problem of this kind, with nothing special about it.
    #[must_use]
    pub fn code(code: Code) -> Self {
        // Whoever cannot be served now should know when to ask again.
        let later = matches!(code, Code::Unavailable | Code::Overloaded | Code::DeadlineExceeded);
        let retry_after = later.then_some(1);
        ApiError(Box::new(Inner {
            code,
            detail: None,
            errors: Vec::new(),
            retry_after,
            headers: HeaderMap::new(),
            source: None,
        }))
    }

    /// A bug or a broken environment: 500, and the cause in the log.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        ApiError::code(Code::Internal).source(source)
    }

    /// Something needed is away: 503 with `Retry-After`, and the cause in the log.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        ApiError::code(Code::Unavailable).source(source)
    }

    /// What is special about this occurrence. Never put in what a client sent, nor a cause of ours.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// The fields that are not acceptable.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// When to ask again, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// Headers of the answer.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.0.headers
    }

    /// The cause, for the log.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Code {
        self.0.code
    }

    /// The document, with the id of the request being served.
    #[must_use]
    pub fn problem(&self) -> Problem {
        Problem {
            detail: self.0.detail.as_deref().map(str::to_owned),
            request_id: RequestId::current().to_string(),
            errors: self.0.errors.clone(),
            ..Problem::new(self.0.code)
        }
    }

    fn log(&self) {
        let Some(source) = &self.0.source else {
            if self.0.code == Code::Internal {
                tracing::error!(code = %self.0.code, "internal error without a cause");
            }
            return;
        };
        let cause = Chain(source.as_ref());
        match self.0.code.status() {
            500 => tracing::error!(code = %self.0.code, error.message = %cause, "a request failed"),
            501.. => {
                tracing::warn!(code = %self.0.code, error.message = %cause, "a request could not be served");
            }
            _ => tracing::debug!(code = %self.0.code, error.message = %cause, "a request was refused"),
        }
    }
}

/// An error and what caused it, on one line.
pub(crate) struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            // Many libraries repeat the cause in their own text.
            let text = cause.to_string();
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let problem = self.problem();
        // A struct of strings and numbers: it always serialises.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.extend(self.0.headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.0.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = challenge(problem.code) {
            headers.entry(header::WWW_AUTHENTICATE).or_insert(challenge);
        }
        response
    }
}

/// RFC 6750 §3: a refused or missing bearer token is answered with how to come back.
fn challenge(code: Code) -> Option<HeaderValue> {
    match code {
        Code::Unauthenticated => Some(HeaderValue::from_static("Bearer")),
        Code::InvalidToken | Code::SessionEnded => {
            Some(HeaderValue::from_static("Bearer error=\"invalid_token\""))
        }
        Code::InvalidCredentials | Code::SecondFactorRequired => Some(HeaderValue::from_static("Bearer")),
        _ => None,
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError")
            .field("code", &self.0.code)
            .field("detail", &self.0.detail)
            .field("errors", &self.0.errors)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.code)?;
        self.0.source.as_ref().map_or(Ok(()), |source| write!(f, ": {}", Chain(source.as_ref())))
    }
}

impl From<Code> for ApiError {
    fn from(code: Code) -> Self {
        ApiError::code(code)
    }
}

/// A problem of another service, passed on.
impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        let error = ApiError::code(problem.code).errors(problem.errors);
        match problem.detail {
            Some(detail) => error.detail(detail),
            None => error,
        }
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        ApiError::code(sqlx_code(&error)).source(error)
    }
}

/// Whether the database is away or busy, so that the same may work later.
pub(crate) fn is_away(error: &sqlx::Error) -> bool {
    sqlx_code(error) == Code::Unavailable
}

/// A database that is away or busy is the client's cue to come back; anything else is a bug.
fn sqlx_code(error: &sqlx::Error) -> Code {
    use sqlx::Error as E;
    match error {
        E::PoolTimedOut | E::PoolClosed | E::Io(_) | E::Tls(_) | E::WorkerCrashed | E::Protocol(_) => {
            Code::Unavailable
        }
        E::Database(error) => sqlstate_code(error.code().as_deref().unwrap_or_default()),
        _ => Code::Internal,
    }
}

/// What a SQLSTATE (PostgreSQL, appendix A) means for the client, where no handler knows better.
#[must_use]
pub fn sqlstate_code(state: &str) -> Code {
    match state {
        // query_canceled, lock_not_available: the statement's or the lock's time is over.
        "57014" | "55P03" => Code::DeadlineExceeded,
        // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped, idle_session_timeout.
        "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => Code::Unavailable,
        // idle_in_transaction_session_timeout, transaction_timeout: one of the two stood still for so long.
        "25P03" | "25P04" => Code::Unavailable,
        // invalid_authorization_specification, invalid_password, invalid_catalog_name: a password that is being changed, a
        // database that is being restored.
        "28000" | "28P01" | "3D000" => Code::Unavailable,
        // Classes 08 (connection), 53 (insufficient resources); a replica that is not the primary any more.
        _ if state.starts_with("08") || state.starts_with("53") || state == "25006" => Code::Unavailable,
        // serialization_failure, deadlock_detected: nothing is wrong with the request.
        "40001" | "40P01" => Code::Unavailable,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_is_unavailable_and_a_bug_is_internal() {
        assert_eq!(ApiError::from(sqlx::Error::PoolTimedOut).kind(), Code::Unavailable);
        assert_eq!(
            ApiError::from(sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into())).kind(),
            Code::Unavailable
        );
        assert_eq!(ApiError::from(sqlx::Error::RowNotFound).kind(), Code::Internal);
        for away in ["57P01", "25P03", "28P01", "3D000", "53300", "08006"] {
            assert_eq!(sqlstate_code(away), Code::Unavailable, "{away}");
        }
        assert_eq!(sqlstate_code("57014"), Code::DeadlineExceeded);
        assert_eq!(sqlstate_code("23505"), Code::Internal);
    }

    #[test]
    fn the_cause_is_not_in_the_answer() {
        let error = ApiError::internal("password is hunter2");
        assert!(!serde_json::to_string(&error.problem()).unwrap().contains("hunter2"));
    }
}
