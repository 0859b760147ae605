//! `/openapi.json`, and `/docs` for people: Swagger UI out of the binary, without any network.
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderValue, header};
use shop_api::Code;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerFile};

use crate::{ApiError, Path};

/// Swagger UI writes styles into the page itself; everything else comes from us.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The two routes.
pub fn router(api: &OpenApi) -> Router {
    let document = Bytes::from(render(api));
    let config =
        Arc::new(Config::from("/openapi.json").display_request_duration(true).persist_authorization(false));
    let index = Arc::clone(&config);
    Router::new()
        .route("/openapi.json", get(async move || json(document)))
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async move || file("index.html", index)))
        .route("/docs/{*file}", get(async move |Path(path): Path<String>| file(&path, config)))
}

/// The document as it is served, committed and printed by `<service> openapi`.
#[must_use]
pub fn render(api: &OpenApi) -> String {
    // A tree of strings: it always serialises.
    let mut text = api.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

fn json(document: Bytes) -> Response {
    let mut response = Response::new(Body::from(document));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn file(path: &str, config: Arc<Config<'static>>) -> Response {
    match utoipa_swagger_ui::serve(path, config) {
        Ok(Some(file)) => found(file),
        Ok(None) => ApiError::code(Code::NotFound).into_response(),
        Err(error) => ApiError::internal(error.to_string()).into_response(),
    }
}

fn found(file: SwaggerFile<'_>) -> Response {
    let mut response = Response::new(Body::from(file.bytes.into_owned()));
    let headers = response.headers_mut();
    if let Ok(content_type) = HeaderValue::try_from(file.content_type) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
