//! Guesses by somebody who is signed in, or is a service, wait like those at the door; and whoever can prove the account
//! is theirs is heard whatever strangers do meanwhile.

use serde_json::json;
use shop_api::users::auth::TotpStarted;
use shop_api::{Code, Role};
use shop_test::{Client, ServiceProcess, ServiceProgram, until};
use user_management::domain::throttle::{ACCOUNT_BUDGET, account_key};

use crate::second_factor::{code, seed};
use crate::visitor::SECRET;
use crate::world::{PASSWORD, World};

const ADA: &str = "ada@shop.example";

/// As after failures from all over the world: no key but the account's own.
async fn strangers_spend_the_budget(world: &World, email: &str) {
    let spent = "INSERT INTO login_backoff (key, failures) VALUES ($1, $2)
                 ON CONFLICT (key) DO UPDATE SET failures = $2, last_failure_at = now(), window_start = now()";
    let budget = i32::try_from(ACCOUNT_BUDGET).unwrap();
    let spent = sqlx::query(spent).bind(account_key(email).as_bytes().to_vec()).bind(budget);
    spent.execute(world.db.pool()).await.unwrap();
}

#[tokio::test]
async fn asking_for_the_password_again_is_throttled_by_session() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    for _ in 0..5 {
        let wrong = json!({ "password": "the wrong one entirely" });
        ada.client.post("/users/me/totp").json(&wrong).send().await.expect_problem(Code::InvalidCredentials);
    }
    let right = json!({ "password": PASSWORD });
    ada.client.post("/users/me/totp").json(&right).send().await.expect_problem(Code::TooManyRequests);
    // Whoever has stolen one token does not make the owner wait.
    let elsewhere = world.again(&ada).await;
    elsewhere.client.post("/users/me/totp").json(&right).send().await.expect(200);
    world.try_login(&ada.email, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn whoever_is_signed_in_is_heard_while_strangers_guess() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    strangers_spend_the_budget(&world, &ada.email).await;
    world.try_login(&ada.email, PASSWORD).await.expect_problem(Code::TooManyRequests);
    let change = json!({ "current_password": PASSWORD, "new_password": SECRET });
    ada.client.post("/users/me/password").json(&change).send().await.expect(204);
}

#[tokio::test]
async fn a_reset_lets_the_owner_in_while_strangers_guess() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    strangers_spend_the_budget(&world, ADA).await;
    world.try_login(ADA, SECRET).await.expect_problem(Code::TooManyRequests);
    world.forgot(ADA).await.expect(202);
    let token = world.mailed_token(ADA, "Set a new password").await;
    world.reset(&token, "a fresh one for the harbour").await.expect(204);
    world.try_login(ADA, SECRET).await.expect_problem(Code::TooManyRequests);
    world.try_login(ADA, "a fresh one for the harbour").await.expect(200);
}

async fn begun(world: &World) -> (Client, user_management::domain::totp::Seed) {
    world.sign_up(ADA).await;
    let me = world.anonymous().with_token(&world.login(ADA).await.access_token);
    let begun = me.post("/users/me/totp").json(&json!({ "password": SECRET })).send().await.expect(200);
    (me, seed(&begun.json::<TotpStarted>().secret))
}

#[tokio::test]
async fn guesses_at_the_first_code_are_counted() {
    let world = World::start().await;
    let (me, seed) = begun(&world).await;
    let confirm =
        |steps| me.post("/users/me/totp/confirm").json(&json!({ "code": code(&seed, steps) })).send();
    for _ in 0..5 {
        confirm(1000).await.expect_problem(Code::InvalidCredentials);
    }
    confirm(0).await.expect_problem(Code::TooManyRequests);
}

#[tokio::test]
async fn guesses_at_the_second_factor_of_somebody_signed_in_are_counted() {
    let world = World::start().await;
    let (me, seed) = begun(&world).await;
    world.age("UPDATE totp SET confirmed_at = now()").await;
    let both = |steps| json!({ "password": SECRET, "code": code(&seed, steps) });
    let renew = |steps| me.post("/users/me/recovery-codes").json(&both(steps)).send();
    let remove = |steps| me.delete("/users/me/totp").json(&both(steps)).send();
    for _ in 0..3 {
        renew(1000).await.expect_problem(Code::InvalidCredentials);
    }
    for _ in 0..2 {
        remove(1000).await.expect_problem(Code::InvalidCredentials);
    }
    renew(0).await.expect_problem(Code::TooManyRequests);
    remove(0).await.expect_problem(Code::TooManyRequests);
}

