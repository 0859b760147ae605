//! PostgreSQL killed and started again under load, and SIGTERM under load.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use shop_api::{Code, Role};
use shop_kit::Service;
use shop_test::{Client, PrivatePostgres, TestDb, until};
use tokio::time::sleep;
use user_management::UserManagement;

use crate::world::{PASSWORD, World};

/// The service is itself again so soon after PostgreSQL answers (0.2 to 0.5 s were seen).
const AGAIN: Duration = Duration::from_secs(2);

fn address() -> serde_json::Value {
    json!({ "recipient": "A", "line1": "B", "city": "C", "country": "GB" })
}

/// What all callers together have seen.
#[derive(Default)]
struct Counts {
    done: AtomicUsize,
    refused: AtomicUsize,
    last_refused: std::sync::Mutex<Option<Instant>>,
}

/// Waits until the callers have seen so many more of these.
async fn more(what: &str, count: &AtomicUsize, many: usize) {
    let before = count.load(Ordering::Relaxed);
    until(what, || async { count.load(Ordering::Relaxed) >= before + many }).await;
}

/// Reads and writes until told to stop; what was neither done nor a 503 with `Retry-After` is remembered.
async fn keep_calling(
    client: &Client,
    number: usize,
    stop: &AtomicBool,
    wrong: &std::sync::Mutex<Vec<String>>,
    seen: &Counts,
) -> usize {
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let answer = match number % 3 {
            0 => client.get("/users/me").send().await,
            1 => client.get("/users/me/addresses").send().await,
            _ => client.patch("/users/me").if_match("*").json(&json!({ "display_name": "Ada" })).send().await,
        };
        if answer.status == 200 {
            done += 1;
            seen.done.fetch_add(1, Ordering::Relaxed);
        } else if answer.status != 503 || answer.header("retry-after").is_none() {
            wrong.lock().unwrap().push(format!("{} {}", answer.status, answer.text()));
        } else {
            seen.refused.fetch_add(1, Ordering::Relaxed);
            *seen.last_refused.lock().unwrap() = Some(Instant::now());
        }
        // The pace of the load, and no wait for anything: a client that was told to come back does not hammer.
        sleep(Duration::from_millis(20)).await;
    }
    done
}

