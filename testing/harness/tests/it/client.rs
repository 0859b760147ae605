//! One client against a router and against an address.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::{Value, json};
use shop_api::problem::{CONTENT_TYPE, Code, Problem};
use shop_test::{Client, until, until_some};

fn router() -> Router {
    let problem = |request_id: &'static str, status: StatusCode| async move {
        let problem = Problem { request_id: request_id.to_owned(), ..Problem::new(Code::NotFound) };
        (status, [("content-type", CONTENT_TYPE)], serde_json::to_string(&problem).unwrap()).into_response()
    };
    Router::new()
        .route("/peer", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }))
        .route(
            "/echo",
            post(|headers: HeaderMap, body: String| async move {
                let text = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
                let body: Value = serde_json::from_str(&body).unwrap();
                json!({ "body": body, "token": text("authorization"), "etag": text("if-match") }).to_string()
            }),
        )
        .route("/moved", get(|| async { (StatusCode::FOUND, [("location", "/peer")]) }))
        .route("/missing", get(move || problem("r-1", StatusCode::NOT_FOUND)))
        .route("/other-status", get(move || problem("r-1", StatusCode::BAD_REQUEST)))
        .route("/nameless", get(move || problem("", StatusCode::NOT_FOUND)))
}

async fn clients() -> [Client; 2] {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { axum::serve(listener, service).await.unwrap() });
    [Client::to_router(router()), Client::to_address(address)]
}

#[tokio::test]
async fn both_ways_answer_the_same() {
    for client in clients().await {
        let asked = client.with_token("t").post("/echo").json(&json!({ "n": 1 })).if_match("\"7\"");
        let answer: Value = asked.send().await.expect(200).json();
        assert_eq!(answer, json!({ "body": { "n": 1 }, "token": "Bearer t", "etag": "\"7\"" }));
        let asked = client.with_token("t").anonymous().post("/echo").json(&json!(null));
        assert_eq!(asked.send().await.json::<Value>()["token"], Value::Null);
        assert_eq!(client.get("/moved").send().await.expect(302).header("location"), Some("/peer"));
        assert_eq!(client.get("/missing").send().await.expect_problem(Code::NotFound).request_id, "r-1");
    }
}

#[tokio::test]
async fn a_router_sees_the_peer_it_is_given() {
    let peer: SocketAddr = "192.0.2.7:1".parse().unwrap();
    let answer = Client::to_router(router()).from_peer(peer).get("/peer").send().await;
    assert_eq!(answer.text(), "192.0.2.7:1");
}

#[tokio::test]
async fn expectations_that_do_not_hold_fail() {
    let client = Client::to_router(router());
    let missing = client.get("/missing").send().await;
    let fails = |check: &dyn Fn()| assert!(std::panic::catch_unwind(AssertUnwindSafe(check)).is_err());
    fails(&|| drop(missing.clone().expect(200)));
    fails(&|| drop(missing.expect_problem(Code::Gone)));
    fails(&|| drop(missing.json::<Vec<u8>>()));
    for path in ["/other-status", "/nameless", "/peer"] {
        let answer = client.get(path).send().await;
        fails(&|| drop(answer.expect_problem(Code::NotFound)));
    }
}

#[tokio::test]
async fn waiting_ends_with_the_condition_or_the_deadline() {
    let mut looks = 0;
    let found = until_some("the third look", || {
        looks += 1;
        std::future::ready((looks == 3).then_some(looks))
    });
    assert_eq!(found.await, 3);
    tokio::time::pause();
    let never = tokio::spawn(until("pigs fly", || std::future::ready(false))).await.unwrap_err();
    assert!(never.into_panic().downcast_ref::<String>().unwrap().contains("until pigs fly"));
}
