//! A forgotten password: its token works once and for half an hour, and a reset ends every session.

use serde_json::json;
use shop_api::Code;

use crate::visitor::SECRET;
use crate::world::World;

const ADA: &str = "ada@shop.example";
const RESET: &str = "Set a new password";
const FRESH: &str = "a fresh one for the harbour";

#[tokio::test]
async fn a_reset_ends_every_session_and_works_once() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let (one, two) = (world.login(ADA).await, world.login(ADA).await);
    world.forgot(ADA).await.expect(202);
    let token = world.mailed_token(ADA, RESET).await;
    assert!(world.opens(&one).await, "asking changes nothing");

    world.reset(&token, "football2026").await.expect_problem(Code::WeakPassword);
    world.reset(&token, FRESH).await.expect(204);
    assert!(!world.opens(&one).await && !world.opens(&two).await);
    world.refresh(&one.refresh_token).await.expect_problem(Code::SessionEnded);
    world.try_login(ADA, SECRET).await.expect_problem(Code::InvalidCredentials);
    world.try_login(ADA, FRESH).await.expect(200);
    world.reset(&token, "another one for the harbour").await.expect_problem(Code::TokenUnusable);
    world.mail(ADA, "Your password was changed").await;

    let user = sqlx::query_scalar("SELECT id FROM users").fetch_one(world.db.pool()).await.unwrap();
    assert!(world.events(user).await.contains(&"session.revoked".to_owned()));
    assert!(world.audit(user).await.contains(&"password.reset".to_owned()));
}

#[tokio::test]
async fn an_expired_or_foreign_token_resets_nothing() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    world.forgot(ADA).await.expect(202);
    let first = world.mailed_token(ADA, RESET).await;
    world.verify(&first).await.expect_problem(Code::TokenUnusable);
    world.half_an_hour_passes().await;
    world.reset(&first, FRESH).await.expect_problem(Code::TokenUnusable);

    world.mailbox.clear().unwrap();
    world.forgot(ADA).await.expect(202);
    let second = world.mailed_token(ADA, RESET).await;
    world.reset(&first, FRESH).await.expect_problem(Code::TokenUnusable);
    world.login(ADA).await;
    world.reset(&second, FRESH).await.expect(204);
}

/// Two links of one account, the second asked for by whoever.
async fn two_links(world: &World) -> [String; 2] {
    world.sign_up(ADA).await;
    world.forgot(ADA).await.expect(202);
    let first = world.mailed_token(ADA, RESET).await;
    world.age("UPDATE mail_tokens SET created_at = created_at - interval '2 minutes'").await;
    world.mailbox.clear().unwrap();
    world.forgot(ADA).await.expect(202);
    [first, world.mailed_token(ADA, RESET).await]
}

#[tokio::test]
async fn a_stranger_who_asks_takes_nobodys_link_away() {
    let world = World::start().await;
    let [first, second] = two_links(&world).await;
    assert_ne!(first, second);
    world.reset(&first, FRESH).await.expect(204);
    world.reset(&second, SECRET).await.expect_problem(Code::TokenUnusable);
    assert_eq!(world.count("SELECT count(*) FROM replaced_tokens").await, 0);
}

#[tokio::test]
async fn links_end_together_and_each_in_its_time() {
    let world = World::start().await;
    let [first, second] = two_links(&world).await;
    world.reset(&second, FRESH).await.expect(204);
    world.reset(&first, SECRET).await.expect_problem(Code::TokenUnusable);
    world.try_login(ADA, FRESH).await.expect(200);

    let world = World::start().await;
    let [first, second] = two_links(&world).await;
    world.age("UPDATE replaced_tokens SET expires_at = now()").await;
    world.reset(&first, FRESH).await.expect_problem(Code::TokenUnusable);
    world.reset(&second, FRESH).await.expect(204);
}

