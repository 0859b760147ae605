//! What happens around every request, in the one order it happens in. Read [`Edge::handle`] from top to bottom.
//!
//! It is one hand-written service instead of a stack of generic ones: each generic layer boxes a future and clones its
//! service on every request. What belongs to one route (who may call it) is in `access`.
mod cors;
mod form;

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use shop_api::Code;
use tower::Service;

use crate::access::{CallerKind, Gate};
use crate::body::{Bounded, Streamed, crowded, rest};
use crate::config::Limits;
use crate::context::{RequestContext, household};
use crate::limit::{Decision, Limiter, Quota};
use crate::metrics::{Gauge, RouteSeries};
use crate::share::Shares;
use crate::telemetry::{self, AccessLine};
use crate::{ApiError, ClientAddr};
use cors::Cors;

/// Longest path and query. Browsers and proxies stop near it too.
const MAX_URI: usize = 8 * 1024;

/// Most headers, and most bytes of them: an access token and cookies of a large site fit several times.
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Most addresses of X-Forwarded-For that are looked at.
const MAX_HOPS: usize = 16;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The public side of a service: its routes and all that surrounds them. Shared by all connections.
pub struct Edge {
    router: Router,
    gate: Option<Gate>,
    limiter: Limiter,
    quota: Option<Quota>,
    limits: Limits,
    cors: Cors,
    protected: bool,
    in_flight: Arc<AtomicUsize>,
    /// A quarter of those places at most are held by one client's half-sent bodies and unread answers.
    bodies: Shares,
    draining: AtomicBool,
}

impl Edge {
    /// Puts the order around routes.
    #[must_use]
    pub fn new(
        router: Router,
        gate: Option<Gate>,
        limiter: Limiter,
        limits: Limits,
        protected: bool,
    ) -> Self {
        let router = router
            .fallback(async || ApiError::code(Code::RouteNotFound))
            .method_not_allowed_fallback(async || ApiError::code(Code::MethodNotAllowed));
        Edge {
            // Once, so that no connection builds its own table of routes.
            router: router.with_state(()),
            gate,
            limiter,
            quota: limits.rate_limit.0,
            cors: Cors::new(&limits.cors_origins),
            bodies: Shares::new(limits.max_in_flight as usize / 4),
            limits,
            protected,
            in_flight: Arc::default(),
            draining: AtomicBool::new(false),
        }
    }

    /// From now on every answer closes its connection, so that clients move on to another replica.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether [`Edge::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Answers one request of a peer. This is the order.
    pub async fn handle<B>(&self, peer: SocketAddr, request: Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    {
        // 1. Who asks, and the id of the request.
        let client = self.client(peer, request.headers());
        let context = RequestContext::new(request.headers(), client);
        let method = request.method().clone();
        let (request, rest) = rest::lend(request, |body| self.bound(body, client));
        context
            .scope(async {
                // 2. Access line, metrics; also of a request that the client gives up.
                let mut account = Account::open(method);
                // 3. A bug in a handler is an answer and a log line.
                let guarded = AssertUnwindSafe(self.admit(request)).catch_unwind().await;
                let mut response =
                    guarded.unwrap_or_else(|_| ApiError::internal("a handler panicked").into_response());
                account.close(response.status());
                // 4. Headers of every answer. It is the connection's last when nobody knows where a next request begins.
                let goes_on = !self.is_draining() && rest.reaches_its_end().await;
                self.finish(response.headers_mut(), goes_on);
                response
            })
            .await
    }

    async fn admit(&self, request: Request<Body>) -> Response {
        // 5. Other origins: a preflight ends here.
        let allowed = match self.cors.look(&request) {
            cors::Verdict::SameOrigin => None,
            cors::Verdict::Preflight(answer) => return answer,
            cors::Verdict::Allowed(origin) => Some(origin),
        };
        let mut response = self.bounded(request).await.unwrap_or_else(IntoResponse::into_response);
        self.cors.expose(allowed, response.headers_mut());
        response
    }

    async fn bounded(&self, request: Request<Body>) -> Result<Response, ApiError> {
        // 6. More than we can do at once is refused at once, while there is still room for a refusal.
        let slot = Slot::take(&self.in_flight, self.limits.max_in_flight)?;
        // 7. Nothing takes for ever, nor does a body that is made while it is sent.
        let response = match tokio::time::timeout(self.limits.deadline, self.limited(request)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(ApiError::code(Code::DeadlineExceeded)),
        };
        if response.body().size_hint().exact().is_some() {
            return Ok(response);
        }
        let share = self.bodies.take(ClientAddr::current().0).ok_or_else(crowded)?;
        Ok(response.map(|body| Body::new(Streamed::new(body, self.limits.stream_deadline, (slot, share)))))
    }

    async fn limited(&self, request: Request<Body>) -> Result<Response, ApiError> {
        // 8. Form and sizes.
        form::check_host(&request)?;
        form::check_transfer(&request)?;
        form::check_content(&request)?;
        self.check_sizes(&request)?;
        // 9. So many requests a client, and an account.
        let decision = self.take_quota(request.headers()).await?;
        // 10. The route: who may call it, then the handler.
        let mut response = self.router.clone().call(request).await.unwrap_or_else(|never| match never {});
        if let Some((decision, quota)) = decision {
            decision.write_headers(quota, response.headers_mut());
        }
        Ok(response)
    }

    fn bound<B: HttpBody>(&self, body: B, client: IpAddr) -> Bounded<B> {
        let bodies = (&self.bodies, client);
        Bounded::new(body, self.limits.max_body_bytes, self.limits.body_timeout, bodies)
    }

    fn check_sizes(&self, request: &Request<Body>) -> Result<(), ApiError> {
        let uri = request.uri();
        if uri.path().len() + uri.query().map_or(0, str::len) > MAX_URI {
            return Err(ApiError::code(Code::UriTooLong));
        }
        let headers = request.headers();
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
            return Err(ApiError::code(Code::HeadersTooLarge));
        }
        if request.body().size_hint().lower() > self.limits.max_body_bytes {
            return Err(ApiError::code(Code::BodyTooLarge));
        }
        Ok(())
    }

