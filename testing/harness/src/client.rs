//! A client for one role: the same calls and expectations against a router in this process and against an address.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shop_api::problem::{CONTENT_TYPE as PROBLEM, Code, Problem};
use tower::ServiceExt;

/// Somebody who calls a service: anonymous until given a token. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    target: Target,
    peer: SocketAddr,
    token: Option<String>,
}

#[derive(Debug, Clone)]
enum Target {
    Router(Router),
    Address(SocketAddr, reqwest::Client),
}

impl Client {
    /// Calls the router in this process.
    pub fn to_router(router: Router) -> Self {
        Self::new(Target::Router(router))
    }

    /// Calls a running service over HTTP. Follows no redirect: it would hide one.
    pub fn to_address(address: SocketAddr) -> Self {
        // No certificates: reading those of the system costs a tenth of a second, and what it calls speaks HTTP.
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([])
            .build();
        Self::new(Target::Address(address, client.expect("a client without any special setting")))
    }

    fn new(target: Target) -> Self {
        Self { target, peer: SocketAddr::from(([127, 0, 0, 1], 40_000)), token: None }
    }

    /// The same service, called by somebody without a token.
    pub fn anonymous(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// The same service, called with this access token.
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// The same router, called from this address (over HTTP a caller has the address it has).
    pub fn from_peer(&self, peer: impl Into<SocketAddr>) -> Self {
        Self { peer: peer.into(), ..self.clone() }
    }

    /// `GET path`.
    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    /// `POST path`.
    pub fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    /// `PUT path`.
    pub fn put(&self, path: &str) -> Request {
        self.request(Method::PUT, path)
    }

    /// `PATCH path`.
    pub fn patch(&self, path: &str) -> Request {
        self.request(Method::PATCH, path)
    }

    /// `DELETE path`.
    pub fn delete(&self, path: &str) -> Request {
        self.request(Method::DELETE, path)
    }

    /// Any method on a path with its query.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, value(&format!("Bearer {token}")));
        }
        Request { client: self.clone(), method, path: path.to_owned(), headers, body: Bytes::new() }
    }
}

/// A call that was not sent yet.
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    client: Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    /// A JSON body.
    pub fn json(self, body: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(body).expect("a test's body is JSON");
        self.body("application/json", bytes)
    }

    /// Any body.
    pub fn body(mut self, content_type: &str, bytes: impl Into<Bytes>) -> Self {
        self.body = bytes.into();
        self.header("content-type", content_type)
    }

    /// One header more; an equal name is replaced.
    pub fn header(mut self, name: &str, text: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a test's header name");
        self.headers.insert(name, value(text));
        self
    }

    /// `If-Match`.
    pub fn if_match(self, etag: &str) -> Self {
        self.header("if-match", etag)
    }

    /// `Idempotency-Key`.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// Sends it and reads the whole answer. Panics when no answer comes.
    pub async fn send(self) -> Answer {
        let call = format!("{} {}", self.method, self.path);
        self.try_send().await.unwrap_or_else(|error| panic!("{call}: {error}"))
    }

    /// Sends it; a connection that was closed is an error here, for tests of just that.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let call = format!("{} {}", self.method, self.path);
        match self.client.target.clone() {
            Target::Router(router) => Ok(in_process(router, call, self).await),
            Target::Address(address, http) => {
                let url = format!("http://{address}{}", self.path);
                let request = http.request(self.method, url).headers(self.headers).body(self.body);
                let answer = request.send().await?;
                let (status, headers) = (answer.status(), answer.headers().clone());
                Ok(Answer { call, status, headers, body: answer.bytes().await? })
            }
        }
    }
}

async fn in_process(router: Router, call: String, asked: Request) -> Answer {
    let mut request = http::Request::new(Body::from(asked.body));
    *request.method_mut() = asked.method;
    *request.uri_mut() = asked.path.parse().expect("a test's path");
    *request.headers_mut() = asked.headers;
    request.extensions_mut().insert(ConnectInfo(asked.client.peer));
    let answer = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap_or_else(|error| panic!("{call}: the body broke off: {error}"));
    Answer { call, status: parts.status, headers: parts.headers, body: body.to_bytes() }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a test's header value")
}

/// What a service answered.
#[derive(Debug, Clone)]
pub struct Answer {
    call: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Panics, showing the answer, unless it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{} answered {}", self.call, self.shown());
        self
    }

    /// The body as JSON of this type. Panics, showing the answer, when it is not.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} answered {}: {error}", self.call, self.shown()))
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The problem document with this code and the status that goes with it. Panics, showing the answer, when it is
    /// anything else or has no request id.
    #[track_caller]
    pub fn expect_problem(&self, code: Code) -> Problem {
        let shown = || format!("{} answered {}", self.call, self.shown());
        assert_eq!(self.header(CONTENT_TYPE.as_str()), Some(PROBLEM), "{}", shown());
        let problem: Problem = self.json();
        assert_eq!(problem.code, code, "{}", shown());
        assert_eq!(problem.status, code.status(), "{}", shown());
        assert_eq!(self.status.as_u16(), code.status(), "{}", shown());
        assert!(!problem.request_id.is_empty(), "{}", shown());
        problem
    }

    fn shown(&self) -> String {
        format!("{} {:?}\n{}", self.status, self.headers, self.text())
    }
}
