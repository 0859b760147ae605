//! Rate limits: the same tests in this process and through a real Redis, and what happens when Redis is away.
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use shop_api::{Role, SessionId};
use shop_kit::limit::{Decision, RedisConfig};
use shop_kit::{Limiter, Quota};
use uuid::Uuid;

use super::{Running, limits, tokens};

/// As deployed.
const SOON: Duration = Duration::from_millis(100);

/// Through a Redis that answers.
async fn through_redis(prefix: &str) -> Limiter {
    let url = shop_testbed::redis().await.unwrap();
    // A machine that is busy with other tests must not look like a Redis that is ill.
    let limiter = connect(url.as_str(), prefix, super::PATIENCE);
    let reached = async {
        let mut beat = tokio::time::interval(Duration::from_millis(10));
        // The key shows in Redis as soon as the limiter has asked it.
        let client = redis::Client::open(url.as_str()).unwrap();
        let mut seen = client.get_multiplexed_async_connection().await.unwrap();
        let mut keys = 0;
        while keys == 0 {
            beat.tick().await;
            limiter.check("reached", Quota::new("probe", 1000, 60)).await;
            let key = format!("limit:{prefix}:probe:reached");
            keys = redis::cmd("EXISTS").arg(key).query_async(&mut seen).await.unwrap();
        }
    };
    tokio::time::timeout(super::PATIENCE, reached).await.expect("the limiter reaches Redis");
    limiter
}

fn connect(url: &str, prefix: &str, redis_timeout: Duration) -> Limiter {
    let mut url = url::Url::parse(url).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(url.password().unwrap_or_default().as_bytes()).unwrap();
    let redis_password_file = url.password().map(|_| file.into_temp_path().keep().unwrap());
    url.set_password(None).unwrap();
    let config = RedisConfig {
        redis_url: Some(url.to_string()),
        redis_password_file,
        redis_ca_file: None,
        redis_timeout,
    };
    Limiter::redis(&config, prefix, false).unwrap()
}

fn fresh() -> String {
    Uuid::now_v7().to_string()
}

async fn take(limiter: &Limiter, key: &str, quota: Quota, times: usize) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for _ in 0..times {
        decisions.push(limiter.check(key, quota).await);
    }
    decisions
}

/// What both must do.
async fn behaves(limiter: Limiter) {
    let (key, quota) = (fresh(), Quota::new("burst", 5, 3600));
    let decisions = take(&limiter, &key, quota, 7).await;
    assert_eq!(decisions.iter().filter(|decision| decision.allowed).count(), 5);
    assert!(decisions[..5].iter().all(|decision| decision.allowed && decision.retry_after.is_zero()));
    assert_eq!(
        decisions.iter().map(|decision| decision.remaining).collect::<Vec<_>>(),
        [4, 3, 2, 1, 0, 0, 0]
    );
    let wait = decisions[6].retry_after;
    assert!(wait > Duration::from_secs(700) && wait <= Duration::from_secs(720), "{wait:?}");
    assert!(decisions[4].reset > Duration::from_secs(3500), "{:?}", decisions[4].reset);

    let other_key = limiter.check(&fresh(), quota).await;
    let other_quota = limiter.check(&key, Quota::new("other", 5, 3600)).await;
    assert!(other_key.allowed && other_quota.allowed);

    let (key, quota) = (fresh(), Quota::new("refill", 2, 1));
    assert!(take(&limiter, &key, quota, 2).await.iter().all(|decision| decision.allowed));
    let refused = limiter.check(&key, quota).await;
    assert!(!refused.allowed);
    tokio::time::sleep(refused.retry_after).await;
    assert!(limiter.check(&key, quota).await.allowed, "it said when to come back");

    let (key, quota) = (Arc::new(fresh()), Quota::new("race", 10, 3600));
    let racers = (0..50).map(|_| {
        let (limiter, key) = (limiter.clone(), Arc::clone(&key));
        tokio::spawn(async move { limiter.check(&key, quota).await.allowed })
    });
    let mut winners = 0;
    for racer in racers.collect::<Vec<_>>() {
        winners += usize::from(racer.await.unwrap());
    }
    assert_eq!(winners, 10);
}

#[tokio::test]
async fn limits_of_one_process() {
    behaves(Limiter::in_process()).await;
}

#[tokio::test]
async fn limits_through_redis() {
    behaves(through_redis(&fresh()).await).await;
}

#[tokio::test]
async fn two_replicas_share_through_redis() {
    let prefix = fresh();
    let (one, other) = (through_redis(&prefix).await, through_redis(&prefix).await);
    let (key, quota) = (fresh(), Quota::new("shared", 4, 3600));
    let mut allowed = 0;
    for _ in 0..4 {
        allowed += usize::from(one.check(&key, quota).await.allowed);
        allowed += usize::from(other.check(&key, quota).await.allowed);
    }
    assert_eq!(allowed, 4);
}

