//! Nobody learns whether an address has an account: not by status, not by text, not by time.

use std::time::Instant;

use serde_json::{Value, json};
use shop_api::Code;
use shop_test::{Answer, tier};
use user_management::domain::password::NewPassword;
use user_management::hashing::Hasher;

use crate::visitor::SECRET;
use crate::world::World;

/// All that a client sees of an answer but what names the request itself.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["date", "x-request-id", "traceresponse", "ratelimit"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if let Some(problem) = body.as_object_mut() {
        problem.remove("request_id");
    }
    (answer.status.as_u16(), headers, body)
}

/// Accounts `0@…` to `n-1@…` in one state.
async fn accounts(world: &World, count: i64, change: &'static str) {
    let hasher = Hasher::start(1, 1).unwrap();
    let hash = hasher.hash(&NewPassword::check(SECRET, "").unwrap()).await.unwrap();
    sqlx::query(
        "INSERT INTO users (id, email, email_verified_at, password_hash)
         SELECT gen_random_uuid(), n || '@shop.example', now(), $1 FROM generate_series(0, $2 - 1) AS n",
    )
    .bind(hash)
    .bind(count)
    .execute(world.db.pool())
    .await
    .unwrap();
    world.age(change).await;
}

async fn unlimited() -> World {
    World::with(|service| service.env("SIGN_IN_LIMIT", "off").env("MAIL_LIMIT", "off").env("LOG", "warn"))
        .await
}

const STATES: [(&str, &str); 3] = [
    ("verified", "SELECT"),
    // With the link that such an account waits for.
    (
        "never verified",
        "WITH never AS (UPDATE users SET email_verified_at = NULL RETURNING id)
         INSERT INTO mail_tokens (hash, user_id, purpose, created_at, expires_at)
         SELECT sha256(id::text::bytea), id, 'verify', now() - interval '2 minutes', now() + interval '28 minutes' FROM never",
    ),
    ("disabled", "UPDATE users SET status = 'disabled'"),
];

#[tokio::test]
async fn every_state_of_an_account_answers_alike() {
    for (state, change) in STATES {
        let world = unlimited().await;
        accounts(&world, 1, change).await;
        let wrong = "the wrong one entirely";
        let login = async |email: &str| seen(&world.try_login(email, wrong).await);
        assert_eq!(login("0@shop.example").await, login("nobody@shop.example").await, "log in, {state}");
        let forgot = async |email: &str| seen(&world.forgot(email).await);
        assert_eq!(forgot("0@shop.example").await, forgot("nobody@shop.example").await, "forgot, {state}");
        let resend = async |email: &str| {
            seen(&world.anonymous().post("/auth/verify/resend").json(&json!({ "email": email })).send().await)
        };
        assert_eq!(resend("0@shop.example").await, resend("nobody@shop.example").await, "resend, {state}");
        let register = async |email: &str| seen(&world.register(email, SECRET).await);
        assert_eq!(register("0@shop.example").await, register("new@shop.example").await, "register, {state}");
    }
}

/// Whoever registers an address with a password of their own and signs in with it learns nothing either.
#[tokio::test]
async fn a_registration_does_not_tell_at_log_in_whether_the_address_was_free() {
    let world = unlimited().await;
    accounts(&world, 1, "SELECT").await;
    world.register("0@shop.example", "a password of the stranger").await.expect(202);
    world.register("free@shop.example", "a password of the stranger").await.expect(202);
    let login = async |email: &str| seen(&world.try_login(email, "a password of the stranger").await);
    assert_eq!(login("0@shop.example").await, login("free@shop.example").await);
}

#[tokio::test]
async fn waiting_is_imposed_on_accounts_that_do_not_exist_too() {
    let world = unlimited().await;
    accounts(&world, 1, "SELECT").await;
    for email in ["0@shop.example", "nobody@shop.example"] {
        world.try_login(email, "the wrong one entirely").await.expect_problem(Code::InvalidCredentials);
    }
    // As after a dozen failures: a wait of two minutes, which no slow machine sits out.
    world.age("UPDATE login_backoff SET failures = failures + 11, last_failure_at = now()").await;
    let (known, unknown) = (
        world.try_login("0@shop.example", SECRET).await,
        world.try_login("nobody@shop.example", SECRET).await,
    );
    known.expect_problem(Code::TooManyRequests);
    assert_eq!(seen(&known), seen(&unknown));
}

/// The budget of failures is spent from all over the world; somebody who shares the owner's network asks from there.
#[tokio::test]
async fn a_spent_budget_does_not_tell_from_the_owners_network_either() {
    let world = unlimited().await;
    accounts(&world, 1, "SELECT").await;
    let (known, unknown) = ("0@shop.example", "nobody@shop.example");
    world.try_login(known, SECRET).await.expect(200);
    let wrong = "the wrong one entirely";
    for email in [known, unknown] {
        world.try_login(email, wrong).await.expect_problem(Code::InvalidCredentials);
        sqlx::query("UPDATE login_backoff SET failures = 30, window_start = now() WHERE key = $1")
            .bind(user_management::domain::throttle::account_key(email).as_bytes())
            .execute(world.db.pool())
            .await
            .unwrap();
    }
    let mut answers = Vec::new();
    for email in [known, unknown] {
        let mut answer = world.try_login(email, wrong).await;
        answer.expect_problem(Code::TooManyRequests);
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((880..=900).contains(&wait), "{wait}");
        assert!(answer.header("ratelimit").unwrap().starts_with("\"account\";r=0;"), "{:?}", answer.headers);
        answer.headers.remove("retry-after");
        answers.push(seen(&answer));
    }
    assert_eq!(answers[0], answers[1]);
    world.try_login(known, SECRET).await.expect(200);
}

