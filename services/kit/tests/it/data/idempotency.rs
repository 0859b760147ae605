//! One effect for one key, whatever is sent how often and at the same time.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use http::{HeaderMap, Request, StatusCode};
use serde::{Deserialize, Serialize};
use shop_api::{Code, Problem};
use shop_kit::db::DbConfig;
use shop_kit::idempotency::{Attempt, IdempotencyKey};
use shop_kit::retention::purge;
use shop_kit::{ApiError, Json, Validate, Violations};
use sqlx::PgPool;
use tower::ServiceExt;

use super::{Fresh, database};

#[derive(Serialize, Deserialize)]
struct Order {
    amount: i64,
    /// Seconds that the effect takes.
    #[serde(default)]
    slow: f64,
    #[serde(default)]
    fails: bool,
}

impl Validate for Order {
    fn validate(&self, _: &mut Violations) {}
}

/// An effect that must happen once.
async fn place(
    State(pool): State<PgPool>,
    headers: HeaderMap,
    key: IdempotencyKey,
    Json(order): Json<Order>,
) -> Result<Response, ApiError> {
    // A route without token: what only this guest knows says whose the key is.
    let guest = headers.get("x-guest").and_then(|guest| guest.to_str().ok());
    let key = guest.map_or(key.clone(), |guest| key.of(guest));
    let mut first = match key.begin(&pool, &order).await? {
        Attempt::Replay(answer) => return Ok(answer),
        Attempt::First(first) => first,
    };
    let insert = "INSERT INTO orders (amount) VALUES ($1) RETURNING id";
    let id: i64 = sqlx::query_scalar(insert).bind(order.amount).fetch_one(first.tx()).await?;
    sqlx::query("SELECT pg_sleep($1)").bind(order.slow).execute(first.tx()).await?;
    if order.fails {
        return Err(ApiError::code(Code::Conflict));
    }
    let headers = [("location", format!("/orders/{id}")), ("x-other", "not kept".into())];
    first.answer((StatusCode::CREATED, headers, Json(id))).await
}

struct Shop {
    pool: PgPool,
    router: Router,
    _fresh: Fresh,
}

impl Shop {
    async fn open() -> Self {
        let fresh = Fresh::migrated().await;
        Self::with(fresh.config(), fresh).await
    }

    async fn with(config: DbConfig, fresh: Fresh) -> Self {
        let pool = database(&config).await.pool;
        let table =
            "CREATE TABLE IF NOT EXISTS orders (id bigint GENERATED ALWAYS AS IDENTITY, amount bigint)";
        sqlx::query(table).execute(&pool).await.unwrap();
        let router = Router::new().route("/orders", post(place)).route("/refunds", post(place));
        Self { router: router.with_state(pool.clone()), pool, _fresh: fresh }
    }

    async fn send(&self, path: &str, key: Option<&str>, body: &str) -> Answer {
        self.send_as(Some("ada"), path, key, body).await
    }

    async fn send_as(&self, guest: Option<&str>, path: &str, key: Option<&str>, body: &str) -> Answer {
        let mut request = Request::post(path).header("content-type", "application/json");
        if let Some(guest) = guest {
            request = request.header("x-guest", guest);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, location) = (response.status(), header("location"));
        let (replayed, kind, retry) =
            (header("idempotent-replayed"), header("content-type"), header("retry-after"));
        let body = String::from_utf8(to_bytes(response.into_body(), 9999).await.unwrap().into()).unwrap();
        Answer { status, location, replayed: replayed.is_some(), kind, retry, body }
    }

    async fn effects(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&self.pool).await.unwrap()
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    location: Option<String>,
    replayed: bool,
    kind: Option<String>,
    retry: Option<String>,
    body: String,
}

impl Answer {
    fn code(&self) -> Code {
        serde_json::from_str::<Problem>(&self.body).unwrap().code
    }
}

