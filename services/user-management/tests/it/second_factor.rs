//! The second factor: on, asked for, each code once, off.

use serde_json::json;
use shop_api::Code;
use shop_api::users::auth::{RecoveryCodes, Tokens, TotpStarted};
use shop_api::users::profile::Account;
use shop_test::Client;
use user_management::domain::totp::Seed;

use crate::visitor::SECRET;
use crate::world::World;

const ADA: &str = "ada@shop.example";

/// Somebody with a second factor in force whose codes were never used: its confirmation is forgotten again.
async fn with_factor(world: &World) -> (Client, Seed, RecoveryCodes) {
    world.sign_up(ADA).await;
    let me = world.anonymous().with_token(&world.login(ADA).await.access_token);
    let started = me.post("/users/me/totp").json(&json!({ "password": SECRET })).send().await.expect(200);
    let started: TotpStarted = started.json();
    let seed = seed(&started.secret);
    let codes =
        me.post("/users/me/totp/confirm").json(&json!({ "code": code(&seed, 0) })).send().await.expect(200);
    world.age("UPDATE totp SET last_step = 0").await;
    (me, seed, codes.json())
}

pub(crate) fn seed(base32: &str) -> Seed {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: String = base32.chars().map(|c| format!("{:05b}", alphabet.find(c).unwrap())).collect();
    let bytes: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect();
    Seed::from_bytes(&bytes).unwrap()
}

/// The code of the step so many steps away from now.
pub(crate) fn code(seed: &Seed, steps: i64) -> String {
    let now = time::OffsetDateTime::now_utc().unix_timestamp() + 30 * steps;
    seed.code_at(now.unsigned_abs())
}

async fn login(world: &World, field: &str, code: &str) -> shop_test::Answer {
    world.login_with(json!({ "email": ADA, "password": SECRET, field: code })).await
}

#[tokio::test]
async fn it_is_in_force_from_its_first_code_on_and_shown_in_the_account() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let me = world.anonymous().with_token(&world.login(ADA).await.access_token);
    let begin = me.post("/users/me/totp").json(&json!({ "password": SECRET })).send().await.expect(200);
    assert_eq!(begin.header("cache-control"), Some("no-store"));
    let started: TotpStarted = begin.json();
    assert!(
        started.otpauth_url.contains(&started.secret)
            && started.otpauth_url.starts_with("otpauth://totp/Shop:")
    );
    world.login(ADA).await;

    let seed = seed(&started.secret);
    let confirm = |code: String| me.post("/users/me/totp/confirm").json(&json!({ "code": code })).send();
    let wrong = if code(&seed, 0) == "000000" { "000001" } else { "000000" };
    confirm(wrong.to_owned()).await.expect_problem(Code::InvalidCredentials);
    let codes: RecoveryCodes = confirm(code(&seed, 0)).await.expect(200).json();
    assert_eq!(codes.recovery_codes.len(), 10);
    confirm(code(&seed, 0)).await.expect_problem(Code::AlreadyExists);
    me.post("/users/me/totp")
        .json(&json!({ "password": SECRET }))
        .send()
        .await
        .expect_problem(Code::AlreadyExists);
    let account: Account = me.get("/users/me").send().await.expect(200).json();
    assert!(account.two_factor);
    world.mail(ADA, "A second factor was switched on").await;

    world.try_login(ADA, SECRET).await.expect_problem(Code::SecondFactorRequired);
    world.try_login(ADA, "the wrong one entirely").await.expect_problem(Code::InvalidCredentials);
    let sealed: Vec<u8> =
        sqlx::query_scalar("SELECT sealed_seed FROM totp").fetch_one(world.db.pool()).await.unwrap();
    assert!(!sealed.windows(20).any(|window| window == seed.as_bytes()), "the seed is not stored in clear");
}

