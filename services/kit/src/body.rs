//! The body of a request on its way in, bounded in size and in time; and of an answer that is made while it is sent,
//! bounded in time.
//!
//! The bound in time is on the whole body: a client that sends a byte now and then holds a handler no longer than
//! one that sends nothing.
pub(crate) mod rest;

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use shop_api::Code;
use tokio::time::Sleep;

use crate::ApiError;
use crate::context::RequestContext;
use crate::error::Chain;
use crate::share::{Share, Shares};

/// Why a body stopped arriving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    TooLarge,
    TooSlow,
    /// The client has as many bodies under way as it may.
    Crowded,
    HungUp,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::TooLarge => "the body is too large",
            BodyError::TooSlow => "the body took too long to arrive",
            BodyError::Crowded => "too many bodies of this client are under way",
            BodyError::HungUp => "the body ended before its end",
        })
    }
}

impl Error for BodyError {}

/// A body with its bounds.
pub(crate) struct Bounded<B> {
    inner: B,
    left: u64,
    within: Duration,
    waiting: Shares,
    client: IpAddr,
    /// Begun at the first wait: most bodies arrive together with their headers and never need it.
    wait: Option<(Pin<Box<Sleep>>, Share)>,
}

impl<B: HttpBody> Bounded<B> {
    pub(crate) fn new(inner: B, limit: u64, within: Duration, (waiting, client): (&Shares, IpAddr)) -> Self {
        Bounded { inner, left: limit, within, waiting: waiting.clone(), client, wait: None }
    }
}

impl<B> HttpBody for Bounded<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            if this.wait.is_none() {
                let Some(share) = this.waiting.take(this.client) else {
                    return Poll::Ready(Some(Err(BodyError::Crowded)));
                };
                this.wait = Some((Box::pin(tokio::time::sleep(this.within)), share));
            }
            if let Some((timer, _)) = &mut this.wait {
                ready!(timer.as_mut().poll(cx));
            }
            return Poll::Ready(Some(Err(BodyError::TooSlow)));
        };
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(|_| BodyError::HungUp)?;
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            this.left = this.left.checked_sub(length).ok_or(BodyError::TooLarge)?;
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of an answer whose length nobody knows before its end. It breaks off at its deadline, and until its end
/// keeps what the request held. The access line was written with its head, so it says itself when it breaks off.
pub(crate) struct Streamed<K> {
    inner: Body,
    deadline: Pin<Box<Sleep>>,
    id: String,
    _kept: K,
}

impl<K> Streamed<K> {
    /// For the request being served.
    pub(crate) fn new(inner: Body, within: Duration, kept: K) -> Self {
        let id = RequestContext::with(|context| context.id.to_string()).unwrap_or_default();
        Streamed { inner, deadline: Box::pin(tokio::time::sleep(within)), id, _kept: kept }
    }

    fn broken(&self, error: axum::Error) -> axum::Error {
        tracing::warn!(http.request.id = self.id, error = %Chain(&error), "an answer broke off on its way");
        metrics::counter!("answers_broken_off_total").increment(1);
        error
    }
}

impl<K: Unpin> HttpBody for Streamed<K> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            let late = axum::Error::new(std::io::Error::from(std::io::ErrorKind::TimedOut));
            return Poll::Ready(Some(Err(self.broken(late))));
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(|error| self.broken(error))))
    }
}

/// All of a body.
pub(crate) async fn read(mut body: Body) -> Result<Bytes, ApiError> {
    let mut whole = Bytes::new();
    let mut gathered = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(problem)?.into_data() else { continue };
        // One frame is the rule for small bodies: it is not copied.
        if whole.is_empty() && gathered.is_empty() {
            whole = data;
        } else {
            gathered.extend_from_slice(&std::mem::take(&mut whole));
            gathered.extend_from_slice(&data);
        }
    }
    Ok(if gathered.is_empty() { whole } else { gathered.freeze() })
}

/// The client has as many bodies under way as it may.
pub(crate) fn crowded() -> ApiError {
    ApiError::code(Code::TooManyRequests).detail(BodyError::Crowded.to_string()).retry_after(1)
}

fn problem(error: axum::Error) -> ApiError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(known) = error.downcast_ref::<BodyError>() {
            return match known {
                BodyError::TooLarge => ApiError::code(Code::BodyTooLarge),
                BodyError::TooSlow => ApiError::code(Code::RequestTimeout),
                BodyError::Crowded => crowded(),
                BodyError::HungUp => ApiError::code(Code::MalformedRequest),
            };
        }
        cause = error.source();
    }
    ApiError::code(Code::MalformedRequest).source(error)
}
