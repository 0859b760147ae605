//! Routes together with who may call them and how OpenAPI describes them: one list, so that the three cannot differ.
//!
//! It knows no middleware that all routes share; those are in `layers`.
use std::collections::BTreeMap;

use axum::Router;
use http::Method;
use shop_api::{Code, Problem};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{Object, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder,
    Responses,
};
use utoipa_axum::router::UtoipaMethodRouter;

use crate::access::{Access, AccessLayer, Gate};
use crate::boot::ServiceInfo;
use crate::metrics::RouteSeries;

/// The routes of a service.
pub struct ApiRouter<S> {
    routes: Vec<Entry<S>>,
}

struct Entry<S> {
    access: Access,
    schemas: Vec<(String, RefOr<Schema>)>,
    paths: Vec<(String, PathItem)>,
    handlers: axum::routing::MethodRouter<S>,
}

impl<S: Clone + Send + Sync + 'static> Default for ApiRouter<S> {
    fn default() -> Self {
        ApiRouter { routes: Vec::new() }
    }
}

impl<S: Clone + Send + Sync + 'static> ApiRouter<S> {
    /// No routes yet.
    #[must_use]
    pub fn new() -> Self {
        ApiRouter::default()
    }

    /// Adds handlers of one path under one rule: `.route(Access::Public, routes!(login))`.
    #[must_use]
    pub fn route(mut self, access: Access, (schemas, paths, handlers): UtoipaMethodRouter<S>) -> Self {
        let paths = paths.paths.into_iter().collect();
        self.routes.push(Entry { access, schemas, paths, handlers });
        self
    }

    /// Adds the routes of another one.
    #[must_use]
    pub fn merge(mut self, other: ApiRouter<S>) -> Self {
        self.routes.extend(other.routes);
        self
    }

    /// Every operation with its rule: (method, path, rule). For tests that must not forget one.
    #[must_use]
    pub fn operations(&self) -> Vec<(String, String, Access)> {
        let mut list = Vec::new();
        for entry in &self.routes {
            for (path, item) in &entry.paths {
                let mut item = item.clone();
                let methods = operations(&mut item).into_iter().map(|(method, _)| method.to_owned());
                list.extend(methods.map(|method| (method, path.clone(), entry.access)));
            }
        }
        list
    }

    /// The OpenAPI 3.1 document.
    ///
    /// # Panics
    /// When two handlers claim the same path and method: found by every test that builds the router.
    #[must_use]
    pub fn openapi(&self, info: &ServiceInfo) -> OpenApi {
        let mut api = OpenApiBuilder::new()
            .info(
                InfoBuilder::new()
                    .title(info.name)
                    .version(info.version)
                    .description(Some(info.about))
                    .build(),
            )
            .components(Some(components()))
            .build();
        let schemas = &mut api.components.get_or_insert_with(Components::new).schemas;
        for (name, schema) in self.routes.iter().flat_map(|entry| entry.schemas.iter().cloned()) {
            schemas.insert(name, schema);
        }
        for entry in &self.routes {
            for (path, item) in &entry.paths {
                let mut item = item.clone();
                for (method, operation) in operations(&mut item) {
                    let refuses = refuses_queries(method, operation, entry.access);
                    describe(operation, entry.access, refuses);
                }
                add_path(&mut api.paths.paths, path, item);
            }
        }
        api
    }

    /// The routes, ready to be called, and their description.
    ///
    /// # Panics
    /// When two handlers claim the same path and method, or a route wants a token and there is no gate.
    pub fn finish(self, info: &ServiceInfo, state: S, gate: Option<&Gate>) -> (Router, OpenApi) {
        let api = self.openapi(info);
        let mut router = Router::new();
        for entry in self.routes {
            assert!(
                gate.is_some() || !entry.access.wants_token(),
                "a route wants a token and there is no gate"
            );
            let [(path, item)] = entry.paths.as_slice() else { panic!("one `routes!` must be of one path") };
            let path = if path.is_empty() { "/" } else { path };
            let layer = AccessLayer {
                access: entry.access,
                gate: gate.cloned(),
                route: RouteSeries::of(path),
                without_query: without_query(item, entry.access),
            };
            router = router.route(path, entry.handlers.route_layer(layer));
        }
        (router.with_state(state), api)
    }
}

fn add_path(paths: &mut utoipa::openapi::path::PathsMap<String, PathItem>, path: &str, mut item: PathItem) {
    let Some(there) = paths.get_mut(path) else {
        paths.insert(path.to_owned(), item);
        return;
    };
    let taken: Vec<_> = operations(there).into_iter().map(|(method, _)| method).collect();
    for (method, _) in operations(&mut item) {
        assert!(!taken.contains(&method), "two handlers claim {method} {path}");
    }
    there.merge_operations(item);
}

/// The operations of a path with the names of their methods.
fn operations(item: &mut PathItem) -> Vec<(&'static str, &mut Operation)> {
    let all = [
        ("GET", &mut item.get),
        ("PUT", &mut item.put),
        ("POST", &mut item.post),
        ("DELETE", &mut item.delete),
        ("OPTIONS", &mut item.options),
        ("HEAD", &mut item.head),
        ("PATCH", &mut item.patch),
        ("TRACE", &mut item.trace),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?))).collect()
}

