//! What surrounds every request: ids, headers, other origins, addresses behind proxies, overload, deadlines, bugs.
use std::time::Duration;

use super::Running;

#[tokio::test]
async fn a_request_has_one_id_and_takes_over_its_callers() {
    let running = Running::with(&[]).await;
    let (first, second) = (running.get("/hello").await, running.get("/hello").await);
    let id = |answer: &super::Answer| answer.header("x-request-id").unwrap().to_owned();
    assert_eq!(id(&first).len(), 32);
    assert_ne!(id(&first), id(&second));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced =
        format!("GET /nowhere HTTP/1.1\r\nhost: test\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\n\r\n");
    let answer = running.send(traced).await;
    assert_eq!(id(&answer), trace);
    assert_eq!(answer.problem(404, "route_not_found")["request_id"], trace);
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let running = Running::with(&[]).await;
    for target in ["/hello", "/nowhere", "/broken", "/me"] {
        let answer = running.get(target).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
        assert_eq!(
            answer.header("content-security-policy"),
            Some("default-src 'none'; frame-ancestors 'none'")
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("server"), None);
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let running = Running::with(&[]).await;
    for (version, hosts, status) in [
        ("1.1", "host: test\r\n", 200),
        ("1.1", "", 400),
        ("1.1", "host: test\r\nhost: other\r\n", 400),
        ("1.0", "", 200),
        ("1.0", "host: test\r\nhost: other\r\n", 400),
    ] {
        let answer = running.send(format!("GET /hello HTTP/{version}\r\n{hosts}\r\n")).await;
        assert_eq!(answer.status, status, "HTTP/{version} with {hosts:?}");
        if status == 400 {
            answer.problem(400, "malformed_request");
            // Before the caller is asked who they are.
            let answer = running.send(format!("GET /me HTTP/{version}\r\n{hosts}\r\n")).await;
            answer.problem(400, "malformed_request");
        }
    }
}

#[tokio::test]
async fn a_body_is_coded_in_chunks_or_not_at_all() {
    let running = Running::with(&[]).await;
    let body = "d\r\n{\"name\":\"ab\"}\r\n0\r\n\r\n";
    for (codings, status) in [
        ("transfer-encoding: chunked\r\n", 200),
        ("transfer-encoding: Chunked \r\n", 200),
        ("transfer-encoding: gzip, chunked\r\n", 400),
        ("transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n", 400),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", 400),
        ("transfer-encoding: identity, chunked\r\n", 400),
        ("transfer-encoding: , chunked\r\n", 400),
    ] {
        let head = "POST /things HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n";
        let answer = running.send(format!("{head}{codings}\r\n{body}")).await;
        assert_eq!(answer.status, status, "{codings:?}: {answer:?}");
        if status == 400 {
            let problem = answer.problem(400, "malformed_request");
            assert!(problem["detail"].as_str().unwrap().contains("Transfer-Encoding"), "{problem}");
        }
    }
}

#[tokio::test]
async fn a_bug_is_a_problem_that_tells_nothing() {
    let running = Running::with(&[]).await;
    for target in ["/bug", "/broken", "/callerless"] {
        let problem = running.get(target).await.problem(500, "internal");
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
    assert_eq!(running.get("/hello").await.status, 200);
}

#[tokio::test]
async fn only_listed_origins_may_call() {
    let running = Running::with(&["--cors-origins=https://shop.example,https://admin.shop.example"]).await;
    let from = async |origin: &str, request: &str| {
        running.send(format!("{request} HTTP/1.1\r\nhost: test\r\norigin: {origin}\r\n\r\n")).await
    };
    let listed = from("https://shop.example", "GET /hello").await;
    assert_eq!(listed.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(listed.header("vary"), Some("origin"));
    assert_eq!(listed.header("access-control-allow-credentials"), None);
    for origin in ["https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null"]
    {
        let other = from(origin, "GET /hello").await;
        assert_eq!(other.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(other.header("vary"), Some("origin"), "no shared cache answers the one with the other's");
    }
    let preflight = running
        .send("OPTIONS /things HTTP/1.1\r\nhost: test\r\norigin: https://shop.example\r\naccess-control-request-method: POST\r\n\r\n")
        .await;
    assert_eq!(preflight.status, 204);
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("post"));
    let stranger = running
        .send("OPTIONS /things HTTP/1.1\r\nhost: test\r\norigin: https://evil.example\r\naccess-control-request-method: POST\r\n\r\n")
        .await;
    assert_eq!((stranger.status, stranger.header("access-control-allow-origin")), (405, None));
}

#[tokio::test]
async fn the_clients_address_comes_from_listed_proxies_only() {
    let forwarded = async |running: &Running, lines: &str| {
        let answer = running.send(format!("GET /hello HTTP/1.1\r\nhost: test\r\n{lines}\r\n")).await;
        answer.json().as_str().unwrap().to_owned()
    };
    let direct = Running::with(&[]).await;
    assert_eq!(forwarded(&direct, "x-forwarded-for: 203.0.113.9\r\n").await, "127.0.0.1");

    let proxied = Running::with(&["--trusted-proxies=127.0.0.0/8,10.0.0.0/8"]).await;
    for (lines, client) in [
        ("", "127.0.0.1"),
        ("x-forwarded-for: 203.0.113.9\r\n", "203.0.113.9"),
        // The client wrote the first one itself.
        ("x-forwarded-for: 198.51.100.1, 203.0.113.9\r\n", "203.0.113.9"),
        ("x-forwarded-for: 198.51.100.1, 203.0.113.9, 10.1.2.3\r\n", "203.0.113.9"),
        ("x-forwarded-for: 198.51.100.1\r\nx-forwarded-for: 203.0.113.9, 10.1.2.3\r\n", "203.0.113.9"),
        ("x-forwarded-for: 203.0.113.9:4711\r\n", "203.0.113.9"),
        ("x-forwarded-for: [2001:db8::1]:4711\r\n", "2001:db8::1"),
        ("x-forwarded-for: [2001:db8::1]\r\n", "2001:db8::1"),
        ("x-forwarded-for: 198.51.100.1, rubbish, 10.1.2.3\r\n", "10.1.2.3"),
        ("x-forwarded-for: rubbish\r\n", "127.0.0.1"),
    ] {
        assert_eq!(forwarded(&proxied, lines).await, client, "{lines}");
    }
}

#[tokio::test]
async fn more_than_can_be_done_at_once_is_refused_at_once() {
    let running = Running::with(&["--max-in-flight=2"]).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut wire = running.connect().await;
        wire.write("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await;
        busy.push(wire);
    }
    // Whether both are at work shows in the first refusal.
    let refused = async {
        loop {
            let answer = running.get("/hello").await;
            if answer.status != 200 {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(super::PATIENCE, refused).await.unwrap();
    answer.problem(503, "overloaded");
    assert_eq!(answer.header("retry-after"), Some("1"));
    running.valve.add_permits(2);
    for mut wire in busy {
        assert_eq!(wire.answer().await.unwrap().status, 200);
    }
    assert_eq!(running.get("/hello").await.status, 200);
}

#[tokio::test]
async fn nothing_takes_for_ever() {
    let running = Running::with(&["--deadline=200"]).await;
    let answer = running.get("/slow").await;
    answer.problem(504, "deadline_exceeded");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_client_that_gives_up_is_counted_and_frees_its_place() {
    let running = Running::with(&["--max-in-flight=1"]).await;
    let mut wire = running.connect().await;
    wire.write("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await;
    drop(wire);
    let free = async {
        let mut beat = tokio::time::interval(Duration::from_millis(10));
        while running.get("/hello").await.status != 200 {
            beat.tick().await;
        }
    };
    tokio::time::timeout(super::PATIENCE, free).await.unwrap();
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_pipelined_ones_in_order() {
    let running = Running::with(&[]).await;
    let mut wire = running.connect().await;
    let one = "GET /hello HTTP/1.1\r\nhost: test\r\n\r\n";
    let other = "GET /nowhere HTTP/1.1\r\nhost: test\r\n\r\n";
    wire.write(format!("{one}{other}{one}")).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(wire.answer().await.unwrap().status);
    }
    assert_eq!(statuses, [200, 404, 200]);
    for _ in 0..10 {
        wire.write(one).await;
        assert_eq!(wire.answer().await.unwrap().status, 200);
    }
}

const DRIP: &str = "GET /drip HTTP/1.1\r\nhost: test\r\n\r\n";

#[tokio::test]
async fn a_body_that_is_made_while_it_is_sent_has_a_deadline_of_its_own() {
    let running = Running::with(&["--stream-deadline=300"]).await;
    let mut wire = running.connect().await;
    wire.write(DRIP).await;
    running.valve.add_permits(1);
    assert_eq!(wire.answer().await.unwrap().status, 200);
    wire.closed().await;
}

#[tokio::test]
async fn answers_that_one_client_does_not_read_leave_places_to_others() {
    let running = Running::with(&["--max-in-flight=16"]).await;
    let mut unread = Vec::new();
    for _ in 0..4 {
        let mut wire = running.connect().await;
        wire.write(DRIP).await;
        running.valve.add_permits(1);
        assert_eq!(wire.answer().await.unwrap().status, 200);
        unread.push(wire);
    }
    let mut one_more = running.connect().await;
    one_more.write(DRIP).await;
    running.valve.add_permits(5);
    let refused = one_more.answer().await.unwrap();
    refused.problem(429, "too_many_requests");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(running.get("/hello").await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_still_sent_keeps_its_place() {
    let running = Running::with(&["--max-in-flight=1"]).await;
    let mut wire = running.connect().await;
    wire.write(DRIP).await;
    running.valve.add_permits(1);
    assert_eq!(wire.answer().await.unwrap().status, 200);
    running.get("/hello").await.problem(503, "overloaded");
    drop(wire);
    let free = async {
        while running.get("/hello").await.status != 200 {
            // The connection notices at its next part.
            running.valve.add_permits(1);
        }
    };
    tokio::time::timeout(super::PATIENCE, free).await.expect("the place is free again");
}