#[tokio::test]
async fn of_many_resets_with_one_token_one_wins() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    world.forgot(ADA).await.expect(202);
    let token = world.mailed_token(ADA, RESET).await;
    let passwords: Vec<String> = (0..10).map(|n| format!("attempt {n} at the harbour")).collect();
    let answers =
        futures::future::join_all(passwords.iter().map(|password| world.reset(&token, password))).await;
    let won: Vec<usize> = (0..10).filter(|n| answers[*n].status.as_u16() == 204).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    world.try_login(ADA, &passwords[won[0]]).await.expect(200);
}

#[tokio::test]
async fn the_mailbox_also_proves_an_address_that_was_never_verified() {
    let world = World::start().await;
    world.register(ADA, SECRET).await.expect(202);
    world.forgot(ADA).await.expect(202);
    let token = world.mailed_token(ADA, RESET).await;
    world.reset(&token, FRESH).await.expect(204);
    world.try_login(ADA, FRESH).await.expect(200);
    let user = sqlx::query_scalar("SELECT id FROM users").fetch_one(world.db.pool()).await.unwrap();
    assert_eq!(world.events(user).await, ["user.registered", "user.verified"]);
    assert!(world.audit(user).await.contains(&"user.verified".to_owned()));
}

#[tokio::test]
async fn nobody_and_the_disabled_get_no_mail() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    world.age("UPDATE users SET status = 'disabled'").await;
    world.mailbox.clear().unwrap();
    world.forgot(ADA).await.expect(202);
    world.forgot("nobody@shop.example").await.expect(202);
    let resend = json!({ "email": "nobody@shop.example" });
    world.anonymous().post("/auth/verify/resend").json(&resend).send().await.expect(202);
    world.letters_are_out().await;
    assert!(world.mailbox.list().is_empty(), "{:?}", world.mailbox.list());
}

#[tokio::test]
async fn a_link_that_was_mailed_before_the_account_was_disabled_resets_nothing() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    world.forgot(ADA).await.expect(202);
    let token = world.mailed_token(ADA, RESET).await;
    world.age("UPDATE users SET status = 'disabled'").await;
    world.reset(&token, FRESH).await.expect_problem(Code::TokenUnusable);
    world.age("UPDATE users SET status = 'active'").await;
    world.login(ADA).await;
    world.reset(&token, FRESH).await.expect(204);
}

/// The log-in has compared the old password and is about to write its session when the reset commits.
#[tokio::test]
async fn a_log_in_under_way_does_not_outlive_a_reset() {
    use user_management::db::sessions::{self, Start};
    use user_management::domain::token::Token;
    let world = World::start().await;
    world.sign_up(ADA).await;
    let (user, old): (uuid::Uuid, String) =
        sqlx::query_as("SELECT id, password_hash FROM users").fetch_one(world.db.pool()).await.unwrap();
    world.forgot(ADA).await.expect(202);
    let token = world.mailed_token(ADA, RESET).await;

    // A session that was written, not committed: the reset waits for it and ends it.
    let refresh = Token::generate();
    let start = Start {
        user: user.into(),
        password_hash: &old,
        user_agent: "",
        address: "",
        refresh: refresh.hash(),
    };
    let mut tx = world.db.pool().begin().await.unwrap();
    sessions::start(&mut tx, &start).await.unwrap().unwrap();
    let (answer, ()) = futures::join!(world.reset(&token, FRESH), async {
        shop_test::until("the reset waits for the account's row", || async { world.somebody_waits().await })
            .await;
        tx.commit().await.unwrap();
    });
    answer.expect(204);
    assert_eq!(world.count("SELECT count(*) FROM sessions WHERE revoked_at IS NULL").await, 0);
    world.refresh(refresh.reveal()).await.expect_problem(Code::SessionEnded);

    // And one that comes after the reset is not written at all.
    let mut tx = world.db.pool().begin().await.unwrap();
    assert!(sessions::start(&mut tx, &start).await.unwrap().is_none());
}
