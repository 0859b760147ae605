//! PostgreSQL is killed and comes back while requests keep coming.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use shop_kit::db::{Database, DbConfig, DbError};
use shop_testbed::PrivatePostgres;

use super::{Fresh, PATIENCE, database, until, within};

/// What one kind of caller saw.
#[derive(Default)]
struct Seen {
    answers: AtomicU64,
    refusals: AtomicU64,
    slowest_ms: AtomicU64,
    wrong: AtomicU64,
}

impl Seen {
    fn record(&self, began: Instant, outcome: Outcome) {
        self.slowest_ms.fetch_max(began.elapsed().as_millis() as u64, Ordering::SeqCst);
        let counter = match outcome {
            Outcome::Answer => &self.answers,
            Outcome::Refusal => &self.refusals,
            Outcome::Wrong => &self.wrong,
        };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Answer,
    /// The client is told 503.
    Refusal,
    Wrong,
}

async fn hot(database: &Database) -> Outcome {
    match database.hot.query_opt("SELECT 1", &[]).await {
        Ok(_) => Outcome::Answer,
        Err(DbError::Unavailable(_)) => Outcome::Refusal,
        Err(_) => Outcome::Wrong,
    }
}

async fn pooled(database: &Database) -> Outcome {
    let tried = async {
        let mut tx = database.pool.begin().await?;
        sqlx::query("SELECT 1").execute(&mut *tx).await?;
        tx.commit().await
    };
    match tried.await {
        Ok(()) => Outcome::Answer,
        Err(error) => match shop_kit::ApiError::from(error).kind() {
            shop_api::Code::Unavailable => Outcome::Refusal,
            _ => Outcome::Wrong,
        },
    }
}

/// Callers that never stop asking.
fn load(database: &Database, stop: &Arc<AtomicBool>) -> [Arc<Seen>; 2] {
    let seen: [Arc<Seen>; 2] = Default::default();
    for _ in 0..8 {
        let (database, stop, seen) = (database.clone(), stop.clone(), seen.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let began = Instant::now();
                seen[0].record(began, hot(&database).await);
                let began = Instant::now();
                seen[1].record(began, pooled(&database).await);
                tokio::task::yield_now().await;
            }
        });
    }
    seen
}

fn count(seen: &Seen) -> (u64, u64) {
    (seen.answers.load(Ordering::SeqCst), seen.refusals.load(Ordering::SeqCst))
}

/// Callers give up as soon as they do where the service runs.
fn as_deployed(fresh: &Fresh) -> DbConfig {
    let acquire = DbConfig::default().database_acquire_timeout_ms;
    DbConfig { database_acquire_timeout_ms: acquire, ..fresh.config() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_back_under_load() {
    let mut postgres = PrivatePostgres::start().await.unwrap();
    let fresh = Fresh::on(postgres.server()).await;
    let database = database(&as_deployed(&fresh)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let seen = load(&database, &stop);
    until(PATIENCE, async || seen.iter().all(|seen| count(seen).0 > 100)).await;

    for round in 0..4 {
        let before = seen.each_ref().map(|seen| count(seen));
        if round % 2 == 0 {
            postgres.kill().await.unwrap();
        } else {
            postgres.stop().await.unwrap();
        }
        until(PATIENCE, async || seen.iter().zip(before).all(|(seen, b)| count(seen).1 > b.1)).await;
        postgres.restart().await.unwrap();
        let back = Instant::now();
        let answers = seen.each_ref().map(|seen| count(seen).0);
        until(PATIENCE, async || seen.iter().zip(answers).all(|(seen, a)| count(seen).0 > a + 20)).await;
        let again = back.elapsed();
        assert!(again < Duration::from_secs(2), "round {round}: itself again only after {again:?}");
        // Who began to wait just before it was back may still be refused, and on a busy machine a few after them; then
        // nobody is any more.
        until(PATIENCE, async || {
            let refusals = seen.each_ref().map(|seen| count(seen).1);
            let answers = seen.each_ref().map(|seen| count(seen).0);
            until(PATIENCE, async || seen.iter().zip(answers).all(|(seen, a)| count(seen).0 > a + 200)).await;
            refusals == seen.each_ref().map(|seen| count(seen).1)
        })
        .await;
    }
    stop.store(true, Ordering::SeqCst);
    for seen in &seen {
        assert_eq!(seen.wrong.load(Ordering::SeqCst), 0);
        assert!(seen.slowest_ms.load(Ordering::SeqCst) < 15_000, "{:?}", seen.slowest_ms);
    }
}

#[tokio::test]
async fn a_service_may_start_before_its_database() {
    let mut postgres = PrivatePostgres::start().await.unwrap();
    let fresh = Fresh::on(postgres.server()).await;
    postgres.stop().await.unwrap();
    let database = Database::connect(&as_deployed(&fresh).serve_target("kit-test", false).unwrap()).unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), database.connected()).await;
    assert!(early.is_err(), "it claims to be connected to nothing");
    let began = Instant::now();
    assert!(matches!(database.hot.query_opt("SELECT 1", &[]).await, Err(DbError::Unavailable(_))));
    assert!(began.elapsed() < Duration::from_secs(1), "a read waited for a database that is away");
    postgres.restart().await.unwrap();
    within(PATIENCE, database.connected()).await;
    database.hot.query_opt("SELECT 1", &[]).await.unwrap();
}
