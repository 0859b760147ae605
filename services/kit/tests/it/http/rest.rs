//! An answer that was decided before the request's body was read: either the connection goes on with the next request,
//! or the answer says that it does not.
use super::{PATIENCE, Running, Wire};

const NEXT: &str = "GET /hello HTTP/1.1\r\nhost: test\r\n\r\n";

/// Sends a head, waits until it has been read, then sends the body and the next request.
async fn head_then_body(running: &Running, head: &str, body: &[u8]) -> Wire {
    let mut wire = running.connect().await;
    wire.write(format!("{head}\r\nhost: test\r\n\r\n")).await;
    // It was read once another one is answered after it.
    running.get("/hello").await;
    wire.write(body).await;
    wire.write(NEXT).await;
    wire
}

#[tokio::test]
async fn the_request_after_an_early_answer_is_answered() {
    let running = Running::with(&["--max-body-bytes=100000"]).await;
    let json = "content-type: application/json\r\ncontent-length: 16";
    let most = vec![b'x'; 64 * 1024];
    let cases: [(String, &[u8], u16); 7] = [
        (format!("POST /nowhere HTTP/1.1\r\n{json}"), br#"{"name":"chair"}"#, 404),
        (format!("PUT /hello HTTP/1.1\r\n{json}"), br#"{"name":"chair"}"#, 405),
        (format!("GET /me HTTP/1.1\r\n{json}"), br#"{"name":"chair"}"#, 401),
        (format!("GET /hello HTTP/1.1\r\n{json}"), br#"{"name":"chair"}"#, 200),
        ("POST /things HTTP/1.1\r\ncontent-length: 3".to_owned(), b"a=b", 415),
        ("POST /nowhere HTTP/1.1\r\ntransfer-encoding: chunked".to_owned(), b"3\r\na=b\r\n0\r\n\r\n", 404),
        ("POST /nowhere HTTP/1.1\r\ncontent-length: 65536".to_owned(), &most, 404),
    ];
    for (head, body, status) in cases {
        let mut wire = head_then_body(&running, &head, body).await;
        let answer = wire.answer().await.expect(&head);
        assert_eq!((answer.status, answer.header("connection")), (status, None), "{head}");
        assert_eq!(wire.answer().await.expect("the next one is not lost").status, 200, "{head}");
    }
}

#[tokio::test]
async fn a_refusal_for_lack_of_places_or_quota_loses_no_next_request() {
    let running = Running::with(&["--max-in-flight=1"]).await;
    let mut busy = running.connect().await;
    busy.write("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await;
    running.get("/hello").await.problem(503, "overloaded");
    let head = "POST /things HTTP/1.1\r\ncontent-length: 3";
    let mut wire = head_then_body(&running, head, b"a=b").await;
    for _ in 0..2 {
        wire.answer().await.expect("it is answered").problem(503, "overloaded");
    }
    running.valve.add_permits(1);

    let running = Running::with(&["--rate-limit=1/60"]).await;
    running.get("/hello").await;
    let mut wire = head_then_body(&running, head, b"a=b").await;
    for _ in 0..2 {
        wire.answer().await.expect("it is answered").problem(429, "too_many_requests");
    }
}

/// What is too much to read off, or does not come, or comes only when it is asked for.
#[tokio::test]
async fn an_answer_without_the_end_of_the_body_closes_the_connection() {
    let running = Running::with(&["--max-body-bytes=200000", "--body-timeout=60000"]).await;
    for (head, body) in [
        ("POST /nowhere HTTP/1.1\r\ncontent-length: 65537", "x"),
        ("POST /nowhere HTTP/1.1\r\ncontent-length: 3", "x"),
        ("POST /nowhere HTTP/1.1\r\ntransfer-encoding: chunked", "1\r\nx\r\n"),
        ("POST /nowhere HTTP/1.1\r\ntransfer-encoding: chunked", "nonsense\r\n"),
        ("POST /nowhere HTTP/1.1\r\ncontent-length: 3\r\nexpect: 100-continue", ""),
        ("POST /things HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 900000", "x"),
    ] {
        let mut wire = running.connect().await;
        wire.write(format!("{head}\r\nhost: test\r\n\r\n{body}")).await;
        let answer = wire.answer().await.expect(head);
        assert!(matches!(answer.status, 400 | 404 | 413), "{head}: {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{head}");
        wire.closed().await;
    }
}

#[tokio::test]
async fn a_rest_that_nobody_declared_is_not_read_off_without_a_bound() {
    let running = Running::with(&["--max-body-bytes=100000000"]).await;
    let mut wire = running.connect().await;
    wire.write("POST /nowhere HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for _ in 0..70 {
        wire.write(format!("400\r\n{}\r\n", "x".repeat(1024))).await;
    }
    wire.write(format!("0\r\n\r\n{NEXT}")).await;
    let answer = tokio::time::timeout(PATIENCE, wire.answer()).await.unwrap().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
}
