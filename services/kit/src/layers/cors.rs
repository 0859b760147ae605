//! Pages of other origins: only those on the list may call, and no cookie of theirs is ever wanted.
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};

use crate::config::Origin;
use crate::limit::EXPOSED;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, if-match, if-none-match, traceparent",
);

pub(super) struct Cors {
    origins: Vec<HeaderValue>,
}

pub(super) enum Verdict {
    /// No other origin, or one that is not on the list: its browser will keep the answer from it.
    SameOrigin,
    /// The answer to the question whether to ask.
    Preflight(Response),
    /// On the list.
    Allowed(HeaderValue),
}

impl Cors {
    pub(super) fn new(origins: &[Origin]) -> Self {
        Cors { origins: origins.iter().map(|origin| origin.header().clone()).collect() }
    }

    pub(super) fn look<B>(&self, request: &Request<B>) -> Verdict {
        let Some(origin) = request.headers().get(header::ORIGIN) else { return Verdict::SameOrigin };
        let Some(origin) = self.origins.iter().find(|listed| *listed == origin) else {
            return Verdict::SameOrigin;
        };
        let asked = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if request.method() == Method::OPTIONS && asked {
            return Verdict::Preflight(preflight(origin.clone()));
        }
        Verdict::Allowed(origin.clone())
    }

    /// Says which origin may read the answer, if one may; and that another might not, so that no shared cache answers
    /// one with what was said to the other.
    pub(super) fn expose(&self, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
        if !self.origins.is_empty() {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = origin else { return };
        let mut exposed = String::from("etag, location, x-request-id, idempotent-replayed");
        for name in EXPOSED {
            exposed.push_str(", ");
            exposed.push_str(name.as_str());
        }
        if let Ok(exposed) = HeaderValue::try_from(exposed) {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}

fn preflight(origin: HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    response
}
