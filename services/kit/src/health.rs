//! The admin port: is the process alive, may it get requests, and its numbers. No ingress exposes it.
//!
//! Readiness is decided by this process alone: a dependency that is away is a metric, as taking every replica out of
//! service would only make it worse.
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};

use crate::boot::ServiceInfo;
use crate::metrics;

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

/// How far the process is. Shared by whoever changes or tells it.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<AtomicU8>);

impl Health {
    /// Startup passed: requests may come. A process that drains stays draining.
    pub fn ready(&self) {
        let _draining = self.0.compare_exchange(STARTING, READY, Ordering::AcqRel, Ordering::Acquire);
    }

    /// No new requests, please.
    pub fn drain(&self) {
        self.0.store(DRAINING, Ordering::Release);
    }

    /// Whether requests may come.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire) == READY
    }

    /// Whether the end has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.load(Ordering::Acquire) == DRAINING
    }

    fn says(&self) -> &'static str {
        match self.0.load(Ordering::Acquire) {
            STARTING => "starting\n",
            READY => "ready\n",
            _ => "draining\n",
        }
    }

    /// Answers one request on the admin port.
    pub(crate) fn answer<B>(
        &self,
        info: &ServiceInfo,
        peer: SocketAddr,
        request: &http::Request<B>,
    ) -> Result<Response, Infallible> {
        let (status, content_type, body) = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, TEXT, Body::from("alive\n")),
            (&Method::GET | &Method::HEAD, "/readyz") => {
                let status = if self.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                (status, TEXT, Body::from(self.says()))
            }
            (&Method::GET, "/metrics") => (StatusCode::OK, PROMETHEUS, Body::from(metrics::render(info))),
            // The preStop hook runs beside the service; nobody else may take a replica out, and no page that a browser
            // beside it shows.
            (&Method::POST, "/drain")
                if peer.ip().to_canonical().is_loopback()
                    && !request.headers().contains_key(header::ORIGIN) =>
            {
                self.drain();
                (StatusCode::ACCEPTED, TEXT, Body::from(self.says()))
            }
            _ => (StatusCode::NOT_FOUND, TEXT, Body::from("/healthz, /readyz, /metrics, POST /drain\n")),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Ok(response)
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: ServiceInfo = ServiceInfo { name: "test", version: "1.0.0", about: "" };

    /// A browser says on whose behalf it sends; the preStop hook is none.
    #[test]
    fn no_page_of_the_web_takes_a_replica_out() {
        let health = Health::default();
        health.ready();
        let beside = SocketAddr::from(([127, 0, 0, 1], 40000));
        let drain = |peer: SocketAddr, origin: Option<&str>| {
            let mut request = http::Request::post("/drain");
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            health.answer(&INFO, peer, &request.body(()).unwrap()).unwrap().status()
        };
        for origin in ["https://evil.example", "null", "http://127.0.0.1:9080"] {
            assert_eq!(drain(beside, Some(origin)), StatusCode::NOT_FOUND, "{origin}");
        }
        assert_eq!(drain(SocketAddr::from(([10, 0, 0, 7], 40000)), None), StatusCode::NOT_FOUND);
        assert!(health.is_ready());
        assert_eq!(drain(beside, None), StatusCode::ACCEPTED);
        assert!(health.is_draining());
    }
}
