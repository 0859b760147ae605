//! Closing the port without turning away anybody who is already inside.
//!
//! The kernel completes handshakes on its own and queues them; `close` resets what is queued, and a client takes that
//! for a request lost (RFC 9110 §9.2.2 lets it try again only what is idempotent). So: first nobody new begins, then
//! the queue is emptied, then the port closes.
use std::io::ErrorKind;
use std::net::SocketAddr;

use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};

/// Drops the first packet of a handshake (SYN without ACK) and lets all others pass, in the kernel's classic BPF: load
/// the byte of flags of the TCP header; keep SYN and ACK; if only SYN is left return 0 bytes, else all.
const NO_FIRST_PACKET: [(u16, u8, u8, u32); 5] =
    [(0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, u32::MAX)];

/// From now on no handshake begins. A client that tries gets no answer; it tries again after a second, when the port is
/// closed and refuses it, or a successor's. False where the kernel has no such filters: then a connection that it
/// completes between the last accept and the close is reset.
pub(super) fn admits_no_more(listener: &TcpListener) -> bool {
    let filter = NO_FIRST_PACKET.map(|(code, jt, jf, k)| SockFilter::new(code, jt, jf, k));
    SockRef::from(listener).attach_filter(&filter).is_ok()
}

/// Closes the port, and gives the connections that were still in the kernel's queue.
pub(super) fn close(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let mut queued = Vec::new();
    // Asked directly: the runtime may not have heard yet of those who came last.
    let Ok(listener) = listener.into_std() else { return queued };
    loop {
        match listener.accept() {
            Ok((stream, peer)) => queued.extend(ours(stream).map(|stream| (stream, peer))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if super::is_of_the_peer(&error) || error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::error!(error.message = %error, "connections that wait at the end are lost");
                break;
            }
        }
    }
    queued
}

fn ours(stream: std::net::TcpStream) -> Option<TcpStream> {
    stream.set_nonblocking(true).ok()?;
    TcpStream::from_std(stream).ok()
}
