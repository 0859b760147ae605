//! One connection under supervision: headers that trickle in, peers that stop reading, and idleness all end.
//!
//! hyper's own header timeout also ends idle connections and sets a timer for every request. Here one timer serves a
//! connection for its life and is touched only when the peer makes us wait.
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Beyond what the edge answers with a problem, hyper answers with a bare status and hangs up.
const MAX_HEADERS: usize = 200;
const MAX_HEAD_BYTES: usize = 64 * 1024;

pub(super) fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD_BYTES);
    builder
}

/// How long a peer may make us wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub head: Duration,
    pub idle: Duration,
}

/// Between requests, or writing the last answer.
const IDLE: u8 = 0;
/// Some of a request's headers have come.
const HEAD: u8 = 1;
/// A handler is at work; its own deadline bounds it.
const BUSY: u8 = 2;
/// The last answer is out and the peer has been told that no other follows.
const LEAVING: u8 = 3;

/// How long a peer may take to hear that.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long a connection without a request may take to bring its first, once we are about to end. Its peer connected
/// a moment ago and is sending.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// What the connection is doing, told by its socket and its service, read by its supervisor. All three run in one
/// task, so that relaxed order is enough.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<State>);

#[derive(Default)]
struct State {
    doing: AtomicU8,
    /// Changes with every progress.
    progress: AtomicU32,
    /// Whether a request has come at all.
    asked: AtomicBool,
}

impl Watch {
    pub(super) fn begin(&self) {
        self.0.doing.store(BUSY, Relaxed);
        self.0.asked.store(true, Relaxed);
    }

    pub(super) fn end(&self) {
        self.0.doing.store(IDLE, Relaxed);
        self.moved();
    }

    pub(super) fn io<T>(&self, inner: T) -> Watched<T> {
        Watched { inner, watch: self.clone() }
    }

    fn moved(&self) {
        self.0.progress.fetch_add(1, Relaxed);
    }

    fn received(&self) {
        // Only the first bytes: a trickle must not be progress.
        if self.0.doing.load(Relaxed) == IDLE {
            self.0.doing.store(HEAD, Relaxed);
            self.moved();
        }
    }
}

/// A socket that tells what happens on it.
pub(super) struct Watched<T> {
    inner: T,
    watch: Watch,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.watch.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> Watched<T> {
    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(result, Poll::Ready(Ok(1..))) && self.watch.0.doing.load(Relaxed) == IDLE {
            self.watch.moved();
        }
        result
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    /// Says that nothing more will come, then waits for the peer to say so too. Closing at once on bytes that nobody
    /// has read makes the kernel send a reset, which takes the last answer from the peer (RFC 9112 §9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.watch.0.doing.swap(LEAVING, Relaxed) != LEAVING {
            this.watch.moved();
            // A peer that is gone needs no goodbye.
            let _said = ready!(Pin::new(&mut this.inner).poll_shutdown(cx));
        }
        let mut waste = [0; 4096];
        loop {
            let mut unread = ReadBuf::new(&mut waste);
            let read = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut unread));
            if read.is_err() || unread.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// A connection that can be asked to finish what it is doing and close.
pub(super) trait Connection: Future {
    fn finish(self: Pin<&mut Self>);
}

impl<I, S> Connection for http1::Connection<I, S>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = axum::body::Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives a connection to its end, or to the end of our patience.
pub(super) struct Supervised<C> {
    connection: Pin<Box<C>>,
    watch: Watch,
    bounds: Bounds,
    timer: Pin<Box<Sleep>>,
    /// What was seen last, and since when.
    seen: (u8, u32),
    since: Instant,
    end: End,
}

/// How far the connection is with our end.
enum End {
    /// It is not near.
    Far(Pin<Box<WaitForCancellationFutureOwned>>),
    /// We end after the first request, or when none has come by then.
    After(Pin<Box<Sleep>>),
    /// The connection has been asked to finish.
    Said,
}

impl<C: Connection> Supervised<C> {
    pub(super) fn new(connection: C, watch: Watch, bounds: Bounds, end: CancellationToken) -> Self {
        let now = Instant::now();
        Supervised {
            connection: Box::pin(connection),
            watch,
            bounds,
            // A connection that never says anything gets no longer than one that is slow to say it.
            timer: Box::pin(tokio::time::sleep_until(now + bounds.head)),
            seen: (HEAD, 0),
            since: now,
            end: End::Far(Box::pin(end.cancelled_owned())),
        }
    }

    /// Polls the connection, and asks it to finish when it is time to. What has come already is read before that: a
    /// connection that has been asked to finish reads no new request.
    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // How it ended is the peer's affair: every request was answered and logged, or its handler dropped.
        if self.connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if let End::Far(end) = &mut self.end {
            ready!(end.as_mut().poll(cx));
            self.end = End::After(Box::pin(tokio::time::sleep(FIRST_REQUEST)));
        }
        if let End::After(timer) = &mut self.end {
            if !self.watch.0.asked.load(Relaxed) {
                ready!(timer.as_mut().poll(cx));
            }
            self.end = End::Said;
            self.connection.as_mut().finish();
            return self.connection.as_mut().poll(cx).map(drop);
        }
        Poll::Pending
    }
}

impl<C: Connection> Future for Supervised<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.poll_connection(cx).is_ready() {
            return Poll::Ready(());
        }
        let doing = this.watch.0.doing.load(Relaxed);
        let now_seen = (doing, this.watch.0.progress.load(Relaxed));
        if now_seen.1 != 0 && now_seen != this.seen {
            this.seen = now_seen;
            this.since = Instant::now();
        }
        loop {
            let patience = match this.seen.0 {
                HEAD => this.bounds.head,
                LEAVING => GOODBYE,
                _ => this.bounds.idle,
            };
            let until = this.since + patience;
            if this.timer.deadline() > until {
                this.timer.as_mut().reset(until);
            }
            ready!(this.timer.as_mut().poll(cx));
            // It may have been set for something that is long over.
            let now = Instant::now();
            if this.seen.0 != BUSY && now >= until {
                return Poll::Ready(());
            }
            this.timer.as_mut().reset(until.max(now + Duration::from_secs(1)));
        }
    }
}
