//! Log in, log out, sessions, and how guessing is slowed without giving anybody a lock on somebody's account.

use std::time::{Duration, Instant};

use argon2::{Argon2, Params, PasswordHasher as _};
use serde_json::json;
use shop_api::users::auth::SessionList;
use shop_api::{Code, Role};

use crate::visitor::SECRET;
use crate::world::{PASSWORD, World};

const ADA: &str = "ada@shop.example";

#[tokio::test]
async fn one_signs_in_is_listed_and_signs_out() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let phone = world.anonymous().post("/auth/login").header("user-agent", "Phone/1");
    let phone = phone.json(&json!({ "email": ADA, "password": SECRET })).send().await.expect(200);
    assert_eq!(phone.header("cache-control"), Some("no-store"));
    let phone: shop_api::users::auth::Tokens = phone.json();
    let laptop = world.login(ADA).await;
    assert_eq!(laptop.expires_in, 900);

    let me = world.anonymous().with_token(&laptop.access_token);
    let list: SessionList = me.get("/users/me/sessions").send().await.expect(200).json();
    let seen: Vec<_> = list.items.iter().map(|s| (s.id, s.current)).collect();
    assert_eq!(seen, [(laptop.session_id, true), (phone.session_id, false)]);
    assert_eq!((list.items[1].user_agent.as_str(), list.items[1].address.as_str()), ("Phone/1", "127.0.0.1"));

    me.delete(&format!("/users/me/sessions/{}", phone.session_id)).send().await.expect(204);
    assert!(!world.opens(&phone).await && world.opens(&laptop).await);
    me.delete(&format!("/users/me/sessions/{}", phone.session_id))
        .send()
        .await
        .expect_problem(Code::NotFound);
    world.refresh(&phone.refresh_token).await.expect_problem(Code::SessionEnded);

    me.post("/auth/logout").send().await.expect(204);
    assert!(!world.opens(&laptop).await);
    world.refresh(&laptop.refresh_token).await.expect_problem(Code::SessionEnded);
}

#[tokio::test]
async fn all_other_sessions_and_all_sessions_end() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let (one, two, three) = (world.login(ADA).await, world.login(ADA).await, world.login(ADA).await);
    world.anonymous().with_token(&two.access_token).delete("/users/me/sessions").send().await.expect(204);
    assert!(!world.opens(&one).await && world.opens(&two).await && !world.opens(&three).await);
    let four = world.login(ADA).await;
    world.anonymous().with_token(&four.access_token).post("/auth/logout-all").send().await.expect(204);
    assert!(!world.opens(&two).await && !world.opens(&four).await);
}

#[tokio::test]
async fn nobody_ends_a_session_of_somebody_else() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    world.sign_up("eve@shop.example").await;
    let (ada, eve) = (world.login(ADA).await, world.login("eve@shop.example").await);
    let eve = world.anonymous().with_token(&eve.access_token);
    eve.delete(&format!("/users/me/sessions/{}", ada.session_id)).send().await.expect_problem(Code::NotFound);
    assert!(world.opens(&ada).await);
}

#[tokio::test]
async fn a_disabled_account_says_so_only_to_the_right_password() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    world.age("UPDATE users SET status = 'disabled'").await;
    world.try_login(ADA, "the wrong one entirely").await.expect_problem(Code::InvalidCredentials);
    world.try_login(ADA, SECRET).await.expect_problem(Code::Forbidden);
}

/// The session is made by then: an answer that says otherwise would leave one behind that nobody holds.
#[tokio::test]
async fn an_outdated_hash_that_cannot_be_renewed_keeps_nobody_out() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let older = Argon2::from(Params::new(1024, 1, 1, Some(32)).unwrap());
    let outdated = older.hash_password_with_salt(SECRET.as_bytes(), b"somesaltsomesalt").unwrap();
    sqlx::query("UPDATE users SET password_hash = $1")
        .bind(outdated.to_string())
        .execute(world.db.pool())
        .await
        .unwrap();
    let run = async |sql: &'static str| sqlx::raw_sql(sql).execute(world.db.pool()).await.unwrap();
    run("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE OF password_hash ON users FOR EACH ROW EXECUTE FUNCTION refuse()")
        .await;
    let tokens = world.login(ADA).await;
    assert!(world.opens(&tokens).await);
    let renewed =
        async || world.count("SELECT count(*) FROM users WHERE password_hash LIKE '%m=19456%'").await;
    assert_eq!(renewed().await, 0);
    shop_test::until("the log says so", || async {
        world.service.output().contains("an outdated password hash stays")
    })
    .await;

    run("DROP TRIGGER refuse ON users").await;
    world.login(ADA).await;
    assert_eq!(renewed().await, 1, "the next log-in renews it");
}

