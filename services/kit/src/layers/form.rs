//! The form of a request before anybody looks at what it asks for. What could be read in two ways is refused: a proxy
//! in front, or the handler, might read the other one.

use axum::body::{Body, HttpBody};
use http::{HeaderValue, Request, Version, header};
use shop_api::Code;

use crate::ApiError;

/// HTTP/1.1 demands a host, and one only: of two, a proxy and we might believe different ones (RFC 9112, 3.2).
pub(super) fn check_host<B>(request: &Request<B>) -> Result<(), ApiError> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if hosts == 1 || (hosts == 0 && request.version() != Version::HTTP_11) {
        return Ok(());
    }
    Err(ApiError::code(Code::MalformedRequest).detail("the request needs one Host header"))
}

/// Of a body that is coded in any other way the chunks alone would be taken away, and the rest be read as if it were
/// plain. A coding that is not understood is refused (RFC 9112, 6.1); HTTP/2 and HTTP/1.0 have none at all.
pub(super) fn check_transfer<B>(request: &Request<B>) -> Result<(), ApiError> {
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    let chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if chunked && codings.next().is_none() {
        return Ok(());
    }
    Err(ApiError::code(Code::MalformedRequest)
        .detail("the only Transfer-Encoding that is understood is chunked"))
}

/// A body that is compressed would be taken for what it is a compression of (RFC 9110, 8.4). The answer says what is
/// taken instead (15.5.16).
pub(super) fn check_content(request: &Request<Body>) -> Result<(), ApiError> {
    let mut lines = request.headers().get_all(header::CONTENT_ENCODING).iter();
    let plain = lines.all(|line| {
        let mut codings = line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
    });
    if plain || request.body().is_end_stream() {
        return Ok(());
    }
    let mut refusal =
        ApiError::code(Code::UnsupportedMediaType).detail("the body must not have a Content-Encoding");
    refusal.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Err(refusal)
}
