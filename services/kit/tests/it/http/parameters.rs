//! Paths and queries: bad ones are problems, and unknown paths and methods are too.
use shop_api::Role;

use super::tokens::{gate, token};
use super::{INFO, Running, api};

#[tokio::test]
async fn a_page_size_must_be_sensible() {
    let running = Running::with(&[]).await;
    assert_eq!(running.get("/things").await.json(), 20);
    assert_eq!(running.get("/things?limit=100").await.json(), 100);
    for (query, code) in [
        ("limit=1000000000", "out_of_range"),
        ("limit=101", "out_of_range"),
        ("limit=0", "out_of_range"),
        ("limit=-1", "invalid"),
        ("limit=99999999999999999999", "invalid"),
        ("limit=ten", "invalid"),
        ("limit=", "invalid"),
        ("limit=1&limit=2", "duplicate_field"),
    ] {
        let answer = running.get(&format!("/things?{query}")).await;
        answer.problem(422, "validation_failed");
        assert_eq!(answer.fields(), [("?limit".to_owned(), code.to_owned())], "{query}");
    }
    let answer = running.get("/things?colour=red").await;
    answer.problem(422, "validation_failed");
    assert_eq!(answer.fields(), [("?colour".to_owned(), "unknown_field".to_owned())]);
}

#[tokio::test]
async fn every_bad_parameter_is_told_at_once() {
    let running = Running::with(&[]).await;
    let long = "x".repeat(1025);
    let answer = running.get(&format!("/things?colour=red&limit=ten&cursor={long}&size=1&colour=blue")).await;
    answer.problem(422, "validation_failed");
    let mut fields = answer.fields();
    fields.sort();
    let expected = [
        ("?colour", "unknown_field"),
        ("?cursor", "too_long"),
        ("?limit", "invalid"),
        ("?size", "unknown_field"),
    ];
    assert_eq!(fields, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
}

/// What nobody reads is refused like an unknown parameter of a route that takes some: but after the caller, and not where
/// others put parameters into a link, or a protocol wants them ignored.
#[tokio::test]
async fn a_route_without_parameters_refuses_them() {
    let running = Running::with(&[]).await;
    let admin = token(&[Role::Admin]);
    running.get("/me?colour=red").await.problem(401, "unauthenticated");
    running.get_as("/audit?colour=red", &token(&[Role::Customer])).await.problem(403, "forbidden");
    for (target, field) in [("/me?colour=red", "?colour"), ("/me?limit", "?limit"), ("/audit?a=1", "?a")] {
        let answer = running.get_as(target, &admin).await;
        answer.problem(422, "validation_failed");
        assert_eq!(answer.fields(), [(field.to_owned(), "unknown_field".to_owned())], "{target}");
    }
    running.get_as("/me?a=%ff", &admin).await.problem(400, "malformed_request");
    let (router, _) = api().finish(&INFO, running.valve.clone(), Some(&gate()));
    let head = http::Request::head("/me?colour=red").header("authorization", format!("Bearer {admin}"));
    let answer = tower::ServiceExt::oneshot(router, head.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(answer.unwrap().status(), 422);
    assert_eq!(running.get_as("/me?", &admin).await.status, 200);
    let made = br#"{"name":"lamp","count":1}"#;
    running.post("/things?limit=1", "application/json", made).await.problem(422, "validation_failed");

    assert_eq!(running.get("/hello?utm_source=mail").await.status, 200);
    assert_eq!(running.get("/openapi.json?v=1").await.status, 200);
}

#[tokio::test]
async fn text_must_be_utf8_without_nul() {
    let running = Running::with(&[]).await;
    for target in ["/things?cursor=%ff", "/things?cursor=a%00b", "/things/%ff", "/things/a%00b"] {
        running.get(target).await.problem(400, "malformed_request");
    }
}

#[tokio::test]
async fn an_id_must_be_one() {
    let running = Running::with(&[]).await;
    let id = "0198b2c4-7d1e-7000-8000-000000000000";
    assert_eq!(running.get(&format!("/things/{id}")).await.json(), id);
    for bad in ["1", "not-an-id", "0198b2c4-7d1e-7000-8000-00000000000g", &"a".repeat(5000)] {
        let answer = running.get(&format!("/things/{bad}")).await;
        answer.problem(422, "validation_failed");
        assert_eq!(answer.fields(), [("{id}".to_owned(), "invalid".to_owned())]);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let running = Running::with(&[]).await;
    running.get("/nowhere").await.problem(404, "route_not_found");
    running.get("/things/").await.problem(404, "route_not_found");
    let answer = running.send("DELETE /things HTTP/1.1\r\nhost: test\r\n\r\n").await;
    answer.problem(405, "method_not_allowed");
    let mut allowed: Vec<_> = answer.header("allow").unwrap().split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["get", "head", "post"]);
    running.send("BREW /things HTTP/1.1\r\nhost: test\r\n\r\n").await.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn heads_have_bounds() {
    let running = Running::with(&[]).await;
    running.get(&format!("/hello?{}", "x".repeat(9000))).await.problem(414, "uri_too_long");
    let many: String = (0..150).map(|n| format!("x-{n}: 1\r\n")).collect();
    running
        .send(format!("GET /hello HTTP/1.1\r\nhost: test\r\n{many}\r\n"))
        .await
        .problem(431, "headers_too_large");
    let large = "x".repeat(20_000);
    running
        .send(format!("GET /hello HTTP/1.1\r\nhost: test\r\nx: {large}\r\n\r\n"))
        .await
        .problem(431, "headers_too_large");
    // A bomb: it is not read to its end.
    let mut wire = running.connect().await;
    wire.write("GET /hello HTTP/1.1\r\nhost: test\r\n").await;
    wire.write(format!("x: {}", "x".repeat(1_000_000))).await;
    assert!(wire.answer().await.is_none_or(|answer| answer.status == 431));
    let mut wire = running.connect().await;
    let bomb: String = (0..10_000).map(|n| format!("x-{n}: 1\r\n")).collect();
    wire.write(format!("GET /hello HTTP/1.1\r\nhost: test\r\n{bomb}\r\n")).await;
    assert!(wire.answer().await.is_none_or(|answer| answer.status == 431));
}

#[tokio::test]
async fn what_is_not_http_is_hung_up_on() {
    let running = Running::with(&[]).await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nhost: test\r\ncontent-length: -1\r\n\r\n",
        b"POST /things HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"POST /things HTTP/1.1\r\nhost: test\r\ntransfer-encoding: gzip\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut wire = running.connect().await;
        wire.write(bytes).await;
        let answer = wire.answer().await;
        assert!(answer.as_ref().is_none_or(|answer| (400..500).contains(&answer.status)), "{answer:?}");
    }
    assert_eq!(running.get("/hello").await.status, 200);
}
