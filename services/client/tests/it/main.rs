//! The client against a small real server.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod calls;
mod credentials;
mod tls;
mod users;

use std::net::SocketAddr;

use axum::Router;

/// Serves `router` on a free port of the loopback until the test's runtime ends.
async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// A problem as a service sends it.
fn problem(code: shop_api::Code) -> axum::response::Response {
    let status = http::StatusCode::from_u16(code.status()).unwrap();
    let body = serde_json::to_vec(&shop_api::Problem::new(code)).unwrap();
    axum::response::Response::builder()
        .status(status)
        .header("content-type", "application/problem+json")
        .body(body.into())
        .unwrap()
}
