//! Peers that are slow on purpose hold a connection for a bounded time, and honest idle ones are left alone.
use std::time::{Duration, Instant};

use super::Running;

const QUICK: [&str; 3] = ["--header-timeout=300", "--body-timeout=300", "--idle-timeout=60000"];

#[tokio::test]
async fn headers_that_trickle_end_the_connection() {
    let running = Running::with(&QUICK).await;
    let mut wire = running.connect().await;
    let started = Instant::now();
    wire.write("GET /hello HTTP/1.1\r\nhost: test\r\n").await;
    let trickle = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        while !running.stop.is_cancelled() {
            beat.tick().await;
            if wire.trickle().await {
                return;
            }
        }
    };
    tokio::time::timeout(super::PATIENCE, trickle).await.expect("the connection is closed");
    assert!(started.elapsed() >= Duration::from_millis(250), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_connection_that_says_nothing_ends() {
    let running = Running::with(&QUICK).await;
    running.connect().await.closed().await;
}

#[tokio::test]
async fn headers_that_trickle_after_a_request_end_the_connection_too() {
    let running = Running::with(&QUICK).await;
    let mut wire = running.connect().await;
    wire.write("GET /hello HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(wire.answer().await.unwrap().status, 200);
    wire.write("GET /hel").await;
    wire.closed().await;
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout() {
    let running = Running::with(&QUICK).await;
    let (mut idle, mut silent) = (running.connect().await, running.connect().await);
    idle.write("GET /hello HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    // Its end proves that the header timeout has passed for the idle one twice over.
    silent.closed().await;
    running.connect().await.closed().await;
    idle.write("GET /hello HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(idle.answer().await.expect("it is still open").status, 200);
}

#[tokio::test]
async fn an_idle_connection_ends_at_last() {
    let running = Running::with(&["--idle-timeout=200"]).await;
    let mut wire = running.connect().await;
    wire.write("GET /hello HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(wire.answer().await.unwrap().status, 200);
    wire.closed().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_answered_408() {
    let running = Running::with(&QUICK).await;
    let mut wire = running.connect().await;
    wire.write("POST /things HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{").await;
    let answer = wire.answer().await.unwrap();
    answer.problem(408, "request_timeout");
    wire.closed().await;
}

/// One client that sends all of its bodies by halves has a quarter of the places for requests.
#[tokio::test]
async fn half_sent_bodies_of_one_client_leave_places_to_others() {
    let running = Running::with(&["--max-in-flight=16", "--body-timeout=1000"]).await;
    let half = async || {
        let mut wire = running.connect().await;
        let head = "POST /things HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n";
        wire.write(format!("{head}content-length: 26\r\n\r\n{{\"name\":")).await;
        wire.answer().await.unwrap()
    };
    let whole = async || running.post("/things", "application/json", br#"{"name":"lamp","count":1}"#).await;
    let (answers, quick) =
        futures::future::join(futures::future::join_all((0..12).map(|_| half())), whole()).await;
    assert!(quick.status < 300, "a body that comes whole is not waited for: {}", quick.status);
    let (waited, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 408);
    assert_eq!((waited.len(), refused.len()), (4, 8));
    for answer in refused {
        answer.problem(429, "too_many_requests");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert!(whole().await.status < 300);
}

#[tokio::test]
async fn many_slow_clients_do_not_keep_a_quick_one_out() {
    let running = Running::with(&["--header-timeout=2000"]).await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut wire = running.connect().await;
        wire.write("GET /hello HTTP/1.1\r\nhost: te").await;
        slow.push(wire);
    }
    assert_eq!(running.get("/hello").await.status, 200);
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_a_place() {
    let running = Running::with(&["--max-connections=2", "--idle-timeout=300", "--header-timeout=300"]).await;
    let (_one, _two) = (running.connect().await, running.connect().await);
    assert_eq!(running.get("/hello").await.status, 200);
}
