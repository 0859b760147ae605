//! Tokens of a service: fetched once, kept, renewed when they end or are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::HeaderMap;
use serde_json::{Value, json};
use shop_api::Code;
use shop_client::{Anonymous, Client, ClientCredentials, ClientError};

use super::{problem, serve};

struct Issuer {
    expires_in: u64,
    issued: AtomicUsize,
    /// Tokens up to this one are refused.
    revoked: AtomicUsize,
}

/// The client's credentials as `Basic` wants them: form-encoded, joined by a colon, in base 64.
const EXPECTED: &str = "Basic b3JkZXJzOnMlM0FjK3I=";

async fn token(State(issuer): State<Arc<Issuer>>, headers: HeaderMap, body: String) -> Response {
    if headers.get("authorization").is_none_or(|value| value != EXPECTED) {
        return problem(Code::InvalidCredentials);
    }
    assert_eq!(body, "grant_type=client_credentials");
    let n = issuer.issued.fetch_add(1, Ordering::SeqCst) + 1;
    Json(json!({"access_token": format!("token-{n}"), "token_type": "Bearer", "expires_in": issuer.expires_in}))
        .into_response()
}

async fn whoami(State(issuer): State<Arc<Issuer>>, headers: HeaderMap) -> Response {
    let bearer = headers["authorization"].to_str().unwrap().strip_prefix("Bearer token-").unwrap().to_owned();
    if bearer.parse::<usize>().unwrap() <= issuer.revoked.load(Ordering::SeqCst) {
        return problem(Code::InvalidToken);
    }
    Json(json!(bearer)).into_response()
}

async fn platform(expires_in: u64) -> (Arc<Issuer>, Client, String) {
    let issuer = Arc::new(Issuer { expires_in, issued: AtomicUsize::new(0), revoked: AtomicUsize::new(0) });
    let router = Router::new().route("/auth/token", post(token)).route("/whoami", get(whoami));
    let address = serve(router.with_state(issuer.clone())).await;
    let url = format!("http://{address}");
    let anonymous = Client::new(&url, Anonymous).unwrap();
    let credentials = ClientCredentials::new(anonymous.clone(), || Ok(("orders".into(), "s:c r".into())));
    (issuer, anonymous.with_tokens(credentials), url)
}

#[tokio::test]
async fn one_token_serves_many_calls() {
    let (issuer, client, _) = platform(900).await;
    let calls = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.get("/whoami").send::<Value>().await.unwrap() })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), json!("1"));
    }
    assert_eq!(issuer.issued.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_token_about_to_end_is_not_sent() {
    // Shorter than the margin: every call finds it too old.
    let (issuer, client, _) = platform(10).await;
    client.get("/whoami").send::<Value>().await.unwrap();
    client.get("/whoami").send::<Value>().await.unwrap();
    assert_eq!(issuer.issued.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let (issuer, client, _) = platform(900).await;
    client.get("/whoami").send::<Value>().await.unwrap();
    issuer.revoked.store(1, Ordering::SeqCst);
    // Not idempotent, and still repeated: the first one did nothing.
    assert_eq!(client.get("/whoami").send::<Value>().await.unwrap(), json!("2"));
    issuer.revoked.store(usize::MAX, Ordering::SeqCst);
    let error = client.get("/whoami").send::<Value>().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::InvalidToken));
    assert_eq!(issuer.issued.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_wrong_or_absent_secret_says_so() {
    let (issuer, _, url) = platform(900).await;
    let anonymous = Client::new(&url, Anonymous).unwrap();
    let wrong = ClientCredentials::new(anonymous.clone(), || Ok(("orders".into(), "wrong".into())));
    let error = anonymous.with_tokens(wrong).get("/whoami").done().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::InvalidCredentials));
    assert!(error.is_unauthorised());

    let absent = ClientCredentials::new(anonymous.clone(), || Err(std::io::ErrorKind::NotFound.into()));
    let error = anonymous.with_tokens(absent).get("/whoami").done().await.unwrap_err();
    assert!(matches!(error, ClientError::NoToken(_)), "{error}");
    assert_eq!(issuer.issued.load(Ordering::SeqCst), 0);
}
