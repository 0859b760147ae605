//! Why a call gave no answer that can be used. No text holds a token, a query or a body.

use std::time::Duration;

use shop_api::{Code, Problem};

/// Shorthand of this crate.
pub type Result<T> = std::result::Result<T, ClientError>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address of the service is not usable.
    #[error("{url} cannot be the address of a service: {why}")]
    BaseUrl {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The client could not be made.
    #[error("the HTTP client cannot be made: {0}")]
    Setup(#[source] reqwest::Error),
    /// The service refused, and said why.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// An answer that is neither a success nor a problem: something else than the service answered.
    #[error("status {0} without a problem document: is this the address of the service?")]
    Unexpected(u16),
    /// A success that cannot be read.
    #[error("the answer cannot be read: {0}")]
    Undecodable(String),
    /// Nobody answered.
    #[error("{service} is not reachable: {cause}")]
    Unreachable {
        /// Scheme, host and port.
        service: String,
        /// The innermost cause, such as `connection refused`.
        cause: String,
    },
    /// The deadline passed.
    #[error("no answer within {} ms", .0.as_millis())]
    Deadline(Duration),
    /// The request could not be made.
    #[error("the request cannot be made: {0}")]
    Request(String),
    /// There is no token to send.
    #[error("not signed in: {0}")]
    NoToken(String),
}

impl ClientError {
    /// The code of the problem, when the service sent one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Problem(problem) => Some(problem.code),
            _ => None,
        }
    }

    /// True when the service does not take (any more) what was sent to prove who we are.
    pub fn is_unauthorised(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.status == 401) || matches!(self, Self::NoToken(_))
    }
}

/// The last cause in the chain: the others only say that something failed.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
