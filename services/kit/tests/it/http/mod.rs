//! What the tests of the HTTP side share: a small service on a real socket, and a client that writes bytes.

mod access;
mod bodies;
mod crowd;
mod docs;
mod edge;
mod jwks;
mod limits;
mod parameters;
mod rest;
mod shutdown;
mod slow;
mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shop_api::{Permission, Validate, Violations};
use shop_kit::config::Limits;
use shop_kit::layers::Edge;
use shop_kit::{
    Access, ApiError, ApiRouter, Caller, ClientAddr, Gate, Json, Limiter, Path, Query, ServiceInfo, routes,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a test waits for what should be there at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const INFO: ServiceInfo =
    ServiceInfo { name: "test", version: "1.0.0", about: "A service for tests" };

/// Opens the gate for `/slow` as often as a permit is added.
pub(crate) type Valve = Arc<Semaphore>;

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Thing {
    name: String,
    #[serde(default)]
    count: u32,
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    kind: Kind,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Small,
    Large,
}

impl Validate for Thing {
    fn validate(&self, violations: &mut Violations) {
        violations.length("/name", &self.name, 2, 10);
        violations.range("/count", self.count, 0, 100);
    }
}

#[utoipa::path(get, path = "/hello", responses((status = 200, body = String)))]
async fn hello(ClientAddr(client): ClientAddr) -> Json<String> {
    Json(client.to_string())
}

#[utoipa::path(post, path = "/things", request_body = Thing, responses((status = 200, body = Thing)))]
async fn make(Json(thing): Json<Thing>) -> Json<Thing> {
    Json(thing)
}

#[utoipa::path(get, path = "/things", params(shop_api::PageQuery), responses((status = 200, body = u32)))]
async fn list(Query(page): Query<shop_api::PageQuery>) -> Json<u32> {
    Json(page.limit())
}

#[utoipa::path(get, path = "/things/{id}", params(("id" = uuid::Uuid, Path)), responses((status = 200, body = String)))]
async fn read(Path(id): Path<uuid::Uuid>) -> Json<String> {
    Json(id.to_string())
}

#[utoipa::path(get, path = "/me", responses((status = 200, body = String)))]
async fn me(caller: Caller) -> Json<String> {
    Json(caller.subject.to_string())
}

#[utoipa::path(get, path = "/audit", responses((status = 200, body = String)))]
async fn audit(caller: Caller) -> Json<String> {
    Json(format!("{:?}", caller.roles))
}

#[utoipa::path(get, path = "/slow", responses((status = 200, body = String)))]
async fn slow(State(valve): State<Valve>) -> Json<&'static str> {
    valve.acquire().await.unwrap().forget();
    Json("done")
}

/// A body that nobody knows the length of: a part for each permit.
#[utoipa::path(get, path = "/drip", responses((status = 200, body = String)))]
async fn drip(State(valve): State<Valve>) -> Body {
    Body::from_stream(futures::stream::unfold(valve, async |valve| {
        valve.acquire().await.unwrap().forget();
        Some((Ok::<_, std::convert::Infallible>("drop"), valve))
    }))
}

#[utoipa::path(get, path = "/bug", responses((status = 200, body = String)))]
async fn bug() -> Json<String> {
    panic!("a bug with a secret in it");
}

#[utoipa::path(get, path = "/broken", responses((status = 200, body = String)))]
async fn broken() -> Result<Json<String>, ApiError> {
    Err(ApiError::internal("a cause with a secret in it"))
}

#[utoipa::path(get, path = "/callerless", responses((status = 200, body = String)))]
async fn callerless(caller: Caller) -> Json<String> {
    Json(caller.subject.to_string())
}

pub(crate) fn api() -> ApiRouter<Valve> {
    ApiRouter::new()
        .route(Access::Public, routes!(hello))
        .route(Access::Public, routes!(make, list))
        .route(Access::Public, routes!(read))
        .route(Access::Signed, routes!(me))
        .route(Access::Need(Permission::AuditRead), routes!(audit))
        .route(Access::Own("a test opens it"), routes!(slow))
        .route(Access::Public, routes!(drip))
        .route(Access::Public, routes!(bug))
        .route(Access::Public, routes!(broken))
        .route(Access::Public, routes!(callerless))
}