#[tokio::test]
async fn a_session_idle_too_long_or_too_old_is_over() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let tokens = world.login(ADA).await;
    world.age("UPDATE sessions SET expires_at = now() - interval '1 second'").await;
    assert!(!world.opens(&tokens).await);
    world.refresh(&tokens.refresh_token).await.expect_problem(Code::SessionEnded);

    let tokens = world.login(ADA).await;
    world
        .age(
            "UPDATE sessions SET ends_at = now() + interval '1 hour', expires_at = now() + interval '1 hour'",
        )
        .await;
    let next: shop_api::users::auth::Tokens = world.refresh(&tokens.refresh_token).await.expect(200).json();
    let left = next.refresh_expires_at - time::OffsetDateTime::now_utc();
    assert!(left <= time::Duration::hours(1), "a refresh does not move the absolute end: {left}");
}

#[tokio::test]
async fn failures_lead_to_waiting_that_doubles_and_a_success_forgives() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    for _ in 0..5 {
        world.try_login(ADA, "the wrong one entirely").await.expect_problem(Code::InvalidCredentials);
    }
    let refused = world.try_login(ADA, SECRET).await;
    refused.expect_problem(Code::TooManyRequests);
    assert_eq!(refused.header("retry-after"), Some("1"));

    world.age("UPDATE login_backoff SET last_failure_at = now() - interval '1 second'").await;
    world.try_login(ADA, "the wrong one entirely").await.expect_problem(Code::InvalidCredentials);
    let refused = world.try_login(ADA, SECRET).await;
    assert_eq!(refused.header("retry-after"), Some("2"));

    world.age("UPDATE login_backoff SET last_failure_at = now() - interval '2 seconds'").await;
    world.login(ADA).await;
    world.try_login(ADA, "the wrong one entirely").await.expect_problem(Code::InvalidCredentials);
    world.login(ADA).await;
}

/// How many guesses one place may have made so long after the first: five, then one after each wait.
fn allowed(elapsed: Duration) -> usize {
    5 + (1..).take_while(|n| elapsed.as_secs() + 1 >= (1 << n) - 1).count()
}

#[tokio::test]
async fn guesses_at_once_are_counted_like_guesses_one_by_one() {
    // What the proxy says is where a client is.
    let world =
        World::with(|service| service.env("SIGN_IN_LIMIT", "off").env("TRUSTED_PROXIES", "127.0.0.1/32"))
            .await;
    world.sign_up(ADA).await;
    let from = |place: &str, email: &str, password: String| {
        let request = world.anonymous().post("/auth/login").header("x-forwarded-for", place);
        request.json(&json!({ "email": email, "password": password })).send()
    };
    for email in [ADA, "nobody@shop.example"] {
        let start = Instant::now();
        let guesses = (0..45).map(|n| from("203.0.113.9", email, ["wrong one ", &n.to_string()].concat()));
        let answers = futures::future::join_all(guesses).await;
        let most = allowed(start.elapsed());
        let guessed = answers.iter().filter(|answer| answer.status == 401).count();
        assert!((5..=most).contains(&guessed), "{email}: {guessed} of 45, not 5 to {most}");
        let waits = answers.iter().filter(|answer| answer.status == 429).count();
        assert_eq!(guessed + waits, 45, "{email}: {answers:?}");
    }
    // Nobody else waits, and the account's budget has room for many more such places.
    from("203.0.113.77", ADA, SECRET.to_owned()).await.expect(200);
    let account = user_management::domain::throttle::account_key(ADA);
    let counted: i32 = sqlx::query_scalar("SELECT failures FROM login_backoff WHERE key = $1")
        .bind(account.as_bytes())
        .fetch_one(world.db.pool())
        .await
        .unwrap();
    assert!(counted <= 15, "{counted}");
}

