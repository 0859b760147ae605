//! user-management as far as `auth` sees it: sign-in with a second factor, rotation that ends every session when a
//! used refresh token comes, sessions that can be ended. The real one is met in testing/e2e.
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

pub(crate) const EMAIL: &str = "ada@shop.example";
pub(crate) const PASSWORD: &str = "violet-otter-under-9-lamps";
pub(crate) const CODE: &str = "123456";
pub(crate) const RECOVERY: &str = "7K3M-ZQ9T-X4B2-W8HN";

/// A server on a free port, until the process ends.
#[derive(Clone)]
pub(crate) struct Issuer {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    /// Seconds that an access token lasts.
    pub(crate) lifetime: i64,
    pub(crate) wants_code: bool,
    pub(crate) refreshes: usize,
    tokens: usize,
    sessions: Vec<Session>,
}

/// A living session.
struct Session {
    access: Vec<String>,
    /// The one refresh token that works.
    refresh: String,
}

impl Issuer {
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let issuer = Self { address, state: Arc::default() };
        issuer.state().lifetime = 900;
        let serving = issuer.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let issuer = serving.clone();
                std::thread::spawn(move || issuer.serve(stream.expect("a connection")));
            }
        });
        issuer
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics inside")
    }

    /// Ends every session, as an administrator would.
    pub(crate) fn end_sessions(&self) {
        self.state().sessions.clear();
    }

    /// How many are alive.
    pub(crate) fn sessions(&self) -> usize {
        self.state().sessions.len()
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("a request line");
        let mut headers = HashMap::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).expect("a header");
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a number"));
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the body");
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let bearer = headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let route = line.rsplit_once(' ').expect("a request line").0;
        let (status, answer) = self.answer(route, &body, bearer);
        let answer = if answer.is_null() { String::new() } else { answer.to_string() };
        let head =
            format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.len());
        let mut stream = reader.into_inner();
        stream.write_all((head + &answer).as_bytes()).expect("an answer");
    }

    fn answer(&self, route: &str, body: &Value, bearer: Option<&str>) -> (u16, Value) {
        let mut state = self.state();
        let of_caller = |session: &Session| {
            bearer.is_some_and(|token| session.access.iter().any(|access| access == token))
        };
        let signed_in = state.sessions.iter().any(of_caller);
        match route {
            "POST /auth/login" => state.login(body),
            "POST /auth/refresh" => state.refresh(body),
            "GET /users/me" if signed_in => (200, account()),
            "GET /users/me" if bearer == Some("token-of-a-service") => problem(403, "forbidden"),
            "POST /auth/logout" if signed_in => {
                state.sessions.retain(|session| !of_caller(session));
                (204, Value::Null)
            }
            _ => problem(401, "invalid_token"),
        }
    }
}

impl State {
    fn login(&mut self, body: &Value) -> (u16, Value) {
        let has_code = body["totp_code"] == CODE || body["recovery_code"] == RECOVERY;
        if body["email"] != EMAIL || body["password"] != PASSWORD {
            return problem(401, "invalid_credentials");
        }
        match body.get("totp_code").or(body.get("recovery_code")) {
            None if self.wants_code => problem(401, "second_factor_required"),
            Some(_) if !has_code => problem(401, "invalid_credentials"),
            _ => {
                self.sessions.push(Session { access: Vec::new(), refresh: String::new() });
                self.issue(self.sessions.len() - 1)
            }
        }
    }

    fn refresh(&mut self, body: &Value) -> (u16, Value) {
        self.refreshes += 1;
        let session = self.sessions.iter().position(|session| body["refresh_token"] == session.refresh);
        match session {
            Some(session) => self.issue(session),
            None => {
                // A token that was used before: somebody has stolen it.
                self.sessions.clear();
                problem(401, "invalid_token")
            }
        }
    }

    fn issue(&mut self, session: usize) -> (u16, Value) {
        self.tokens += 1;
        let (access, refresh) = (format!("access-{}", self.tokens), format!("refresh-{}", self.tokens));
        self.sessions[session].access.push(access.clone());
        self.sessions[session].refresh.clone_from(&refresh);
        let tokens = json!({
            "token_type": "Bearer", "access_token": access, "expires_in": self.lifetime, "refresh_token": refresh,
            "refresh_expires_at": "2099-12-22T08:30:00Z", "session_id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a70"
        });
        (200, tokens)
    }
}

fn account() -> Value {
    json!({
        "id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a70", "email": EMAIL, "email_verified": true, "status": "active",
        "roles": ["customer", "admin"], "display_name": "Ada", "phone": null, "locale": "en", "two_factor": false,
        "created_at": "2026-11-22T09:00:00Z", "updated_at": "2026-11-22T10:00:00Z"
    })
}

fn problem(status: u16, code: &str) -> (u16, Value) {
    let body =
        json!({"type": "about:blank", "title": code, "status": status, "code": code, "request_id": "r"});
    (status, body)
}