#[tokio::test]
async fn postgresql_killed_under_load_is_a_503_and_then_forgotten() {
    let mut postgres = PrivatePostgres::start().await.unwrap();
    let db = TestDb::on(postgres.server(), UserManagement::schema()).await;
    let world = World::on(db, |program| program).await;
    let mut people = Vec::new();
    for _ in 0..12 {
        people.push(world.person(Role::Customer).await.client);
    }
    let ada = world.person(Role::Customer).await;
    let (stop, wrong) = (AtomicBool::new(false), std::sync::Mutex::new(Vec::new()));
    let seen = Counts::default();
    let calling = people.iter().enumerate().map(|(n, client)| keep_calling(client, n, &stop, &wrong, &seen));
    let load = futures::future::join_all(calling);
    let reads = async || ada.client.get("/users/me").send().await;
    let writes =
        async || ada.client.patch("/users/me").if_match("*").json(&json!({ "locale": "en" })).send().await;
    let outage = async {
        reads().await.expect(200);
        writes().await.expect(200);
        for round in 0..3 {
            more("the load runs", &seen.done, 100).await;
            if round == 1 {
                postgres.stop().await.unwrap();
            } else {
                postgres.kill().await.unwrap();
            }
            // Killed, it leaves servers of single connections behind that may answer for a moment.
            until("the outage is felt", || async { reads().await.status == 503 }).await;
            reads().await.expect_problem(Code::Unavailable);
            let problem = writes().await;
            problem.expect_problem(Code::Unavailable);
            assert!(problem.header("retry-after").is_some());
            more("every caller has felt it, more than once", &seen.refused, 100).await;
            postgres.restart().await.unwrap();
            let back = Instant::now();
            until("reads and writes are back", || async {
                reads().await.status == 200 && writes().await.status == 200
            })
            .await;
            assert!(back.elapsed() < AGAIN, "round {round}: itself again only after {:?}", back.elapsed());
            // Not for one caller only, and for good: until long after that everybody is answered.
            until("its time to be itself again is over", || async { back.elapsed() > AGAIN }).await;
            more("the load runs on", &seen.done, 200).await;
            let last = seen.last_refused.lock().unwrap().unwrap();
            let late = last.saturating_duration_since(back);
            assert!(late < AGAIN, "round {round}: somebody was refused {late:?} after its return");
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (done, ()) = tokio::join!(load, outage);
    assert!(done.iter().all(|done| *done > 0), "{done:?}");
    assert_eq!(*wrong.lock().unwrap(), [""; 0]);
    assert!(world.service.is_alive());
    // Alive and ready all along: whose database is away needs no restart.
    let admin = world.service.admin_client();
    for probe in ["/healthz", "/readyz"] {
        admin.get(probe).send().await.expect(200);
    }
}

/// While a password is rotated there is a moment when the one of the file is not that of the database.
#[tokio::test]
async fn a_password_of_the_database_that_is_being_changed_is_a_503() {
    let postgres = PrivatePostgres::start().await.unwrap();
    let db = TestDb::on(postgres.server(), UserManagement::schema()).await;
    let world = World::on(db, |program| program).await;
    let ada = world.person(Role::Customer).await;
    let held = std::fs::read_to_string(world.db.password_file()).unwrap();
    let mut operator = world.db.pool().acquire().await.unwrap();
    let mut set = async |password: &str| {
        let set = format!("ALTER ROLE CURRENT_USER PASSWORD '{}'", password.trim());
        sqlx::query(sqlx::AssertSqlSafe(set)).execute(&mut *operator).await.unwrap();
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::query(cut).execute(&mut *operator).await.unwrap();
    };
    let log_in = async || world.try_login(&ada.email, PASSWORD).await;
    let read = async || ada.client.get("/users/me").send().await;
    log_in().await.expect(200);
    set("another").await;
    for _ in 0..10 {
        for refused in [log_in().await, read().await] {
            refused.expect_problem(Code::Unavailable);
            assert!(refused.header("retry-after").is_some());
        }
    }
    set(&held).await;
    let back = Instant::now();
    until("it is let in again", || async { log_in().await.status == 200 && read().await.status == 200 })
        .await;
    assert!(back.elapsed() < AGAIN, "only after {:?}", back.elapsed());
}

#[tokio::test]
async fn a_service_that_starts_before_its_database_gets_ready_with_it() {
    let mut postgres = PrivatePostgres::start().await.unwrap();
    let db = TestDb::on(postgres.server(), UserManagement::schema()).await;
    let world = World::on(db, |program| program).await;
    postgres.kill().await.unwrap();
    let early = world.program().spawn();
    early.has_written("cannot connect to the database").await;
    early.admin_client().get("/healthz").send().await.expect(200);
    early.admin_client().get("/readyz").send().await.expect(503);
    postgres.restart().await.unwrap();
    early.await_ready().await;
}

/// What the clients of a service that ends have seen.
#[derive(Default)]
struct Seen {
    /// Said by the load balancer: no new connections go there.
    moved_on: AtomicBool,
    /// SIGTERM was sent.
    ending: AtomicBool,
    answered_while_ending: AtomicUsize,
    created: AtomicUsize,
}

/// Calls as clients behind a load balancer do. One half opens a connection for each call, until the service says that
/// it is not ready; the other half keeps its connection, until an answer says that it closes. Then they are gone.
async fn call_to_the_end(client: &Client, number: usize, seen: &Seen) -> BTreeMap<String, usize> {
    let own_connection = number.is_multiple_of(2);
    let mut outcomes = BTreeMap::new();
    loop {
        let request = match number % 3 {
            0 => client.get("/users/me"),
            1 => client.post("/users/me/addresses").json(&address()),
            _ => client
                .post("/auth/login")
                .json(&json!({ "email": format!("{number}@shop.example"), "password": PASSWORD })),
        };
        let request = if own_connection { request.header("connection", "close") } else { request };
        if own_connection && seen.moved_on.load(Ordering::SeqCst) {
            return outcomes;
        }
        let ending = seen.ending.load(Ordering::SeqCst);
        let outcome = match request.try_send().await {
            Ok(answer) => {
                seen.answered_while_ending.fetch_add(usize::from(ending), Ordering::SeqCst);
                seen.created.fetch_add(usize::from(answer.status == 201), Ordering::SeqCst);
                let closes = answer.header("connection") == Some("close");
                *outcomes.entry(answer.status.as_u16().to_string()).or_default() += 1;
                if closes && !own_connection {
                    return outcomes;
                }
                continue;
            }
            Err(error) => {
                format!("lost by {}: {error:?}", if own_connection { "a new one" } else { "a kept one" })
            }
        };
        *outcomes.entry(outcome).or_default() += 1;
        return outcomes;
    }
}

#[tokio::test]
async fn sigterm_under_load_loses_no_request() {
    let world = World::with(|program| {
        program.env("DRAIN_MS", "1500").env("SIGN_IN_LIMIT", "off").env("HASHING_QUEUE", "10000")
    })
    .await;
    let mut people = Vec::new();
    for number in 0..24 {
        let person = world.person(Role::Customer).await;
        let renamed = sqlx::query("UPDATE users SET email = $1 || '@shop.example' WHERE id = $2");
        renamed.bind(number.to_string()).bind(person.id).execute(world.db.pool()).await.unwrap();
        people.push(person);
    }
    let seen = Seen::default();
    let load = futures::future::join_all(
        people.iter().enumerate().map(|(number, person)| call_to_the_end(&person.client, number, &seen)),
    );
    let ending = async {
        until("the load runs", || async { seen.created.load(Ordering::SeqCst) > 20 }).await;
        world.service.signal(rustix::process::Signal::TERM);
        seen.ending.store(true, Ordering::SeqCst);
        let admin = world.service.admin_client();
        until("it says that it is not ready", || async { admin.get("/readyz").send().await.status == 503 })
            .await;
        seen.moved_on.store(true, Ordering::SeqCst);
        world.service.ended().await
    };
    let (outcomes, ended) = tokio::join!(load, ending);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for (outcome, count) in outcomes.into_iter().flatten() {
        *all.entry(outcome).or_default() += count;
    }
    // 409: fifty addresses are enough for one person.
    let fine = |outcome: &str| ["200", "201", "409"].contains(&outcome);
    assert!(all.keys().all(|outcome| fine(outcome)), "{all:?}");
    assert!(all.contains_key("200") && all.contains_key("201"), "{all:?}");
    assert!(seen.answered_while_ending.load(Ordering::SeqCst) > 0, "nothing was in flight");
    let kept = world.count("SELECT count(*) FROM addresses").await;
    assert_eq!(
        usize::try_from(kept).unwrap(),
        seen.created.load(Ordering::SeqCst),
        "what was answered was done, once"
    );
}