#[tokio::test]
async fn a_code_works_once_even_at_the_same_moment() {
    let world = World::start().await;
    let (_, seed, _) = with_factor(&world).await;
    let now = code(&seed, 0);
    let answers = futures::future::join_all((0..8).map(|_| login(&world, "totp_code", &now))).await;
    let won = answers.iter().filter(|answer| answer.status.as_u16() == 200).count();
    assert_eq!(won, 1, "{answers:?}");
    world.age("DELETE FROM login_backoff").await;
    login(&world, "totp_code", &now).await.expect_problem(Code::SecondFactorRequired);
    // The next step's code is another one; the step before is older than the one used.
    login(&world, "totp_code", &code(&seed, 1)).await.expect(200);
    login(&world, "totp_code", &code(&seed, 0)).await.expect_problem(Code::SecondFactorRequired);
}

#[tokio::test]
async fn a_code_of_another_time_does_not_work() {
    let world = World::start().await;
    let (_, seed, _) = with_factor(&world).await;
    for steps in [-3, 3, 1000] {
        login(&world, "totp_code", &code(&seed, steps)).await.expect_problem(Code::SecondFactorRequired);
    }
    login(&world, "totp_code", &code(&seed, 0)).await.expect(200);
}

#[tokio::test]
async fn guessing_codes_leads_to_waiting() {
    let world = World::start().await;
    let (_, seed, _) = with_factor(&world).await;
    for _ in 0..5 {
        login(&world, "totp_code", &code(&seed, 1000)).await.expect_problem(Code::SecondFactorRequired);
    }
    login(&world, "totp_code", &code(&seed, 0)).await.expect_problem(Code::TooManyRequests);
}

/// The password alone is half a log-in and no guess: the wait that is over does not begin anew before the code is sent.
#[tokio::test]
async fn the_right_password_without_a_code_is_no_failure() {
    let world = World::start().await;
    let (_, seed, _) = with_factor(&world).await;
    world.try_login(ADA, "the wrong one entirely").await.expect_problem(Code::InvalidCredentials);
    // As after nine failures, whose wait of sixteen seconds is over.
    world.age("UPDATE login_backoff SET failures = 9, last_failure_at = now() - interval '20 seconds'").await;
    for _ in 0..3 {
        world.try_login(ADA, SECRET).await.expect_problem(Code::SecondFactorRequired);
    }
    login(&world, "totp_code", &code(&seed, 0)).await.expect(200);
}

#[tokio::test]
async fn a_recovery_code_works_once_and_a_new_set_replaces_the_old() {
    let world = World::start().await;
    let (me, seed, codes) = with_factor(&world).await;
    let [first, second, ..] = codes.recovery_codes.as_slice() else { panic!("ten codes") };
    login(&world, "recovery_code", &first.to_lowercase()).await.expect(200);
    login(&world, "recovery_code", first).await.expect_problem(Code::SecondFactorRequired);
    let renew = |password: &str, code: String| {
        me.post("/users/me/recovery-codes").json(&json!({ "password": password, "code": code })).send()
    };
    renew("the wrong one entirely", code(&seed, 0)).await.expect_problem(Code::InvalidCredentials);
    // Whoever has new codes has the second factor: the password alone brings none.
    renew(SECRET, code(&seed, 1000)).await.expect_problem(Code::InvalidCredentials);
    let fresh: RecoveryCodes = renew(SECRET, code(&seed, 0)).await.expect(200).json();
    world.mail(ADA, "You have new recovery codes").await;
    login(&world, "recovery_code", second).await.expect_problem(Code::SecondFactorRequired);
    login(&world, "recovery_code", &fresh.recovery_codes[9]).await.expect(200);
}

