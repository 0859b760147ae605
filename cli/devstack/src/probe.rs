//! Asks a service over plain HTTP whether it is ready. Just enough of HTTP/1.1 for a status line, on loopback only.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Between two questions while something starts: short, since a service is up within tens of milliseconds.
const PAUSE: Duration = Duration::from_millis(15);
const ANSWER: Duration = Duration::from_secs(2);

/// The status code of `GET http://<address><path>`.
///
/// # Errors
/// When nobody answers within two seconds, or not in HTTP.
pub async fn status(address: SocketAddr, path: &str) -> io::Result<u16> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await?;
        let code = std::str::from_utf8(&head[9..]).ok().and_then(|code| code.parse().ok());
        code.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer"))
    };
    tokio::time::timeout(ANSWER, ask).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Returns once `path` answers 200.
pub(crate) async fn until_ok(address: SocketAddr, path: &str) {
    while !matches!(status(address, path).await, Ok(200)) {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the service at this admin address (`http://127.0.0.1:<port>`) says that it is ready.
pub async fn is_ready(admin: &str) -> bool {
    let Some(address) = admin.strip_prefix("http://").and_then(|address| address.parse().ok()) else {
        return false;
    };
    matches!(status(address, "/readyz").await, Ok(200))
}
