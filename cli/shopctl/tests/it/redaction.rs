//! The redaction layer, with a sentinel: a service that gives a password back must not get it printed.
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::world::{FIXTURE, World, ran};

/// Needs escaping in JSON and in URLs.
const SENTINEL: &str = "senti\"nel/ü 93-lamps";

/// A service that answers every sign-in with a problem that quotes the password. Answers its address.
fn gossip() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.expect("a connection"));
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a header");
                let line = line.trim_end().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.parse().expect("a number");
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            let said = format!("wrong password: {}", body["password"].as_str().expect("a password"));
            let answer = json!({
                "type": "about:blank", "title": said, "status": 422, "detail": said,
                "code": "validation_failed", "request_id": "0",
            });
            let answer = answer.to_string();
            let head = "HTTP/1.1 422 X\r\nconnection: close\r\ncontent-type: application/problem+json\r\n";
            let text = format!("{head}content-length: {}\r\n\r\n{answer}", answer.len());
            reader.into_inner().write_all(text.as_bytes()).expect("an answer");
        }
    });
    format!("http://{address}")
}

#[test]
fn what_a_service_gives_back_is_masked_in_text_and_in_json() {
    let (world, url) = (World::with(FIXTURE), gossip());
    std::fs::write(world.path("work/password"), SENTINEL).expect("written");
    for format in ["text", "json"] {
        let mut login = world.shopctl();
        login.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
        login.args(["auth", "login", "--email", "ada@shop.example", "--password-file", "password"]);
        let ran = ran(login.args(["--url", &url, "--output", format]));
        assert_ne!(ran.code, 0);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains("wrong password: [redacted]"), "the answer is not shown at all: {said}");
        assert!(!said.contains("93-lamps"), "{said}");
        if format == "json" {
            assert!(ran.json()["error"].to_string().contains("[redacted]"));
        }
    }
}
