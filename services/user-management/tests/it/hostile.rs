//! Bad input at the real service: a problem document with a stable code or a closed connection; never a 500, never a
//! word of what is inside, never a connection to the database lost.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use shop_api::{Code, Problem, Role};
use shop_test::{Answer, ServiceProgram};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Person, World};

/// What the service sends to these bytes until it closes; everything there is after the patience otherwise. One that
/// neither answers nor closes fails the test.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may close before it has read all of a bomb.
    let _cut_off = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.is_ok();
    assert!(
        closed || !answer.is_empty(),
        "it hangs: {:?}",
        String::from_utf8_lossy(&bytes[..bytes.len().min(80)])
    );
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer; 0 for a closed connection.
fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Two of them: an attack that loses one each time it comes soon leaves none.
fn few_connections(program: ServiceProgram) -> ServiceProgram {
    program.env("DATABASE_CONNECTIONS", "2").env("DATABASE_ACQUIRE_TIMEOUT_MS", "5000")
}

/// The service is as it was: it answers, and every connection to the database is at hand.
async fn is_unharmed(world: &World, ada: &Person) {
    let body = json!({ "label": "x", "recipient": "A", "line1": "B", "city": "C", "country": "GB" });
    let writes = (0..16).map(|_| ada.client.post("/users/me/addresses").json(&body).send());
    for answer in futures::future::join_all(writes).await {
        answer.expect(201);
    }
    sqlx::query("DELETE FROM addresses").execute(world.db.pool()).await.unwrap();
    ada.client.get("/users/me").send().await.expect(200);
    let log = world.service.output();
    assert!(!log.contains("a request failed") && !log.contains("panicked"), "{log}");
}

fn refused(answer: &Answer, statuses: &[u16], what: &str) {
    assert!(statuses.contains(&answer.status.as_u16()), "{what}: {} {}", answer.status, answer.text());
    let problem: Problem = answer.json();
    assert_ne!(problem.code, Code::Unknown, "{what}");
    let said = answer.text();
    for word in ["panicked", "sqlx", "serde", "src/", ".rs:", "backtrace"] {
        assert!(!said.contains(word), "{what} tells of the inside: {said}");
    }
}