/// Tries of each kind, `times` as many as usual: enough in the short tier to see a hash that is left out, in the full one
/// to see a statement.
fn tries(times: usize) -> usize {
    let (few, many) = (40 * times, 400 * times);
    let left = many - few;
    let what = format!("{left} of {many} tries of each kind, which show a difference of one statement");
    if tier::full_only(&what) { many } else { few }
}

/// The states whose times are compared with those of nobody: one in the short tier, drawn by lot, because each needs all
/// the tries to be seen.
fn timed() -> Vec<(&'static str, &'static str)> {
    if tier::full_only("two of the three states of an account whose times are compared") {
        return STATES.to_vec();
    }
    vec![STATES[(tier::seed() % 3) as usize]]
}

/// A lot that does not follow the order of the tries.
fn lot(n: usize) -> bool {
    let mixed =
        (n as u64 ^ tier::seed()).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 40) & 1 == 1
}

/// Times both kinds of request, one after the other, in an order drawn by lot for each pair.
async fn times(count: usize, one: impl AsyncFn(usize), other: impl AsyncFn(usize)) -> [Vec<f64>; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for n in 0..count {
        for kind in if lot(n) { [0, 1] } else { [1, 0] } {
            let start = Instant::now();
            if kind == 0 {
                one(n).await;
            } else {
                other(n).await;
            }
            times[kind].push(start.elapsed().as_secs_f64());
        }
    }
    times
}

/// The z of Wilcoxon's signed-rank test: how many standard deviations the ranks of the pairs' differences are from
/// even. What slows the machine for a while slows both of a pair.
fn rank_distance([one, other]: &[Vec<f64>; 2]) -> f64 {
    let mut differences: Vec<f64> = one.iter().zip(other).map(|(one, other)| one - other).collect();
    differences.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let positive = differences.iter().zip(1..).filter(|(difference, _)| **difference > 0.0);
    let ranks: f64 = positive.map(|(_, rank)| f64::from(rank)).sum();
    let n = differences.len() as f64;
    (ranks - n * (n + 1.0) / 4.0) / (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt()
}

/// Alike by chance alone goes beyond this once in 150,000 runs.
const FAR: f64 = 4.5;

#[track_caller]
fn assert_alike(what: &str, times: &[Vec<f64>; 2]) {
    let z = rank_distance(times);
    let median = |list: &[f64]| {
        let mut sorted = list.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2] * 1e3
    };
    let shown =
        format!("{what}: z = {z:.1}, medians {:.2} and {:.2} ms", median(&times[0]), median(&times[1]));
    assert!(z.abs() < FAR, "{shown}");
}

#[test]
fn the_rank_statistic_sees_a_small_shift_and_no_noise() {
    // SplitMix64: neighbours have nothing to do with each other, as pairs must not.
    let noise = |n: usize| {
        let mut mixed = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let sample = |from: usize, shift: f64| (from..from + 400).map(|n| noise(n) + shift).collect::<Vec<_>>();
    assert!(rank_distance(&[sample(0, 0.0), sample(1000, 0.0)]).abs() < FAR);
    assert!(rank_distance(&[sample(0, 0.0), sample(1000, 0.15)]) < -FAR);
    // A machine that gets ten times slower half-way hides nothing.
    let drifting = |from: usize, shift: f64| {
        let times = sample(from, shift).into_iter().enumerate();
        times.map(|(n, time)| if n < 200 { time } else { time + 10.0 }).collect::<Vec<_>>()
    };
    assert!(rank_distance(&[drifting(0, 0.0), drifting(1000, 0.15)]) < -FAR);
}

/// Times requests with an address that has an account, in each state, and one that has none.
async fn tell_nothing(what: &str, tries: usize, ask: impl AsyncFn(&World, String)) {
    for (state, change) in timed() {
        let world = unlimited().await;
        accounts(&world, tries as i64, change).await;
        let known = async |n: usize| ask(&world, format!("{n}@shop.example")).await;
        let unknown = async |n: usize| ask(&world, format!("{n}@nowhere.example")).await;
        assert_alike(&format!("{what}, {state}"), &times(tries, known, unknown).await);
    }
}

#[tokio::test]
async fn the_time_of_a_log_in_does_not_tell() {
    let login = async |world: &World, email: String| {
        world.try_login(&email, "the wrong one entirely").await.expect(401);
    };
    tell_nothing("log in", tries(1), login).await;
}

#[tokio::test]
async fn the_time_of_a_registration_does_not_tell() {
    let register = async |world: &World, email: String| {
        world.register(&email, SECRET).await.expect(202);
    };
    tell_nothing("register", tries(1), register).await;
}

/// No hash hides the statements here, and a try is cheap: more of them see less.
#[tokio::test]
async fn the_time_of_forgetting_does_not_tell() {
    let forgot = async |world: &World, email: String| {
        world.forgot(&email).await.expect(202);
    };
    tell_nothing("forgot", tries(4), forgot).await;
}