#[tokio::test]
async fn the_same_again_gets_the_first_answer() {
    let shop = Shop::open().await;
    let first = shop.send("/orders", Some("k1"), r#"{"amount": 5}"#).await;
    assert_eq!((first.status, first.replayed, first.body.as_str()), (StatusCode::CREATED, false, "1"));
    // The same values in other clothes are the same request.
    let again = shop.send("/orders", Some("k1"), r#"{"fails":false,"amount":5}"#).await;
    assert_eq!((again.status, again.replayed, again.body.as_str()), (StatusCode::CREATED, true, "1"));
    assert_eq!((&again.location, &again.kind), (&first.location, &first.kind));
    assert_eq!(again.location.as_deref(), Some("/orders/1"));
    assert_eq!(shop.effects().await, 1);
}

#[tokio::test]
async fn another_body_under_the_key_is_refused() {
    let shop = Shop::open().await;
    shop.send("/orders", Some("k1"), r#"{"amount": 5}"#).await;
    let other = shop.send("/orders", Some("k1"), r#"{"amount": 6}"#).await;
    assert_eq!((other.status, other.code()), (StatusCode::UNPROCESSABLE_ENTITY, Code::IdempotencyKeyReused));
    assert_eq!(shop.effects().await, 1);
}

#[tokio::test]
async fn a_key_belongs_to_its_route() {
    let shop = Shop::open().await;
    shop.send("/orders", Some("k1"), r#"{"amount": 5}"#).await;
    let elsewhere = shop.send("/refunds", Some("k1"), r#"{"amount": 6}"#).await;
    assert_eq!((elsewhere.status, elsewhere.replayed), (StatusCode::CREATED, false));
}

#[tokio::test]
async fn a_key_is_demanded_and_bounded() {
    let shop = Shop::open().await;
    let none = shop.send("/orders", None, r#"{"amount": 5}"#).await;
    assert_eq!((none.status, none.code()), (StatusCode::BAD_REQUEST, Code::IdempotencyKeyMissing));
    for bad in ["", &"x".repeat(256), "\u{e9}"] {
        let answer = shop.send("/orders", Some(bad), r#"{"amount": 5}"#).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::BAD_REQUEST, Code::MalformedRequest),
            "{bad}"
        );
    }
    assert_eq!(shop.effects().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_at_once_wait_for_the_first() {
    let shop = Shop::open().await;
    let one = || shop.send("/orders", Some("k1"), r#"{"amount": 5, "slow": 0.3}"#);
    let answers = tokio::join!(one(), one(), one(), one());
    let answers = [answers.0, answers.1, answers.2, answers.3];
    assert!(
        answers.iter().all(|answer| answer.status == StatusCode::CREATED && answer.body == "1"),
        "{answers:?}"
    );
    assert_eq!(answers.iter().filter(|answer| answer.replayed).count(), 3);
    assert_eq!(shop.effects().await, 1);
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_told_to_come_back() {
    let fresh = Fresh::migrated().await;
    // A lock is waited for three fifths of this.
    let config = DbConfig { database_statement_timeout_ms: 1000, ..fresh.config() };
    let shop = Shop::with(config, fresh).await;
    let mut holder = shop.pool.begin().await.unwrap();
    shop.send("/orders", Some("k1"), r#"{"amount": 5}"#).await;
    sqlx::query("SELECT 1 FROM kit.idempotency FOR UPDATE").execute(&mut *holder).await.unwrap();
    let expire = "UPDATE kit.idempotency SET created_at = now() - interval '25 hours'";
    sqlx::query(expire).execute(&mut *holder).await.unwrap();
    let late = shop.send("/orders", Some("k1"), r#"{"amount": 5}"#).await;
    assert_eq!((late.status, late.code()), (StatusCode::CONFLICT, Code::IdempotencyInProgress));
    assert_eq!(late.retry.as_deref(), Some("1"));
    holder.rollback().await.unwrap();
    let answer = shop.send("/orders", Some("k1"), r#"{"amount": 5}"#).await;
    assert!(answer.replayed, "{answer:?}");
}

#[tokio::test]
async fn what_failed_may_be_tried_again() {
    let shop = Shop::open().await;
    let failed = shop.send("/orders", Some("k1"), r#"{"amount": 5, "fails": true}"#).await;
    assert_eq!((failed.status, failed.code()), (StatusCode::CONFLICT, Code::Conflict));
    assert_eq!(shop.effects().await, 0);
    let tried = shop.send("/orders", Some("k1"), r#"{"amount": 5}"#).await;
    assert_eq!((tried.status, tried.replayed), (StatusCode::CREATED, false));
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_the_key_free() {
    let shop = Shop::open().await;
    let slow = shop.send("/orders", Some("k1"), r#"{"amount": 5, "slow": 2}"#);
    assert!(tokio::time::timeout(Duration::from_millis(200), slow).await.is_err());
    let again = shop.send("/orders", Some("k1"), r#"{"amount": 6}"#).await;
    assert_eq!((again.status, again.replayed), (StatusCode::CREATED, false), "{again:?}");
    assert_eq!(shop.effects().await, 1);
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let shop = Shop::open().await;
    for key in ["k1", "k2"] {
        shop.send("/orders", Some(key), r#"{"amount": 5}"#).await;
    }
    assert_eq!(purge(&shop.pool).await, 0);
    let age = "UPDATE kit.idempotency SET created_at = now() - interval '25 hours'";
    sqlx::query(age).execute(&shop.pool).await.unwrap();
    let reused = shop.send("/orders", Some("k1"), r#"{"amount": 6}"#).await;
    assert_eq!((reused.status, reused.replayed), (StatusCode::CREATED, false));
    assert_eq!(purge(&shop.pool).await, 1);
    assert!(shop.send("/orders", Some("k1"), r#"{"amount": 6}"#).await.replayed);
}

#[tokio::test]
async fn a_key_belongs_to_one_guest_and_never_to_nobody() {
    let shop = Shop::open().await;
    let body = r#"{"amount":3}"#;
    let mut ids = Vec::new();
    for guest in ["ada", "bob"] {
        let answer = shop.send_as(Some(guest), "/orders", Some("k"), body).await;
        assert_eq!((answer.status, answer.replayed), (StatusCode::CREATED, false), "{guest}");
        ids.push(answer.body);
    }
    assert_ne!(ids[0], ids[1]);
    let nobody = shop.send_as(None, "/orders", Some("k"), body).await;
    assert_eq!((nobody.status, nobody.code()), (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal));
    assert_eq!(shop.effects().await, 2);
}
