//! The one error document on the wire (RFC 9457) and the one table of its codes.
//!
//! A code is an API: clients branch on it. It may be added, never renamed or reused.
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where the codes are described; a problem's `type` is this followed by its code.
pub const TYPE_BASE: &str = "https://shop.example/problems/";

/// The media type of a [`Problem`].
pub const CONTENT_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $text:literal $status:literal $title:literal;)*) => {
        /// A stable name for what went wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
            /// A code this build does not know: sent by a newer service, never by this one.
            #[serde(other)]
            Unknown,
        }

        impl Code {
            /// Every code that a service of this version may send.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)* Code::Unknown => "unknown" }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)* Code::Unknown => 500 }
            }

            /// A short sentence that is the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)* Code::Unknown => "Unknown problem" }
            }

            /// The problem's `type`.
            #[must_use]
            pub const fn type_uri(self) -> &'static str {
                match self {
                    $(Code::$variant => concat!("https://shop.example/problems/", $text),)*
                    Code::Unknown => "about:blank",
                }
            }
        }
    };
}

codes! {
    /// The request cannot be read at all.
    MalformedRequest "malformed_request" 400 "The request cannot be read";
    /// A page cursor that this service did not make, or made for another list.
    InvalidCursor "invalid_cursor" 400 "The page cursor is not valid";
    /// The route wants an `Idempotency-Key`.
    IdempotencyKeyMissing "idempotency_key_missing" 400 "An Idempotency-Key header is required";
    /// No access token was sent.
    Unauthenticated "unauthenticated" 401 "Sign in first";
    /// Unknown account or wrong password: deliberately one code for both.
    InvalidCredentials "invalid_credentials" 401 "The credentials are not valid";
    /// The password was right; a second factor is needed.
    SecondFactorRequired "second_factor_required" 401 "A second factor is required";
    /// The access or refresh token is not valid (any more).
    InvalidToken "invalid_token" 401 "The token is not valid";
    /// The token is intact, but its session was ended.
    SessionEnded "session_ended" 401 "The session has ended";
    /// Signed in, but not allowed.
    Forbidden "forbidden" 403 "Not allowed";
    /// No such thing, or not one that the caller may know of.
    NotFound "not_found" 404 "Not found";
    /// No route has this path.
    RouteNotFound "route_not_found" 404 "No such route";
    /// The path exists, the method does not; see `Allow`.
    MethodNotAllowed "method_not_allowed" 405 "The method is not allowed here";
    /// None of the media types of `Accept` can be made.
    NotAcceptable "not_acceptable" 406 "No acceptable representation";
    /// The client was too slow to send its request.
    RequestTimeout "request_timeout" 408 "The request took too long to arrive";
    /// The state of the thing does not allow it.
    Conflict "conflict" 409 "The request conflicts with the current state";
    /// Something with this key exists.
    AlreadyExists "already_exists" 409 "It exists already";
    /// It would leave nobody in charge.
    LastAdmin "last_admin" 409 "The last administrator cannot be removed";
    /// The first request with this key is still running; see `Retry-After`.
    IdempotencyInProgress "idempotency_in_progress" 409 "The first request with this key is still running";
    /// It existed, and will not come back.
    Gone "gone" 410 "It is gone";
    /// `If-Match` names an older version.
    PreconditionFailed "precondition_failed" 412 "It was changed since it was read";
    /// The body is larger than the route takes.
    BodyTooLarge "body_too_large" 413 "The body is too large";
    /// The path and query are longer than the service takes.
    UriTooLong "uri_too_long" 414 "The address is too long";
    /// The body is not of the media type that the route takes.
    UnsupportedMediaType "unsupported_media_type" 415 "The media type is not supported";
    /// Readable, but some fields are not acceptable; see `errors`.
    ValidationFailed "validation_failed" 422 "Some fields are not valid";
    /// The password is too short or too common.
    WeakPassword "weak_password" 422 "The password is too weak";
    /// A mailed token that is unknown, used or expired: one code for all three.
    TokenUnusable "token_unusable" 422 "The token cannot be used";
    /// The same `Idempotency-Key` came with another body.
    IdempotencyKeyReused "idempotency_key_reused" 422 "The Idempotency-Key was used for another request";
    /// The route wants `If-Match`.
    PreconditionRequired "precondition_required" 428 "An If-Match header is required";
    /// A rate limit; see `Retry-After`.
    TooManyRequests "too_many_requests" 429 "Too many requests";
    /// Too many or too large headers.
    HeadersTooLarge "headers_too_large" 431 "The headers are too large";
    /// A bug, logged under the request id.
    Internal "internal" 500 "Something went wrong on our side";
    /// Something the service needs is away; see `Retry-After`.
    Unavailable "unavailable" 503 "Not available right now";
    /// More work than the service takes at once; see `Retry-After`.
    Overloaded "overloaded" 503 "Too busy right now";
    /// The work did not finish in its time; see `Retry-After`.
    DeadlineExceeded "deadline_exceeded" 504 "It took too long";
}

// The derive cannot see through the macro: it would list the variants' Rust names.
impl utoipa::PartialSchema for Code {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        crate::string_enum(Code::ALL.iter().map(|code| code.as_str()))
    }
}

impl ToSchema for Code {}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer into the body (`/email`), `?name` for a query parameter, `{name}` for a path parameter.
    pub pointer: String,
    /// A stable name for the rule that was broken, such as `required` or `too_long`.
    pub code: String,
    /// The rule in words. Never repeats what was sent.
    pub message: String,
}

impl FieldError {
    /// A broken rule at a place.
    pub fn new(pointer: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        FieldError { pointer: pointer.into(), code: code.into(), message: message.into() }
    }
}

/// The body of every answer that is not a success (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "type": "https://shop.example/problems/validation_failed", "title": "Some fields are not valid", "status": 422,
    "code": "validation_failed", "request_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "errors": [{ "pointer": "/email", "code": "malformed", "message": "is not an e-mail address" }]
}))]
pub struct Problem {
    /// A URI that names the kind of problem.
    pub r#type: String,
    /// The same for every occurrence of the code.
    pub title: String,
    /// The HTTP status, repeated.
    pub status: u16,
    /// What to branch on.
    pub code: Code,
    /// What is special about this occurrence, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Names this request in the logs of every service that it went through.
    #[serde(default)]
    pub request_id: String,
    /// Every field that is not acceptable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// A problem with the title and status of its code; the request id is filled in on the way out.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Problem {
            r#type: code.type_uri().to_owned(),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: None,
            request_id: String::new(),
            errors: Vec::new(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title, self.code)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        for error in &self.errors {
            write!(f, "; {} {}", error.pointer, error.message)?;
        }
        Ok(())
    }
}
