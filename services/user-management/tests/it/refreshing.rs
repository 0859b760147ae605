//! Refresh families: a token is used once, a stolen one ends the session, two tabs do not.

use std::collections::HashSet;

use shop_api::Code;
use shop_api::users::auth::Tokens;
use user_management::domain::token::SecretHash;
use user_management::workers::sweep::successors;

use crate::world::World;

const ADA: &str = "ada@shop.example";

async fn signed_in() -> (World, Tokens) {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let tokens = world.login(ADA).await;
    (world, tokens)
}

#[tokio::test]
async fn a_refresh_renews_both_tokens_and_keeps_the_session() {
    let (world, first) = signed_in().await;
    let answer = world.refresh(&first.refresh_token).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let second: Tokens = answer.json();
    assert_eq!(second.session_id, first.session_id);
    assert_ne!(second.refresh_token, first.refresh_token);
    assert!(world.opens(&second).await && world.opens(&first).await);
    let third: Tokens = world.refresh(&second.refresh_token).await.expect(200).json();
    assert!(world.opens(&third).await);
}

#[tokio::test]
async fn a_lost_answer_is_given_again_for_ten_seconds() {
    let (world, first) = signed_in().await;
    let second: Tokens = world.refresh(&first.refresh_token).await.expect(200).json();
    let again: Tokens = world.refresh(&first.refresh_token).await.expect(200).json();
    assert_eq!(again.refresh_token, second.refresh_token);
    world.age("UPDATE refresh_tokens SET used_at = used_at - interval '9 seconds'").await;
    let again: Tokens = world.refresh(&first.refresh_token).await.expect(200).json();
    assert_eq!(again.refresh_token, second.refresh_token);
    assert!(world.opens(&again).await);
}

#[tokio::test]
async fn an_old_token_after_the_grace_ends_the_family() {
    let (world, first) = signed_in().await;
    let second: Tokens = world.refresh(&first.refresh_token).await.expect(200).json();
    world.age("UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'").await;
    world.refresh(&first.refresh_token).await.expect_problem(Code::InvalidToken);
    assert!(!world.opens(&second).await && !world.opens(&first).await);
    world.refresh(&second.refresh_token).await.expect_problem(Code::SessionEnded);

    let user = sqlx::query_scalar("SELECT id FROM users").fetch_one(world.db.pool()).await.unwrap();
    assert!(world.audit(user).await.contains(&"session.refresh_reused".to_owned()));
    assert!(world.events(user).await.contains(&"session.revoked".to_owned()));
    world.login(ADA).await;
}

#[tokio::test]
async fn an_old_token_whose_successor_was_used_ends_the_family_even_within_the_grace() {
    let (world, first) = signed_in().await;
    let second: Tokens = world.refresh(&first.refresh_token).await.expect(200).json();
    let third: Tokens = world.refresh(&second.refresh_token).await.expect(200).json();
    world.refresh(&first.refresh_token).await.expect_problem(Code::InvalidToken);
    assert!(!world.opens(&third).await);
}

/// How many rows still hold a successor, sealed.
async fn sealed(world: &World) -> i64 {
    world.count("SELECT count(*) FROM refresh_tokens WHERE successor IS NOT NULL").await
}

/// Otherwise each token opens the next: an old one that leaked, and the database, would lead to the living one.
#[tokio::test]
async fn a_successor_that_was_used_is_sealed_nowhere() {
    let (world, first) = signed_in().await;
    let other = world.login(ADA).await;
    world.refresh(&other.refresh_token).await.expect(200);
    let second: Tokens = world.refresh(&first.refresh_token).await.expect(200).json();
    assert_eq!(sealed(&world).await, 2, "one for each session");
    let third: Tokens = world.refresh(&second.refresh_token).await.expect(200).json();
    assert_eq!(sealed(&world).await, 2, "only the successor of the second, and the other session's");
    let of = async |token: &str| -> bool {
        sqlx::query_scalar("SELECT successor IS NOT NULL FROM refresh_tokens WHERE hash = $1")
            .bind(SecretHash::of(token.as_bytes()).as_bytes())
            .fetch_one(world.db.pool())
            .await
            .unwrap()
    };
    assert!(!of(&first.refresh_token).await, "its successor was used");
    assert!(
        of(&second.refresh_token).await && of(&other.refresh_token).await,
        "these may be asked for again"
    );
    assert!(!of(&third.refresh_token).await);
}

