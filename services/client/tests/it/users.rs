//! The calls of user-management: paths, bodies, and what is sent twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::HeaderMap;
use secrecy::SecretString;
use serde_json::{Value, json};
use shop_api::Code;
use shop_api::users::auth::{Login, Refresh};
use shop_client::{Anonymous, Client, Fixed};

use super::{problem, serve};

fn tokens() -> Value {
    json!({
        "token_type": "Bearer", "access_token": "a", "expires_in": 900, "refresh_token": "r",
        "refresh_expires_at": "2026-12-22T00:00:00Z", "session_id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a70"
    })
}

async fn login(Json(body): Json<Value>) -> Response {
    match body {
        b if b == json!({"email": "ada@shop.example", "password": "pw"}) => {
            problem(Code::SecondFactorRequired)
        }
        b if b["totp_code"] == "123456" => Json(tokens()).into_response(),
        _ => problem(Code::InvalidCredentials),
    }
}

async fn refresh(
    State(calls): State<Arc<AtomicUsize>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    assert!(!headers.contains_key("authorization"));
    assert_eq!(body, json!({"refresh_token": "old"}));
    match calls.fetch_add(1, Ordering::SeqCst) {
        0 => problem(Code::Unavailable),
        _ => Json(tokens()).into_response(),
    }
}

async fn logout(headers: HeaderMap) -> http::StatusCode {
    assert_eq!(headers["authorization"], "Bearer a");
    http::StatusCode::NO_CONTENT
}

#[tokio::test]
async fn log_in_asks_for_a_second_factor_refresh_survives_a_hiccup_and_log_out_ends_it() {
    let calls = Arc::new(AtomicUsize::new(0));
    let router = Router::new()
        .route("/auth/login", post(login))
        .route("/auth/refresh", post(refresh))
        .route("/auth/logout", post(logout))
        .with_state(calls.clone());
    let client = Client::new(&format!("http://{}", serve(router).await), Anonymous).unwrap();

    let mut form = Login { email: "ada@shop.example".into(), password: "pw".into(), ..Login::default() };
    let error = client.users().login(&form).await.err().unwrap();
    assert_eq!(error.code(), Some(Code::SecondFactorRequired));
    form.totp_code = Some("123456".into());
    assert_eq!(client.users().login(&form).await.ok().unwrap().access_token, "a");

    let renewed = client.users().refresh(&Refresh { refresh_token: "old".into() }).await.ok().unwrap();
    assert_eq!((renewed.refresh_token.as_str(), calls.load(Ordering::SeqCst)), ("r", 2));

    client.with_tokens(Fixed(SecretString::from("a"))).users().logout().await.unwrap();
}
