//! What is left of a request's body when its answer is there. On a kept connection the next request begins where the
//! body ends (RFC 9112, 9.3): a small rest is read off, so that a client whose token was refused can go on; of any
//! other the answer has to say that the connection closes (9.6), or the client's next request would be lost.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

use super::{BodyError, Bounded};

/// Most bytes that are read off: less than a new connection with its handshakes costs.
const MOST: u64 = 64 * 1024;

/// How long the answer waits for them. A client that sends them at all has begun to.
const WITHIN: Duration = Duration::from_secs(1);

/// A body that a handler has on loan.
struct Lent<B>(Arc<Mutex<Kept<B>>>);

struct Kept<B> {
    body: Bounded<B>,
    seen: Seen,
}

/// How far a body was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Some,
    All,
    /// It broke one of its bounds, or off: nothing can be read behind it.
    Broken,
}

/// The lender's side.
pub(crate) struct Rest<B> {
    /// `None` where there is no body.
    kept: Option<Arc<Mutex<Kept<B>>>>,
    /// The client sends the body only when it is told to go on; reading it would tell so.
    asks_first: bool,
}

/// The request with its body on loan.
pub(crate) fn lend<B>(request: Request<B>, bound: impl FnOnce(B) -> Bounded<B>) -> (Request<Body>, Rest<B>)
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
{
    let asks_first = request.headers().contains_key(http::header::EXPECT);
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return (Request::from_parts(parts, Body::empty()), Rest { kept: None, asks_first });
    }
    let kept = Arc::new(Mutex::new(Kept { body: bound(body), seen: Seen::Some }));
    let lent = Body::new(Lent(Arc::clone(&kept)));
    (Request::from_parts(parts, lent), Rest { kept: Some(kept), asks_first })
}

impl<B> Rest<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    /// Whether the body was read to its end. A small rest is read off for that.
    pub(crate) async fn reaches_its_end(self) -> bool {
        let Some(kept) = self.kept else { return true };
        if lock(&kept).is_over() {
            return true;
        }
        // Whoever has it still would read along.
        let Some(kept) = Arc::into_inner(kept) else { return false };
        let mut kept = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        if self.asks_first || kept.seen == Seen::Broken || kept.body.size_hint().lower() > MOST {
            return false;
        }
        tokio::time::timeout(WITHIN, kept.run_out()).await.unwrap_or(false)
    }
}

impl<B> Kept<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    fn is_over(&self) -> bool {
        self.seen == Seen::All || (self.seen == Seen::Some && self.body.is_end_stream())
    }

    async fn run_out(&mut self) -> bool {
        let mut left = MOST;
        while let Some(frame) = self.body.frame().await {
            let Ok(frame) = frame else { return false };
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            let Some(fewer) = left.checked_sub(length) else { return false };
            left = fewer;
        }
        true
    }
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B> HttpBody for Lent<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut kept = lock(&self.0);
        let frame = ready!(Pin::new(&mut kept.body).poll_frame(cx));
        match &frame {
            None => kept.seen = Seen::All,
            Some(Err(_)) => kept.seen = Seen::Broken,
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).body.size_hint()
    }
}