#[tokio::test]
async fn what_the_owner_does_right_is_no_failure() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let me = world.anonymous().with_token(&world.login(ADA).await.access_token);
    for _ in 0..10 {
        world.login(ADA).await;
        me.post("/users/me/totp").json(&json!({ "password": SECRET })).send().await.expect(200);
    }
    world.age("UPDATE users SET status = 'disabled'").await;
    for _ in 0..10 {
        world.try_login(ADA, SECRET).await.expect_problem(Code::Forbidden);
    }
    assert_eq!(world.count("SELECT count(*) FROM login_backoff WHERE failures > 0").await, 0);
}

#[tokio::test]
async fn strangers_cannot_shut_a_user_out_of_a_known_place() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    world.login(ADA).await;
    // As after thirty failures from all over the world: no key but the account's own.
    let key = user_management::domain::throttle::account_key(ADA);
    sqlx::query("UPDATE login_backoff SET failures = 30, last_failure_at = now(), window_start = now() WHERE key = $1")
        .bind(key.as_bytes())
        .execute(world.db.pool())
        .await
        .unwrap();
    world.login(ADA).await;
    world.age("UPDATE known_places SET last_seen_at = now() - interval '31 days'").await;
    let refused = world.try_login(ADA, SECRET).await;
    refused.expect_problem(Code::TooManyRequests);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((890..=900).contains(&wait), "{wait}");
    world.age("UPDATE login_backoff SET window_start = now() - interval '15 minutes'").await;
    world.login(ADA).await;
}

#[tokio::test]
async fn one_address_has_a_quota_of_attempts_and_of_mails() {
    let world =
        World::with(|service| service.env("SIGN_IN_LIMIT", "3/3600").env("MAIL_LIMIT", "2/3600")).await;
    for n in 0..3 {
        world.try_login(&format!("{n}@shop.example"), SECRET).await.expect_problem(Code::InvalidCredentials);
    }
    let refused = world.try_login(ADA, SECRET).await;
    refused.expect_problem(Code::TooManyRequests);
    assert!(refused.header("ratelimit-policy").unwrap().contains("\"sign-in\""), "{:?}", refused.headers);
    assert!(refused.header("retry-after").is_some());

    world.forgot(ADA).await.expect(202);
    world.register(ADA, SECRET).await.expect(202);
    world.forgot(ADA).await.expect_problem(Code::TooManyRequests);
    // Who is signed in mails to whatever address they like, too.
    let person = world.person(Role::Customer).await;
    let moving = json!({ "email": "elsewhere@shop.example", "password": PASSWORD });
    let moved = person.client.post("/users/me/email").json(&moving).send().await;
    moved.expect_problem(Code::TooManyRequests);
}

#[tokio::test]
async fn a_hash_under_older_parameters_is_renewed_at_sign_in() {
    use argon2::{Argon2, Params, PasswordHasher as _};
    let world = World::start().await;
    world.sign_up(ADA).await;
    let older = Argon2::from(Params::new(1024, 1, 1, Some(32)).unwrap());
    let older = older.hash_password_with_salt(SECRET.as_bytes(), b"sixteen bytes it").unwrap().to_string();
    sqlx::query("UPDATE users SET password_hash = $1").bind(&older).execute(world.db.pool()).await.unwrap();
    world.login(ADA).await;
    let now: String =
        sqlx::query_scalar("SELECT password_hash FROM users").fetch_one(world.db.pool()).await.unwrap();
    assert!(now.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{now}");
    world.login(ADA).await;
}

/// What ends all sessions of an account must stay quick, whoever signs in how often.
#[tokio::test]
async fn an_account_has_a_hundred_sessions_at_most() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let first = world.login(ADA).await;
    world
        .age(
            "INSERT INTO sessions (id, user_id, expires_at, ends_at, last_used_at)
             SELECT gen_random_uuid(), id, now() + interval '1 hour', now() + interval '1 hour',
                    now() - interval '1 minute' FROM users, generate_series(1, 99)",
        )
        .await;
    world.age("UPDATE sessions SET last_used_at = now() - interval '1 hour' WHERE address <> ''").await;
    let live = async || world.count("SELECT count(*) FROM sessions WHERE revoked_at IS NULL").await;
    assert_eq!(live().await, 100);
    let last = world.login(ADA).await;
    assert_eq!(live().await, 100);
    assert!(world.opens(&last).await && !world.opens(&first).await, "the one that was used longest ago went");
    let told = world.count("SELECT count(*) FROM kit.outbox WHERE type = 'session.revoked'").await;
    assert_eq!(told, 1, "the other services hear of it");
}