#[tokio::test]
async fn one_address_has_a_quota_of_tries_at_a_clients_secret() {
    let world = World::with(|service| service.env("SIGN_IN_LIMIT", "3/3600")).await;
    let ask = || {
        let form = "grant_type=client_credentials&client_id=x&client_secret=y";
        world.anonymous().post("/auth/token").body("application/x-www-form-urlencoded", form).send()
    };
    for _ in 0..3 {
        ask().await.expect_problem(Code::InvalidCredentials);
    }
    let refused = ask().await;
    refused.expect_problem(Code::TooManyRequests);
    assert!(refused.header("retry-after").is_some());
}

/// Through Redis the replicas have one count, and it is the real one that says so.
#[tokio::test]
async fn with_redis_all_replicas_have_one_quota() {
    let mut redis = shop_test::redis().await.unwrap();
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), redis.password().unwrap_or_default()).unwrap();
    redis.set_password(None).unwrap();
    let with_redis = |service: ServiceProgram| {
        service
            .env("SIGN_IN_LIMIT", "3/3600")
            .env("TRUSTED_PROXIES", "127.0.0.1/32")
            .env("REDIS_URL", redis.as_str())
            .env("REDIS_PASSWORD_FILE", password.path())
            .env("REDIS_TIMEOUT_MS", "5000")
    };
    let world = World::with(with_redis).await;
    let other = with_redis(world.program()).serve().await;
    for service in [&world.service, &other] {
        let reached = async || {
            let metrics = service.admin_client().get("/metrics").send().await.expect(200);
            metrics.text().contains("dependency_up{dependency=\"redis\"} 1")
        };
        until("the service has reached Redis", reached).await;
    }
    // Redis outlives this test: nobody else asks from here.
    let place =
        std::net::Ipv6Addr::from_bits(0x2001_0db8 << 96 | uuid::Uuid::new_v4().as_u128() >> 32).to_string();
    let ask = async |service: &ServiceProcess| {
        let login = service.client().post("/auth/login").header("x-forwarded-for", &place);
        login.json(&json!({ "email": ADA, "password": SECRET })).send().await
    };
    for service in [&world.service, &other, &world.service] {
        ask(service).await.expect_problem(Code::InvalidCredentials);
    }
    for service in [&other, &world.service] {
        ask(service).await.expect_problem(Code::TooManyRequests);
    }
}

/// Places are kept under the address: whoever takes an address over has none of those that its last owner had.
#[tokio::test]
async fn known_places_go_with_the_address_that_they_were_known_by() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let me = world.anonymous().with_token(&world.login(ADA).await.access_token);
    let new = "ada.king@shop.example";
    let moving = json!({ "email": new, "password": SECRET });
    me.post("/users/me/email").json(&moving).send().await.expect(202);
    let token = world.mailed_token(new, "Verify your new e-mail address").await;
    world.verify(&token).await.expect(204);
    assert_eq!(world.count("SELECT count(*) FROM known_places").await, 1, "where the mail was answered");
    strangers_spend_the_budget(&world, new).await;
    world.try_login(new, SECRET).await.expect(200);

    world.person(Role::Customer).await;
    world.age("UPDATE users SET email = 'ada@shop.example' WHERE email LIKE 'customer-%'").await;
    strangers_spend_the_budget(&world, ADA).await;
    world.try_login(ADA, PASSWORD).await.expect_problem(Code::TooManyRequests);
}

/// However many sessions somebody has, others sign in.
#[tokio::test]
async fn who_is_asked_for_the_password_again_leaves_others_room_to_sign_in() {
    let world = World::with(|service| service.env("HASHING_QUEUE", "8").env("HASHING_THREADS", "1")).await;
    let eve = world.person(Role::Customer).await;
    let mut sessions = Vec::new();
    for _ in 0..12 {
        sessions.push(world.again(&eve).await.client);
    }
    let right = json!({ "password": PASSWORD });
    let stop = std::sync::atomic::AtomicBool::new(false);
    let flood = futures::future::join_all(sessions.iter().map(async |session| {
        let mut refused = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let answer = session.post("/users/me/totp").json(&right).send().await;
            assert!([200, 429, 503].contains(&answer.status.as_u16()), "{}", answer.text());
            refused += usize::from(answer.status == 503);
        }
        refused
    }));
    let ada = world.person(Role::Customer).await;
    let others = async {
        for _ in 0..10 {
            world.try_login(&ada.email, PASSWORD).await.expect(200);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (refused, ()) = futures::join!(flood, others);
    assert!(refused.iter().sum::<usize>() > 0, "the flood was none");
}