    async fn take_quota(&self, headers: &HeaderMap) -> Result<Option<(Decision, Quota)>, ApiError> {
        let Some(quota) = self.quota else { return Ok(None) };
        let address = household(ClientAddr::current().0).to_string();
        let decision = match self.known_caller(headers) {
            // By its client id alone: all its replicas may come from one address.
            Some((CallerKind::Service, client)) => {
                self.limiter.check(&format!("service:{client}"), quota).await
            }
            // By address and by account: a token that got about is used from many addresses at once.
            Some((CallerKind::User, user)) => {
                let address = self.limiter.check(&address, quota).await;
                if !address.allowed {
                    return Err(address.refusal(quota));
                }
                address.narrower(self.limiter.check(&format!("account:{user}"), quota).await)
            }
            None => self.limiter.check(&address, quota).await,
        };
        if decision.allowed { Ok(Some((decision, quota))) } else { Err(decision.refusal(quota)) }
    }

    /// Whoever's token was verified before.
    fn known_caller(&self, headers: &HeaderMap) -> Option<(CallerKind, uuid::Uuid)> {
        let caller = self.gate.as_ref()?.remembered(headers)?;
        let known = (caller.kind, caller.subject);
        // Verified once is enough: the route's rule finds it there.
        RequestContext::with(|context| context.caller.set(caller));
        Some(known)
    }

    fn finish(&self, headers: &mut HeaderMap, goes_on: bool) {
        const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
        const NO_FRAMES: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
        const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        if let Some(id) = RequestContext::with(|context| context.id) {
            headers.insert(REQUEST_ID, id.header());
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        headers.insert(header::REFERRER_POLICY, NO_REFERRER);
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(NO_FRAMES);
        // What one caller may see is not for a shared cache, unless a handler says otherwise.
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if self.protected {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        if !goes_on {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// The peer, or the last address in X-Forwarded-For that is no proxy of ours. What stands before it was written by
    /// the client and proves nothing.
    fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.ip().to_canonical();
        let ours = |address: IpAddr| self.limits.is_proxy(address);
        if self.limits.trusted_proxies.is_empty() || !ours(peer) {
            return peer;
        }
        let mut client = peer;
        let lines = headers.get_all(&FORWARDED_FOR).iter().rev();
        let hops = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
        for hop in hops.take(MAX_HOPS) {
            let Some(address) = forwarded(hop.trim()) else { return client };
            client = address;
            if !ours(address) {
                return client;
            }
        }
        client
    }
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn forwarded(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().or_else(|_| hop.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// A place among the requests being worked on.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(taken: &Arc<AtomicUsize>, most: u32) -> Result<Self, ApiError> {
        let before = taken.fetch_add(1, Ordering::AcqRel);
        let slot = Slot(Arc::clone(taken));
        if before < most as usize { Ok(slot) } else { Err(ApiError::code(Code::Overloaded)) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Counts and logs one request exactly once, whatever becomes of it.
struct Account {
    method: Method,
    started: Instant,
    closed: bool,
    _gauge: Gauge,
}

/// The client hung up before it was answered (the status is nginx').
const GIVEN_UP: u16 = 499;

impl Account {
    fn open(method: Method) -> Self {
        Account { method, started: Instant::now(), closed: false, _gauge: Gauge::request() }
    }

    fn close(&mut self, status: StatusCode) {
        self.closed = true;
        let took: Duration = self.started.elapsed();
        let route = RequestContext::with(|context| context.route.get()).flatten();
        let route = route.unwrap_or_else(RouteSeries::unmatched);
        route.record(&self.method, status, took);
        telemetry::access(&AccessLine { method: self.method.clone(), route: route.path, status, took });
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if !self.closed {
            self.close(StatusCode::from_u16(GIVEN_UP).unwrap_or(StatusCode::BAD_REQUEST));
        }
    }
}
