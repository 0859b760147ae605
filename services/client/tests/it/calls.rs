//! Deadlines, retries, decoding, and what leaves the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use http::HeaderMap;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use shop_api::Code;
use shop_client::{Anonymous, Client, ClientError, Fixed, Settings};

use super::{problem, serve};

/// Fails with the code so many times, then succeeds; counts the calls.
async fn flaky(
    code: Code,
    failures: usize,
    header: Option<(&'static str, &'static str)>,
) -> (Client, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let answer = async move |State(calls): State<Arc<AtomicUsize>>| -> Response {
        if calls.fetch_add(1, Ordering::SeqCst) >= failures {
            return Json(json!({"fine": true})).into_response();
        }
        let mut response = problem(code);
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    };
    let address = serve(Router::new().route("/", any(answer)).with_state(calls.clone())).await;
    (Client::new(&format!("http://{address}"), Anonymous).unwrap(), calls)
}

#[tokio::test]
async fn what_is_idempotent_is_tried_again() {
    for code in [Code::Unavailable, Code::Overloaded, Code::DeadlineExceeded] {
        let (client, calls) = flaky(code, 2, None).await;
        assert_eq!(client.get("/").send::<Value>().await.unwrap(), json!({"fine": true}));
        assert_eq!(calls.load(Ordering::SeqCst), 3, "{code}");
    }
}

#[tokio::test]
async fn what_is_not_idempotent_is_sent_once_unless_it_has_a_key() {
    let (client, calls) = flaky(Code::Unavailable, 1, None).await;
    let error = client.post("/").send::<Value>().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Unavailable));
    assert_eq!(calls.load(Ordering::SeqCst), 1);

    let (client, calls) = flaky(Code::Unavailable, 1, None).await;
    client.post("/").idempotency_key("k1").send::<Value>().await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_refusal_is_final() {
    for code in [Code::NotFound, Code::ValidationFailed, Code::Internal, Code::Conflict] {
        let (client, calls) = flaky(code, 1, None).await;
        assert_eq!(client.get("/").send::<Value>().await.unwrap_err().code(), Some(code));
        assert_eq!(calls.load(Ordering::SeqCst), 1, "{code}");
    }
}