/// What every operation of a rule has, so that handlers write down only what is special about them.
fn describe(operation: &mut Operation, access: Access, refuses_queries: bool) {
    let bearer = SecurityRequirement::new("bearer", Vec::<String>::new());
    operation.security = Some(if access.wants_token() { vec![bearer] } else { Vec::new() });
    let extension = ExtensionsBuilder::new().add("x-permission", access.describe()).build();
    operation.extensions.get_or_insert_default().merge(extension);

    let takes_input =
        operation.request_body.is_some() || operation.parameters.as_ref().is_some_and(|p| !p.is_empty());
    let mut codes =
        vec![Code::TooManyRequests, Code::MalformedRequest, Code::UriTooLong, Code::HeadersTooLarge];
    codes.extend([Code::Internal, Code::Unavailable, Code::DeadlineExceeded]);
    if takes_input || refuses_queries {
        codes.push(Code::ValidationFailed);
    }
    if operation.parameters.iter().flatten().any(is_of_the_path) {
        codes.push(Code::NotFound);
    }
    if operation.request_body.is_some() {
        codes.extend([Code::RequestTimeout, Code::BodyTooLarge, Code::UnsupportedMediaType]);
    }
    if access.wants_token() {
        codes.push(Code::Unauthenticated);
    }
    if matches!(access, Access::Need(_)) {
        codes.push(Code::Forbidden);
    }
    let mut common: BTreeMap<String, Code> = BTreeMap::new();
    common.extend(codes.into_iter().map(|code| (code.status().to_string(), code)));
    give_errors_a_body(&mut operation.responses);
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            give_headers(status, response);
        }
    }
    for (status, code) in common {
        let common = Ref::from_response_name(code.as_str());
        operation.responses.responses.entry(status).or_insert(RefOr::Ref(common));
    }
}

/// The headers that answers have whatever the handler: name, name among the components, and what it says.
const HEADERS: [(&str, &str, &str); 5] = [
    ("X-Request-Id", "RequestId", "Names this request in the logs of every service it went through"),
    ("RateLimit-Policy", "RateLimitPolicy", "The limit that is nearest: q requests in w seconds"),
    ("RateLimit", "RateLimit", "What is left of it: r requests now, all of them in t seconds"),
    ("Retry-After", "RetryAfter", "Seconds after which to ask again"),
    ("WWW-Authenticate", "Challenge", "How to come back (RFC 6750 §3)"),
];

/// Names the common headers of each answer; none of them is promised, as a proxy before us answers too.
fn give_headers(status: &str, response: &mut Response) {
    for (name, component, _) in HEADERS {
        let has = match name {
            "Retry-After" => matches!(status, "429" | "503" | "504"),
            "WWW-Authenticate" => status == "401",
            _ => true,
        };
        if has {
            let header = Ref::new(format!("#/components/headers/{component}"));
            response.headers.insert(name.to_owned(), RefOr::Ref(header));
        }
    }
}

/// Whether an operation refuses every query: it takes none, and is called by programs that were told so. What everybody
/// reads is opened by browsers and kept by caches, and mail programs and proxies add parameters of their own to it; a
/// route with a rule of its own follows somebody else's, and OAuth has what is not known ignored (RFC 6749 §3.2).
fn refuses_queries(method: &str, operation: &Operation, access: Access) -> bool {
    let of_programs = match access {
        Access::Signed | Access::Need(_) => true,
        Access::Public => method != "GET",
        Access::Own(_) => false,
    };
    of_programs && !operation.parameters.iter().flatten().any(is_of_the_query)
}

/// The methods of a path that refuse every query; what answers `GET` answers `HEAD`.
fn without_query(item: &PathItem, access: Access) -> Vec<Method> {
    let mut item = item.clone();
    let refusing = operations(&mut item).into_iter();
    let refusing = refusing.filter(|(method, operation)| refuses_queries(method, operation, access));
    let mut methods: Vec<Method> = refusing.filter_map(|(method, _)| method.parse().ok()).collect();
    if methods.contains(&Method::GET) {
        methods.push(Method::HEAD);
    }
    methods
}

fn is_of_the_query(parameter: &RefOr<Parameter>) -> bool {
    matches!(parameter, RefOr::T(parameter) if matches!(parameter.parameter_in, ParameterIn::Query))
}

fn is_of_the_path(parameter: &RefOr<Parameter>) -> bool {
    matches!(parameter, RefOr::T(parameter) if matches!(parameter.parameter_in, ParameterIn::Path))
}

/// An error answer that a handler lists without a body has a problem for one.
fn give_errors_a_body(responses: &mut Responses) {
    for (status, response) in &mut responses.responses {
        if let RefOr::T(response) = response
            && (status.starts_with('4') || status.starts_with('5'))
            && response.content.is_empty()
        {
            response.content = problem_response(&response.description).content;
        }
    }
}

fn problem_response(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content(shop_api::problem::CONTENT_TYPE, content).build()
}

fn components() -> Components {
    let mut components = Components::new();
    let mut schemas = Vec::new();
    <Problem as utoipa::ToSchema>::schemas(&mut schemas);
    schemas.push(("Problem".to_owned(), <Problem as utoipa::PartialSchema>::schema()));
    components.schemas.extend(schemas);
    for code in Code::ALL {
        let mut response = problem_response(code.title());
        give_headers(&code.status().to_string(), &mut response);
        components.responses.insert(code.as_str().to_owned(), RefOr::T(response));
    }
    for (_, component, about) in HEADERS {
        let header = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::String)))
            .description(Some(about))
            .build();
        components.headers.insert(component.to_owned(), RefOr::T(header));
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("An access token of the shop: sign in, or use client credentials"))
        .build();
    components.security_schemes.insert("bearer".to_owned(), RefOr::T(SecurityScheme::Http(bearer)));
    components
}
