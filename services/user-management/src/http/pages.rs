//! The two pages that mailed links open, for a shop that has no others at these addresses. They are of this service
//! alone: no other file, no other host, and nothing of the link is known here, since its token stays in the fragment.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use shop_kit::{Access, ApiRouter};
use utoipa_axum::routes;

use crate::state::AppState;

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new()
        .route(Access::Public, routes!(verify_page))
        .route(Access::Public, routes!(reset_page))
        .route(Access::Public, routes!(page_script))
        .route(Access::Public, routes!(page_style))
}

/// The page of the link that verifies an address
#[utoipa::path(get, path = "/account/verify", tag = "pages",
    responses((status = 200, body = String, content_type = "text/html", example = "<!doctype html>…")))]
async fn verify_page() -> Response {
    page("text/html; charset=utf-8", include_str!("../../pages/verify.html"))
}

/// The page of the link that sets a new password
#[utoipa::path(get, path = "/account/reset", tag = "pages",
    responses((status = 200, body = String, content_type = "text/html", example = "<!doctype html>…")))]
async fn reset_page() -> Response {
    page("text/html; charset=utf-8", include_str!("../../pages/reset.html"))
}

/// What both pages do
#[utoipa::path(get, path = "/account/page.js", tag = "pages",
    responses((status = 200, body = String, content_type = "text/javascript", example = "\"use strict\";…")))]
async fn page_script() -> Response {
    page("text/javascript; charset=utf-8", include_str!("../../pages/page.js"))
}

/// How both pages look
#[utoipa::path(get, path = "/account/page.css", tag = "pages",
    responses((status = 200, body = String, content_type = "text/css", example = "main { … }")))]
async fn page_style() -> Response {
    page("text/css; charset=utf-8", include_str!("../../pages/page.css"))
}

fn page(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text).into_response()
}