#[tokio::test]
async fn tries_are_bounded() {
    let (client, calls) = flaky(Code::Unavailable, 100, None).await;
    assert_eq!(client.get("/").send::<Value>().await.unwrap_err().code(), Some(Code::Unavailable));
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn the_pause_the_service_asks_for_is_kept() {
    let (client, calls) = flaky(Code::TooManyRequests, 1, Some(("retry-after", "1"))).await;
    let began = Instant::now();
    client.get("/").send::<Value>().await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_pause_beyond_the_deadline_is_not_waited_for() {
    let (client, calls) = flaky(Code::TooManyRequests, 1, Some(("retry-after", "3600"))).await;
    let began = Instant::now();
    assert_eq!(client.get("/").send::<Value>().await.unwrap_err().code(), Some(Code::TooManyRequests));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_service_that_does_not_answer_ends_at_the_deadline() {
    let silent = async || std::future::pending::<()>().await;
    let address = serve(Router::new().route("/", get(silent))).await;
    let settings = Settings { deadline: Duration::from_millis(200), ..Settings::default() };
    let client = Client::with(&format!("http://{address}"), Anonymous, settings).unwrap();
    let began = Instant::now();
    let error = client.get("/").send::<Value>().await.unwrap_err();
    assert!(matches!(error, ClientError::Deadline(_)), "{error}");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn nobody_there_says_who_and_why() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = Client::new(&format!("http://{free}"), Anonymous).unwrap();
    let text = client.get("/secret?token=hunter2").send::<Value>().await.unwrap_err().to_string();
    assert!(text.starts_with(&format!("http://{free} is not reachable: ")), "{text}");
    assert!(text.to_lowercase().contains("refused") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn an_answer_that_is_no_problem_is_told_apart() {
    let address =
        serve(Router::new().route("/", get(async || (http::StatusCode::FORBIDDEN, "<html>")))).await;
    let client = Client::new(&format!("http://{address}"), Anonymous).unwrap();
    assert!(matches!(client.get("/").done().await.unwrap_err(), ClientError::Unexpected(403)));
    assert!(matches!(client.get("/nowhere").done().await.unwrap_err(), ClientError::Unexpected(404)));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = async move |State(taken): State<Arc<AtomicUsize>>| _ = taken.fetch_add(1, Ordering::SeqCst);
    let elsewhere = serve(Router::new().route("/", get(count)).with_state(taken.clone())).await;
    let moved = async move || (http::StatusCode::FOUND, [("location", format!("http://{elsewhere}/"))]);
    let address = serve(Router::new().route("/", get(moved))).await;
    let client = Client::new(&format!("http://{address}"), Fixed(SecretString::from("secret"))).unwrap();
    assert!(matches!(client.get("/").done().await.unwrap_err(), ClientError::Unexpected(302)));
    assert_eq!(taken.load(Ordering::SeqCst), 0);
}

/// What the server saw.
async fn echo(
    method: Method,
    headers: HeaderMap,
    Query(query): Query<Value>,
    body: String,
) -> impl IntoResponse {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let seen = json!({
        "method": method.as_str(), "query": query, "body": body, "if_match": header("if-match"),
        "key": header("idempotency-key"), "authorization": header("authorization"),
        "type": header("content-type"), "traceparent": header("traceparent"),
    });
    ([("etag", "\"v7\"")], Json(seen))
}

#[tokio::test]
async fn a_call_carries_what_it_was_given_and_no_more() {
    let address = serve(Router::new().route("/base/things", any(echo))).await;
    let client = Client::new(&format!("http://{address}/base/"), Fixed(SecretString::from("t0ken"))).unwrap();
    let (seen, etag): (Value, _) = client
        .call(Method::PATCH, "/things")
        .query(&json!({"q": "a&b", "limit": 20, "cursor": null}))
        .json(&json!({"name": "x"}))
        .if_match("\"v6\"")
        .idempotency_key("k")
        .send_tagged()
        .await
        .unwrap();
    assert_eq!(etag.as_deref(), Some("\"v7\""));
    assert_eq!(seen["method"], "PATCH");
    assert_eq!(seen["query"], json!({"q": "a&b", "limit": "20"}));
    assert_eq!((&seen["body"], &seen["type"]), (&json!("{\"name\":\"x\"}"), &json!("application/json")));
    assert_eq!((&seen["if_match"], &seen["key"]), (&json!("\"v6\""), &json!("k")));
    assert_eq!(seen["authorization"], "Bearer t0ken");
    let trace: Vec<&str> = seen["traceparent"].as_str().unwrap().split('-').collect();
    assert_eq!(trace.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2]);

    let seen: Value = client.get("/things").anonymous().send().await.unwrap();
    assert_eq!(seen["authorization"], Value::Null);
    assert_ne!(seen["traceparent"].as_str().unwrap(), trace.join("-"));
}

#[tokio::test]
async fn the_trace_of_the_work_at_hand_goes_along() {
    let address = serve(Router::new().route("/", any(echo))).await;
    let traceparent = || Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    let settings = Settings { traceparent, ..Settings::default() };
    let client = Client::with(&format!("http://{address}"), Anonymous, settings).unwrap();
    let seen: Value = client.get("/").send().await.unwrap();
    assert_eq!(seen["traceparent"], traceparent().unwrap());
}

#[tokio::test]
async fn a_header_cannot_be_smuggled_in() {
    let client = Client::new("http://127.0.0.1:1", Anonymous).unwrap();
    let error = client.post("/").idempotency_key("a\r\nx: y").done().await.unwrap_err();
    assert!(matches!(error, ClientError::Request(_)), "{error}");
}

#[test]
fn only_https_or_this_machine() {
    for good in [
        "https://shop.example",
        "https://shop.example/api/",
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:1",
    ] {
        Client::new(good, Anonymous).unwrap();
    }
    for (bad, why) in [
        ("http://shop.example", "use https"),
        ("http://10.0.0.1", "use https"),
        ("ftp://127.0.0.1", "scheme"),
        ("https://user:pw@shop.example", "credentials"),
        ("https://shop.example/?a=b", "query"),
        ("shop.example", "no URL"),
    ] {
        let text = Client::new(bad, Anonymous).unwrap_err().to_string();
        assert!(text.contains(why), "{bad}: {text}");
    }
}
