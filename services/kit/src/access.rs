//! Who may call a route: the rule is given with the route, enforced before the body is read, and written into OpenAPI.
//!
//! Whether the caller may touch one particular object is the handler's question, not asked here.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, header};
use shop_api::{Code, Permission, Role, Roles, SessionId};
use tower::{Layer, Service};
use uuid::Uuid;

use crate::ApiError;
use crate::context::RequestContext;
use crate::extract;
use crate::metrics::RouteSeries;
use crate::token::Verifier;

/// Who may call a route. There is no default: a route cannot be added without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody; no token is looked at.
    Public,
    /// Anybody with a live token, user or service.
    Signed,
    /// A live token whose roles grant the permission.
    Need(Permission),
    /// The handler checks in another way; the reason is documented.
    Own(&'static str),
}

impl Access {
    /// Whether a bearer token is asked for.
    #[must_use]
    pub fn wants_token(self) -> bool {
        matches!(self, Access::Signed | Access::Need(_))
    }

    /// The rule as OpenAPI's `x-permission` shows it.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Access::Public => "public".to_owned(),
            Access::Signed => "signed".to_owned(),
            Access::Need(permission) => permission.to_string(),
            Access::Own(reason) => format!("own: {reason}"),
        }
    }
}

/// A person or a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallerKind {
    /// A person with a session.
    User,
    /// A program with client credentials.
    Service,
}

/// Whoever sent the request, as its token says.
///
/// As an extractor it works on routes with [`Access::Signed`] and [`Access::Need`]; elsewhere it is a bug (500).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account, or the service client.
    pub subject: Uuid,
    /// The session of a user.
    pub session: Option<SessionId>,
    /// What it is to the shop.
    pub roles: Roles,
    /// A person or a program.
    pub kind: CallerKind,
    /// The token's own id.
    pub token_id: Uuid,
    /// Seconds since 1970.
    pub expires_at: i64,
    /// Seconds since 1970.
    pub not_before: i64,
}

impl Caller {
    /// Whether one of its roles grants the permission.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.roles.grants(permission)
    }

    /// Whether it has the role.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(role)
    }
}

/// Asked after the token on every call: is the session behind it still alive, and what are the caller's roles now?
#[async_trait]
pub trait SessionCheck: Send + Sync + 'static {
    /// Refuses with `session_ended`. Answers the roles that decide (those of the database rather than of the token),
    /// and may leave what it has read in the extensions, so that the handler need not read it again.
    async fn check(&self, caller: &Caller, extensions: &mut Extensions) -> Result<Roles, ApiError>;
}

/// What stands before the routes that want a token.
#[derive(Clone)]
pub struct Gate {
    pub(crate) verifier: Verifier,
    session: Option<Arc<dyn SessionCheck>>,
}

impl Gate {
    /// Believes the token alone.
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        Gate { verifier, session: None }
    }

    /// Also asks whether the session is alive.
    #[must_use]
    pub fn with_session_check(mut self, check: impl SessionCheck) -> Self {
        self.session = Some(Arc::new(check));
        self
    }

    /// The caller of a token that was verified before: for decisions ahead of the route, such as rate limits.
    pub(crate) fn remembered(&self, headers: &HeaderMap) -> Option<Arc<Caller>> {
        self.verifier.remembered(bearer(headers).ok()?)
    }

    async fn admit(&self, access: Access, request: &mut Request) -> Result<(), ApiError> {
        let known = RequestContext::with(|context| context.caller.get().cloned()).flatten();
        let mut caller = match known {
            Some(caller) => caller,
            None => self.verifier.verify(bearer(request.headers())?).await?,
        };
        if let Some(session) = &self.session {
            let roles = session.check(&caller, request.extensions_mut()).await?;
            if roles != caller.roles {
                Arc::make_mut(&mut caller).roles = roles;
            }
        }
        if let Access::Need(permission) = access
            && !caller.may(permission)
        {
            return Err(ApiError::code(Code::Forbidden));
        }
        request.extensions_mut().insert(caller);
        Ok(())
    }
}

/// The token of `Authorization: Bearer …` (the scheme in any case, RFC 9110 §11.1).
fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| ApiError::code(Code::Unauthenticated))?;
    if values.next().is_some() {
        return Err(ApiError::code(Code::InvalidToken).detail("more than one Authorization header"));
    }
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(
            ApiError::code(Code::Unauthenticated).detail("the Authorization header is not `Bearer <token>`")
        );
    }
    Ok(token.trim_start_matches(' '))
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Arc<Caller>>();
        caller
            .map(|caller| Caller::clone(caller))
            .ok_or_else(|| ApiError::internal("no caller on a route without token"))
    }
}

/// Stands before one route: names it for the metrics, enforces its rule, and refuses a query where none is taken.
#[derive(Clone)]
pub(crate) struct AccessLayer {
    pub access: Access,
    pub gate: Option<Gate>,
    pub route: &'static RouteSeries,
    /// The methods that take no query and refuse one.
    pub without_query: Vec<Method>,
}

impl AccessLayer {
    /// After the rule: whoever may not call is told that, whatever else is wrong.
    fn check_query(&self, request: &Request) -> Result<(), ApiError> {
        match request.uri().query() {
            Some(query) if self.without_query.contains(request.method()) => extract::no_query(query),
            _ => Ok(()),
        }
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = Guarded<S>;
    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, rule: Arc::new(self.clone()) }
    }
}

/// A route with its rule.
#[derive(Clone)]
pub(crate) struct Guarded<S> {
    inner: S,
    rule: Arc<AccessLayer>,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Error: Send,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        RequestContext::with(|context| context.route.set(Some(self.rule.route)));
        if !self.rule.access.wants_token() {
            if let Err(refused) = self.rule.check_query(&request) {
                return Box::pin(async move { Ok(refused.into_response()) });
            }
            let answer = self.inner.call(request);
            return Box::pin(async move { answer.await.map(IntoResponse::into_response) });
        }
        // The clone takes the place of the service that was found ready.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let rule = Arc::clone(&self.rule);
        Box::pin(async move {
            let admitted = match &rule.gate {
                Some(gate) => gate.admit(rule.access, &mut request).await,
                None => Err(ApiError::internal("a route wants a token and the service was given no gate")),
            };
            match admitted.and_then(|()| rule.check_query(&request)) {
                Ok(()) => inner.call(request).await.map(IntoResponse::into_response),
                Err(refused) => Ok(refused.into_response()),
            }
        })
    }
}