#[tokio::test]
async fn it_is_taken_away_with_password_and_code_only() {
    let world = World::start().await;
    let (me, seed, _) = with_factor(&world).await;
    let remove = |password: &str, code: String| {
        me.delete("/users/me/totp").json(&json!({ "password": password, "code": code })).send()
    };
    remove("the wrong one entirely", code(&seed, 0)).await.expect_problem(Code::InvalidCredentials);
    remove(SECRET, code(&seed, 1000)).await.expect_problem(Code::InvalidCredentials);
    remove(SECRET, code(&seed, 0)).await.expect(204);
    remove(SECRET, code(&seed, 0)).await.expect_problem(Code::NotFound);
    let _: Tokens = world.login(ADA).await;
    assert_eq!(world.count("SELECT count(*) FROM recovery_codes").await, 0);
    world.mail(ADA, "The second factor was switched off").await;
}

#[tokio::test]
async fn what_a_stolen_session_must_not_do_asks_for_a_code_as_well() {
    let world = World::start().await;
    let (me, seed, codes) = with_factor(&world).await;
    let fresh = "a fresh one for the harbour";
    let asked = [
        ("POST", "/users/me/email", json!({ "email": "ada.king@shop.example", "password": SECRET }), 202),
        ("POST", "/users/me/password", json!({ "current_password": SECRET, "new_password": fresh }), 204),
        ("DELETE", "/users/me", json!({ "password": fresh }), 204),
    ];
    let good = [code(&seed, 0), code(&seed, 1), codes.recovery_codes[3].to_lowercase()];
    for ((method, path, body, done), good) in asked.into_iter().zip(good) {
        let send = |code: Option<&str>| {
            let mut body = body.clone();
            if let Some(code) = code {
                body["code"] = json!(code);
            }
            me.request(method.parse().unwrap(), path).json(&body).send()
        };
        send(None).await.expect_problem(Code::SecondFactorRequired);
        send(Some(&code(&seed, 1000))).await.expect_problem(Code::InvalidCredentials);
        send(Some(&good)).await.expect(done);
        if path == "/users/me/email" {
            send(Some(&good)).await.expect_problem(Code::InvalidCredentials);
        }
    }
}

/// Neither is what is refused for another reason.
#[tokio::test]
async fn a_right_code_is_no_failure_where_the_new_password_is_too_weak() {
    let world = World::start().await;
    let (me, _, codes) = with_factor(&world).await;
    let change = |new: &str| {
        let body =
            json!({ "current_password": SECRET, "code": codes.recovery_codes[0], "new_password": new });
        me.post("/users/me/password").json(&body).send()
    };
    for _ in 0..7 {
        change("password1234").await.expect_problem(Code::WeakPassword);
    }
    change("a fresh one for the harbour").await.expect(204);
}

#[tokio::test]
async fn a_last_administrator_who_tries_to_leave_guesses_at_nothing() {
    let world = World::start().await;
    let (me, _, codes) = with_factor(&world).await;
    world.age("UPDATE users SET roles = '{admin}'").await;
    for _ in 0..7 {
        let body = json!({ "password": SECRET, "code": codes.recovery_codes[0] });
        me.delete("/users/me").json(&body).send().await.expect_problem(Code::LastAdmin);
    }
}

#[tokio::test]
async fn a_reset_leaves_the_second_factor_in_force() {
    let world = World::start().await;
    with_factor(&world).await;
    world.forgot(ADA).await.expect(202);
    let token = world.mailed_token(ADA, "Set a new password").await;
    world.reset(&token, "a fresh one for the harbour").await.expect(204);
    world.try_login(ADA, "a fresh one for the harbour").await.expect_problem(Code::SecondFactorRequired);
}

#[tokio::test]
async fn codes_of_both_kinds_at_once_are_refused() {
    let world = World::start().await;
    let body = json!({ "email": ADA, "password": SECRET, "totp_code": "123456", "recovery_code": "X" });
    world.login_with(body).await.expect_problem(Code::ValidationFailed);
    let body = json!({ "email": ADA, "password": SECRET, "totp_code": "12345a" });
    world.login_with(body).await.expect_problem(Code::ValidationFailed);
}