/// The limits of a service started with these arguments.
pub(crate) fn limits(arguments: &[&str]) -> Limits {
    #[derive(Parser)]
    #[command(args_override_self = true)]
    struct Arguments {
        #[command(flatten)]
        limits: Limits,
    }
    Arguments::parse_from(["test", "--rate-limit=off", "--drain=200"].iter().chain(arguments)).limits
}

/// A service on a real socket.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) valve: Valve,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<usize>,
}

impl Running {
    pub(crate) async fn with(arguments: &[&str]) -> Self {
        Self::start(limits(arguments), Limiter::in_process(), tokens::gate()).await
    }

    pub(crate) async fn start(limits: Limits, limiter: Limiter, gate: Gate) -> Self {
        let valve = Arc::new(Semaphore::new(0));
        let (router, document) = api().finish(&INFO, Arc::clone(&valve), Some(&gate));
        let router = router.merge(shop_kit::docs::router(&document));
        let edge = Arc::new(Edge::new(router, Some(gate), limiter, limits, false));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let served = tokio::spawn(shop_kit::serve::serve(listener, edge, stop.clone()));
        Running { address, valve, stop, served }
    }

    pub(crate) async fn connect(&self) -> Wire {
        Wire { stream: TcpStream::connect(self.address).await.unwrap(), read: Vec::new() }
    }

    /// Sends one request on a connection of its own.
    pub(crate) async fn send(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut wire = self.connect().await;
        wire.write(request).await;
        wire.answer().await.expect("an answer")
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n")).await
    }

    pub(crate) async fn get_as(&self, target: &str, token: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\n\r\n"))
            .await
    }

    pub(crate) async fn post(&self, target: &str, content_type: &str, body: &[u8]) -> Answer {
        let mut wire = self.connect().await;
        let length = body.len();
        wire.write(format!(
            "POST {target} HTTP/1.1\r\nhost: test\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await;
        wire.write(body).await;
        wire.answer().await.expect("an answer")
    }
}

/// One connection, written and read as bytes.
pub(crate) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Wire {
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // A server that has hung up is seen when reading.
        let _sent = self.stream.write_all(bytes.as_ref()).await;
    }

    /// The next answer, or `None` when the connection was closed without one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        tokio::time::timeout(PATIENCE, self.read_answer())
            .await
            .expect("an answer or a closed connection in time")
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.read.drain(..head_end).collect()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = header_in(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            self.more().await?;
        }
        Some(Answer { status, head, body: self.read.drain(..length).collect() })
    }

    async fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer).await {
            Ok(0) | Err(_) => None,
            Ok(read) => {
                self.read.extend_from_slice(&buffer[..read]);
                Some(())
            }
        }
    }

    /// Waits until the other side closes; fails when it answers instead.
    pub(crate) async fn closed(&mut self) {
        let answer = self.answer().await;
        assert!(answer.is_none(), "{answer:?}");
    }
}

fn header_in<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header_in(&self.head, name)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Checks that it is a problem document of this kind, and gives it.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("https://shop.example/problems/{code}"));
        let id = problem["request_id"].as_str().unwrap();
        assert_eq!(Some(id), self.header("x-request-id"));
        assert!(id.len() == 32 && id != "0".repeat(32), "{id}");
        problem
    }

    /// (pointer, code) of each field that is not acceptable.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let errors = self.json()["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| (text(&error["pointer"]), text(&error["code"]))).collect()
    }
}

impl Wire {
    /// Sends one more header line; true when the other side has hung up.
    pub(crate) async fn trickle(&mut self) -> bool {
        let mut buffer = [0; 1];
        let closed = match self.stream.try_read(&mut buffer) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        closed || self.stream.write_all(b"x: y\r\n").await.is_err()
    }
}