#[tokio::test]
async fn a_bad_body_is_refused_by_every_route_that_takes_one() {
    let world = World::with(few_connections).await;
    let ada = world.person(Role::Admin).await;
    let document: Value = world.anonymous().get("/openapi.json").send().await.expect(200).json();
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let nul = br#"{"email":"a\u0000b@shop.example","password":"a\u0000b"}"#.as_slice();
    // Where two things are wrong at once, a route that does not know the field says so first.
    let bodies: [(&str, &[u8], &[u16]); 11] = [
        ("nothing", b"", &[400]),
        ("half", b"{", &[400]),
        ("a number", b"1e999", &[400, 422]),
        ("deep", deep.as_bytes(), &[400]),
        ("invalid UTF-8", b"{\"email\":\"\xff\xfe\"}", &[400, 422]),
        ("NUL", nul, &[400, 422]),
        ("a lone surrogate", br#"{"email":"\ud800"}"#, &[400, 422]),
        ("an unknown field", br#"{"is_admin":true}"#, &[422]),
        (
            "a wrong type",
            br#"{"email":{"$ne":null},"password":[],"reason":7,"roles":"admin","name":1,"token":1}"#,
            &[422],
        ),
        ("a duplicate", br#"{"email":"a@b.co","email":"c@d.co","token":"a","token":"b"}"#, &[400, 422]),
        ("two documents", b"{}{}", &[400, 422]),
    ];
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["requestBody"]["content"].get("application/json").is_none() {
                continue;
            }
            for (what, body, statuses) in bodies {
                let at = path.replace("{id}", &uuid::Uuid::now_v7().to_string());
                let method = method.to_uppercase().parse().unwrap();
                let request = ada.client.request(method, &at).header("if-match", "*");
                let answer = request.body("application/json", body.to_vec()).send().await;
                refused(&answer, statuses, &format!("{what} at {path}"));
                tried += 1;
            }
        }
    }
    assert!(tried > 150, "{tried}");
    is_unharmed(&world, &ada).await;
}

#[tokio::test]
async fn a_body_of_another_kind_or_size_is_refused() {
    let world = World::with(few_connections).await;
    let ada = world.person(Role::Customer).await;
    let post = |kind: &str, body: Vec<u8>| ada.client.post("/users/me/addresses").body(kind, body).send();
    for kind in
        ["text/plain", "application/xml", "multipart/form-data", "application/json; charset=utf-16", "json"]
    {
        post(kind, b"{}".to_vec()).await.expect_problem(Code::UnsupportedMediaType);
    }
    let huge = format!("{{\"label\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    // Its end may be cut off unread, which the client sees as a broken connection.
    let answer =
        ada.client.post("/users/me/addresses").body("application/json", huge.into_bytes()).try_send().await;
    if let Ok(answer) = answer {
        answer.expect_problem(Code::BodyTooLarge);
    }
    let lie = format!(
        "POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        u64::MAX
    );
    let answer = raw(world.service.public(), lie.as_bytes()).await;
    assert!([0, 400, 413, 431].contains(&status(&answer)), "{answer}");
    is_unharmed(&world, &ada).await;
}

#[tokio::test]
async fn a_request_that_is_no_http_or_a_bomb_is_answered_or_cut() {
    let world = World::with(few_connections).await;
    let ada = world.person(Role::Customer).await;
    let headers = |count: usize, size: usize| {
        let lines: String = (0..count).map(|n| format!("x-{n}: {}\r\n", "v".repeat(size))).collect();
        format!("GET /users/me HTTP/1.1\r\nhost: x\r\n{lines}\r\n").into_bytes()
    };
    let requests: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("noise", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 rubbish \r\n\r\n".to_vec(), &[0, 400]),
        ("many headers", headers(5_000, 10), &[0, 400, 431]),
        ("a large header", headers(1, 1_000_000), &[0, 400, 431]),
        ("headers over the bound", headers(90, 400), &[0, 400, 431]),
        ("a long path", format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(60_000)).into_bytes(), &[0, 400, 414, 431]),
        ("two lengths", b"POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_vec(), &[0, 400]),
        ("length and chunks", b"POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /roles HTTP/1.1\r\n\r\n".to_vec(), &[0, 400, 415]),
        ("a bad chunk", b"POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(), &[0, 400]),
        ("no version", b"GET /users/me\r\n\r\n".to_vec(), &[0, 400]),
        ("another protocol", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &[0, 400, 404, 505]),
        ("NUL in the path", b"GET /users/%00 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(), &[0, 400, 401, 404]),
        ("a path out of the tree", b"GET /../../etc/passwd HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(), &[0, 400, 404]),
    ];
    for (what, bytes, statuses) in requests {
        let answer = raw(world.service.public(), &bytes).await;
        assert!(statuses.contains(&status(&answer)), "{what}: {answer}");
    }
    is_unharmed(&world, &ada).await;
}

/// More clients than connections to the database, each leaving at another moment.
#[tokio::test]
async fn clients_that_hang_up_take_nothing_with_them() {
    let world = World::with(few_connections).await;
    let ada = world.person(Role::Customer).await;
    let body = json!({ "recipient": "A", "line1": "B", "city": "C", "country": "GB" }).to_string();
    let head = |length: usize| {
        format!(
            "POST /users/me/addresses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n",
            ada.token
        )
    };
    let address = world.service.public();
    let half = format!("{}{}", head(body.len()), &body[..body.len() / 2]);
    let whole = format!("{}{body}", head(body.len()));
    let leave = async |n: usize| {
        let text = if n.is_multiple_of(2) { &half } else { &whole };
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        if n.is_multiple_of(3) {
            // The moment of leaving is the thing under test: each another one, from before the handler begins until
            // after its transaction, none of which a client can see.
            tokio::time::sleep(Duration::from_millis(n as u64 % 10)).await;
        }
    };
    for _ in 0..5 {
        futures::future::join_all((0..40).map(leave)).await;
        sqlx::query("DELETE FROM addresses").execute(world.db.pool()).await.unwrap();
    }
    // A write that was under way may still come to its end.
    shop_test::until("every transaction is over", || async {
        let open = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        world.count(open).await == 0
    })
    .await;
    sqlx::query("DELETE FROM addresses").execute(world.db.pool()).await.unwrap();
    is_unharmed(&world, &ada).await;
}

#[tokio::test]
async fn a_slow_client_is_sent_away_and_holds_nobody_up() {
    let world = World::with(|program| {
        few_connections(program).env("HEADER_TIMEOUT_MS", "500").env("BODY_TIMEOUT_MS", "500")
    })
    .await;
    let ada = world.person(Role::Customer).await;
    let slow_header = b"GET /users/me HTTP/1.1\r\nhost: x\r\nx-never".as_slice();
    let slow_body = format!(
        "POST /users/me/addresses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 500\r\n\r\n{{",
        ada.token
    );
    let began = std::time::Instant::now();
    let slow = (0..64).map(|n: usize| {
        let bytes = if n.is_multiple_of(2) { slow_header } else { slow_body.as_bytes() };
        raw(world.service.public(), bytes)
    });
    let (answers, ()) = tokio::join!(futures::future::join_all(slow), is_unharmed(&world, &ada));
    for answer in &answers {
        assert!([0, 408].contains(&status(answer)), "{answer}");
    }
    assert!(answers.iter().any(|answer| answer.contains("\"code\":\"request_timeout\"")), "{answers:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "they were not sent away");
}
