//! Accepts connections and speaks HTTP/1.1 on them, with a bound on everything a peer could make endless.
//!
//! Its own loop instead of axum's: axum's has no time for headers to arrive, builds a table of routes for every
//! connection, and closes the door before those who already stand in it (docs/decisions/0002).
mod connection;
mod door;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::boot::ServiceInfo;
use crate::health::Health;
use crate::layers::Edge;
use crate::share::{Share, Shares};
use connection::{Bounds, Supervised};

/// How long accepting rests after the system has no more descriptors to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// So many connections one client may have however few there are in all: a browser opens six.
const LEAST_SHARE: usize = 16;

/// How long a peer on another machine may need to end a handshake that has begun: several round trips.
const HANDSHAKE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then drains: keeps accepting for `drain`, closing each connection after its answer, then
/// finishes what is in flight for at most `shutdown`. Returns how many connections had to be cut.
pub async fn serve(listener: TcpListener, edge: Arc<Edge>, stop: CancellationToken) -> usize {
    let limits = edge.limits().clone();
    let shares = Shares::new((limits.max_connections as usize / 4).max(LEAST_SHARE));
    let host = Host { edge, shares, open: TaskTracker::new(), end: CancellationToken::new() };
    let mut accept = Box::pin(host.accept(&listener));
    tokio::select! {
        () = &mut accept => {}
        () = stop.cancelled() => {}
    }
    host.edge.drain();
    // Those who have not heard yet still come in; each answer tells them to leave.
    let _over = tokio::time::timeout(limits.drain, &mut accept).await;
    let closing = door::admits_no_more(&listener);
    host.end.cancel();
    if closing {
        let _over = tokio::time::timeout(HANDSHAKE, &mut accept).await;
    }
    drop(accept);
    for (stream, peer) in door::close(listener) {
        // Without a place: there are no more of them than the kernel's queue holds.
        host.receive(stream, peer, None);
    }
    host.open.close();
    let _in_time = tokio::time::timeout(limits.shutdown, host.open.wait()).await;
    host.open.len()
}

/// A connection's place among all, and its client's share; a proxy has none.
type Place = (OwnedSemaphorePermit, Option<Share>);

/// What connections come to.
struct Host {
    edge: Arc<Edge>,
    /// One client's connections would otherwise be all of them, each for as long as it says nothing.
    shares: Shares,
    open: TaskTracker,
    end: CancellationToken,
}

impl Host {
    /// Takes connections for as long as it is polled.
    async fn accept(&self, listener: &TcpListener) {
        let room = Arc::new(Semaphore::new(self.edge.limits().max_connections as usize));
        // Acquired first: who does not fit waits in the kernel's queue. The semaphore is never closed.
        while let Ok(place) = Arc::clone(&room).acquire_owned().await {
            let (stream, peer) = accepted(listener).await;
            let share = self.share(peer.ip().to_canonical());
            if let Some(share) = share {
                self.receive(stream, peer, Some((place, share)));
            } else {
                // Closed without a word: whoever has so many knows of them, and a word would have to wait for its reader.
                metrics::counter!("connections_refused_total").increment(1);
            }
        }
    }

    /// The share of a new connection; `None` when its client has enough of them.
    fn share(&self, client: IpAddr) -> Option<Option<Share>> {
        if self.edge.limits().is_proxy(client) {
            return Some(None);
        }
        self.shares.take(client).map(Some)
    }

    fn receive(&self, stream: TcpStream, peer: SocketAddr, place: Option<Place>) {
        let limits = self.edge.limits();
        let bounds = Bounds { head: limits.header_timeout, idle: limits.idle_timeout };
        let (edge, end) = (Arc::clone(&self.edge), self.end.clone());
        self.open.spawn(async move {
            let _place = place;
            one(stream, peer, edge, bounds, end).await;
        });
    }
}

async fn accepted(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::error!(error.message = %error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connection died before it was accepted: nothing is wrong here.
fn is_of_the_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as E;
    matches!(error.kind(), E::ConnectionAborted | E::ConnectionReset | E::ConnectionRefused)
}

async fn one(stream: TcpStream, peer: SocketAddr, edge: Arc<Edge>, bounds: Bounds, end: CancellationToken) {
    let _gauge = crate::metrics::Gauge::connection();
    // An answer is written at once as a whole: waiting for more of it only adds latency.
    let _best_effort = stream.set_nodelay(true);
    let watch = connection::Watch::default();
    let io = TokioIo::new(watch.io(stream));
    let busy = watch.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        busy.begin();
        let (edge, busy) = (Arc::clone(&edge), busy.clone());
        async move {
            let response = edge.handle(peer, request).await;
            busy.end();
            Ok::<Response, Infallible>(response)
        }
    });
    let connection = connection::builder().serve_connection(io, service);
    Supervised::new(connection, watch, bounds, end).await;
}

/// Serves the admin port until `stop`.
pub async fn serve_admin(listener: TcpListener, info: ServiceInfo, health: Health, stop: CancellationToken) {
    let bounds = Bounds { head: Duration::from_secs(5), idle: Duration::from_secs(60) };
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accepted(&listener) => accepted,
            () = stop.cancelled() => return,
        };
        let (health, end) = (health.clone(), stop.clone());
        tokio::spawn(async move {
            let watch = connection::Watch::default();
            let io = TokioIo::new(watch.io(stream));
            let busy = watch.clone();
            let service = service_fn(move |request: http::Request<Incoming>| {
                busy.begin();
                let response = health.answer(&info, peer, &request);
                busy.end();
                std::future::ready(response)
            });
            let connection = connection::builder().serve_connection(io, service);
            Supervised::new(connection, watch, bounds, end).await;
        });
    }
}