#[tokio::test]
async fn a_successor_is_thrown_away_after_the_grace_and_not_before() {
    let (world, first) = signed_in().await;
    let second: Tokens = world.refresh(&first.refresh_token).await.expect(200).json();
    assert_eq!(successors(world.db.pool()).await.unwrap(), 0, "it may be asked for again");
    world.age("UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'").await;
    assert_eq!(successors(world.db.pool()).await.unwrap(), 1);
    assert_eq!(sealed(&world).await, 0);
    let third: Tokens = world.refresh(&second.refresh_token).await.expect(200).json();
    world.refresh(&first.refresh_token).await.expect_problem(Code::InvalidToken);
    assert!(!world.opens(&third).await, "a token from before the grace is still known");
}

/// The service does it by itself: nothing asks for it.
#[tokio::test]
async fn a_service_that_starts_throws_away_what_was_left() {
    let (world, first) = signed_in().await;
    world.refresh(&first.refresh_token).await.expect(200);
    world.age("UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'").await;
    let _replica = world.program().serve().await;
    shop_test::until("the sealed successor is gone", || async { sealed(&world).await == 0 }).await;
}

#[tokio::test]
async fn fifty_refreshes_at_once_leave_one_living_family() {
    let (world, first) = signed_in().await;
    let answers = futures::future::join_all((0..50).map(|_| world.refresh(&first.refresh_token))).await;
    let successors: HashSet<String> =
        answers.into_iter().map(|answer| answer.expect(200).json::<Tokens>().refresh_token).collect();
    assert_eq!(successors.len(), 1, "all got the same successor");
    assert_eq!(world.count("SELECT count(*) FROM refresh_tokens").await, 2);
    assert_eq!(world.count("SELECT count(*) FROM sessions WHERE revoked_at IS NULL").await, 1);
    let successor = successors.into_iter().next().unwrap();
    let next: Tokens = world.refresh(&successor).await.expect(200).json();
    assert!(world.opens(&next).await);
}

/// Each renewal leaves a row for as long as its session is kept.
#[tokio::test]
async fn a_session_has_a_quota_of_renewals() {
    let world = World::with(|service| service.env("REFRESH_LIMIT", "3/600")).await;
    world.sign_up(ADA).await;
    let mut tokens = world.login(ADA).await;
    for _ in 0..3 {
        tokens = world.refresh(&tokens.refresh_token).await.expect(200).json();
    }
    let rows = async || world.count("SELECT count(*) FROM refresh_tokens").await;
    assert_eq!(rows().await, 4);
    let refused = world.refresh(&tokens.refresh_token).await;
    refused.expect_problem(Code::TooManyRequests);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=200).contains(&wait), "{wait}");
    assert_eq!(rows().await, 4, "nothing was used up");
    assert!(world.opens(&tokens).await);
    let other = world.login(ADA).await;
    world.refresh(&other.refresh_token).await.expect(200);
}

/// A thief who renews without pause would otherwise hide behind the quota that they spend.
#[tokio::test]
async fn a_used_token_ends_its_session_though_the_quota_is_spent() {
    let world = World::with(|service| service.env("REFRESH_LIMIT", "3/600")).await;
    world.sign_up(ADA).await;
    let of_owner = world.login(ADA).await;
    let mut of_thief = of_owner.clone();
    for _ in 0..3 {
        of_thief = world.refresh(&of_thief.refresh_token).await.expect(200).json();
    }
    world.refresh(&of_thief.refresh_token).await.expect_problem(Code::TooManyRequests);
    world.refresh(&of_owner.refresh_token).await.expect_problem(Code::InvalidToken);
    assert!(!world.opens(&of_thief).await, "the thief is still in");
    assert_eq!(
        world.count("SELECT count(*) FROM audit_log WHERE action = 'session.refresh_reused'").await,
        1
    );
}

#[tokio::test]
async fn a_disabled_account_and_a_made_up_token_get_nothing() {
    let (world, tokens) = signed_in().await;
    world.refresh(&"A".repeat(43)).await.expect_problem(Code::InvalidToken);
    world.refresh("no token at all").await.expect_problem(Code::InvalidToken);
    world.age("UPDATE users SET status = 'disabled'").await;
    world.refresh(&tokens.refresh_token).await.expect_problem(Code::SessionEnded);
    assert!(!world.opens(&tokens).await);
    // Nothing was used up.
    world.age("UPDATE users SET status = 'active'").await;
    world.refresh(&tokens.refresh_token).await.expect(200);
}

#[tokio::test]
async fn the_database_holds_no_token() {
    let (world, first) = signed_in().await;
    let second: Tokens = world.refresh(&first.refresh_token).await.expect(200).json();
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT r::text FROM refresh_tokens r").fetch_all(world.db.pool()).await.unwrap();
    let hex = |token: &str| token.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    for token in [&first.refresh_token, &second.refresh_token] {
        assert!(
            rows.iter().all(|row| !row.contains(token.as_str()) && !row.contains(&hex(token))),
            "{rows:?}"
        );
    }
}