#[tokio::test]
async fn without_redis_the_process_limits_alone_and_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("redis://{}", listener.local_addr().unwrap());
    drop(listener);
    let limiter = connect(&nobody, "test", SOON);
    let (key, quota) = (fresh(), Quota::new("alone", 3, 3600));
    let started = std::time::Instant::now();
    let allowed = take(&limiter, &key, quota, 5).await.iter().filter(|decision| decision.allowed).count();
    assert_eq!(allowed, 3);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_redis_that_hangs_holds_nobody_up_for_long() {
    // It takes connections and never says a word.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limiter = connect(&format!("redis://{}", listener.local_addr().unwrap()), "test", SOON);
    let started = std::time::Instant::now();
    let decisions = take(&limiter, &fresh(), Quota::new("hang", 3, 3600), 5).await;
    assert_eq!(decisions.iter().filter(|decision| decision.allowed).count(), 3);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn a_redis_that_is_not_safe_enough_is_refused() {
    let check = |url: &str, protected| {
        let config = RedisConfig { redis_url: Some(url.to_owned()), ..RedisConfig::default() };
        Limiter::redis(&config, "test", protected).map(|_| ()).unwrap_err().to_string()
    };
    assert!(check("redis://user:hunter2@localhost", false).contains("REDIS_PASSWORD_FILE"));
    assert!(!check("redis://user:hunter2@localhost", false).contains("hunter2"));
    assert!(check("redis://localhost", true).contains("rediss://"));
    assert!(check("http://localhost", false).contains("REDIS_URL"));
}

#[tokio::test]
async fn a_client_past_its_quota_is_told_when_to_come_back() {
    let running = Running::start(limits(&["--rate-limit=3/60"]), Limiter::in_process(), tokens::gate()).await;
    for left in [2, 1, 0] {
        let answer = running.get("/hello").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"client\";q=3;w=60"));
        assert!(answer.header("ratelimit").unwrap().starts_with(&format!("\"client\";r={left};t=")));
    }
    let answer = running.get("/hello").await;
    answer.problem(429, "too_many_requests");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((15..=20).contains(&wait), "{wait}");
    assert_eq!(answer.header("ratelimit-policy"), Some("\"client\";q=3;w=60"));
    running.get("/nowhere").await.problem(429, "too_many_requests");
}

#[tokio::test]
async fn clients_behind_a_proxy_have_their_own_quota() {
    let running = Running::with(&["--rate-limit=1/60", "--trusted-proxies=127.0.0.1"]).await;
    let from = async |address: &str| {
        running
            .send(format!("GET /hello HTTP/1.1\r\nhost: test\r\nx-forwarded-for: {address}\r\n\r\n"))
            .await
            .status
    };
    assert_eq!([from("203.0.113.1").await, from("203.0.113.1").await], [200, 429]);
    assert_eq!(from("203.0.113.2").await, 200);
    // One /64 is one client.
    assert_eq!(
        [from("2001:db8::1").await, from("2001:db8::2").await, from("2001:db8:0:1::1").await],
        [200, 429, 200]
    );
}

#[tokio::test]
async fn a_service_is_limited_by_its_client_id() {
    let running = Running::with(&["--rate-limit=3/60"]).await;
    let service = |id| {
        let mut claims = tokens::claims(&[Role::Service]);
        (claims.sub, claims.sid) = (id, None::<SessionId>);
        tokens::signer().sign(&serde_json::to_value(claims).unwrap())
    };
    let (one, other) = (service(Uuid::now_v7()), service(Uuid::now_v7()));
    // The first call of each is counted for the address: nobody has verified its token yet.
    assert_eq!(
        [running.get_as("/me", &one).await.status, running.get_as("/me", &other).await.status],
        [200, 200]
    );
    for _ in 0..3 {
        assert_eq!(running.get_as("/me", &one).await.status, 200);
    }
    running.get_as("/me", &one).await.problem(429, "too_many_requests");
    assert_eq!(running.get_as("/me", &other).await.status, 200);
}

#[tokio::test]
async fn an_account_is_limited_wherever_its_token_is_used() {
    let running = Running::with(&["--rate-limit=3/60", "--trusted-proxies=127.0.0.1"]).await;
    let token = |subject| {
        let mut claims = tokens::claims(&[Role::Customer]);
        claims.sub = subject;
        tokens::signer().sign(&serde_json::to_value(claims).unwrap())
    };
    let from = async |address: usize, token: &str| {
        let head = format!("GET /me HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}");
        running.send(format!("{head}\r\nx-forwarded-for: 203.0.113.{address}\r\n\r\n")).await
    };
    let (ada, bob) = (token(Uuid::now_v7()), token(Uuid::now_v7()));
    // The first call is counted for its address alone: nobody has verified the token yet.
    for address in 0..4 {
        assert_eq!(from(address, &ada).await.status, 200);
    }
    from(4, &ada).await.problem(429, "too_many_requests");
    assert_eq!(from(5, &bob).await.status, 200);
}
