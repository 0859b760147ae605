//! What is known of the request being served: its id, who sent it, which route answers it.
//!
//! It travels beside the handler as a task-local instead of inside the request, so that error documents and log
//! lines find it without being handed it. A task that a handler spawns does not inherit it.
use std::cell::{Cell, OnceCell};
use std::convert::Infallible;
use std::fmt;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use crate::access::Caller;
use crate::metrics::RouteSeries;

tokio::task_local! {
    static CURRENT: RequestContext;
}

/// Names one request: the trace id of W3C Trace Context, taken over from the caller or made here.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestId(pub(crate) [u8; 16]);

/// Where a request came from: the peer of the socket, or what listed proxies say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddr(pub IpAddr);

/// One request on its way through.
pub(crate) struct RequestContext {
    pub id: RequestId,
    pub span: u64,
    pub client: IpAddr,
    pub route: Cell<Option<&'static RouteSeries>>,
    /// Filled by the first who verifies the token, so that nobody verifies it twice.
    pub caller: OnceCell<Arc<Caller>>,
}

impl RequestContext {
    pub(crate) fn new(headers: &HeaderMap, client: IpAddr) -> Self {
        let fresh = fresh_ids();
        let id = headers.get("traceparent").and_then(trace_id).unwrap_or(fresh.0);
        RequestContext {
            id: RequestId(id),
            span: fresh.1,
            client,
            route: Cell::new(None),
            caller: OnceCell::new(),
        }
    }

    /// Runs a future as part of this request.
    pub(crate) fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }

    /// What of it, if a request is being served.
    pub(crate) fn with<T>(read: impl FnOnce(&RequestContext) -> T) -> Option<T> {
        CURRENT.try_with(read).ok()
    }
}

impl RequestId {
    /// The request being served; all zeros outside of one.
    #[must_use]
    pub fn current() -> Self {
        RequestContext::with(|request| request.id).unwrap_or_default()
    }

    /// The 32 hexadecimal digits.
    pub(crate) fn hex(self) -> [u8; 32] {
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&HEX[usize::from(byte)]);
        }
        text
    }

    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.hex()).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// `traceparent` for calls made on behalf of the current request; absent outside of one.
#[must_use]
pub fn traceparent() -> Option<String> {
    RequestContext::with(|request| format!("00-{}-{:016x}-01", request.id, request.span))
}

impl ClientAddr {
    /// Who sent the request being served; unspecified (0.0.0.0) outside of one.
    #[must_use]
    pub fn current() -> Self {
        ClientAddr(
            RequestContext::with(|request| request.client).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        )
    }
}

/// Whom an address belongs to: one household or machine has a whole /64 of IPv6, and an address of it is not a client.
pub(crate) fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;
    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(RequestId::current())
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddr {
    type Rejection = Infallible;
    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(ClientAddr::current())
    }
}

static HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};

/// A trace id and a span id. They must not repeat, but need not be secret: keyed hashes of a counter are unique to
/// this process's random keys and cost no system call.
fn fresh_ids() -> ([u8; 16], u64) {
    static KEYS: LazyLock<[std::hash::RandomState; 3]> = LazyLock::new(Default::default);
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let [high, low, span] = KEYS.each_ref().map(|keys| keys.hash_one(count));
    let id = (u128::from(high) << 64) | u128::from(low);
    (id.max(1).to_be_bytes(), span.max(1))
}

/// The trace id of `00-<32 hex>-<16 hex>-<2 hex>` (W3C Trace Context §3.2); anything else is ignored, as it demands.
fn trace_id(value: &HeaderValue) -> Option<[u8; 16]> {
    let bytes = value.as_bytes();
    let version_fits =
        bytes.len() == 55 || (bytes.len() > 55 && bytes[55] == b'-' && !bytes.starts_with(b"00"));
    let shaped = version_fits
        && bytes[2] == b'-'
        && bytes[35] == b'-'
        && bytes[52] == b'-'
        && !bytes.starts_with(b"ff");
    let mut id = [0; 16];
    if !shaped || hex(&bytes[36..52]).is_none_or(|span| span == 0) || hex(&bytes[..2]).is_none() {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(bytes[3..35].chunks_exact(2)) {
        *byte = hex(pair)? as u8;
    }
    (id != [0; 16]).then_some(id)
}

/// Lower-case hexadecimal only, as Trace Context writes it.
fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value: u64, digit| match digit {
        b'0'..=b'9' => Some(value << 4 | u64::from(digit - b'0')),
        b'a'..=b'f' => Some(value << 4 | u64::from(digit - b'a' + 10)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        trace_id(&HeaderValue::from_str(text).unwrap()).map(|id| RequestId(id).to_string())
    }

    #[test]
    fn a_trace_id_is_taken_over_only_when_it_is_well_formed() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(parsed(good).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473\"-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn fresh_ids_differ() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| fresh_ids()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
