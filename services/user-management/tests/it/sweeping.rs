//! What is over is thrown away, and nothing else.

use time::{Duration, OffsetDateTime};
use user_management::workers::sweep::sweep;
use uuid::Uuid;

use crate::visitor::SECRET;
use crate::world::World;

/// How long the audit log is kept here.
const KEPT: Duration = Duration::days(400);

#[tokio::test]
async fn only_what_is_over_goes() {
    let world = World::start().await;
    world.sign_up("ada@shop.example").await;
    let tokens = world.login("ada@shop.example").await;
    world.refresh(&tokens.refresh_token).await.expect(200);
    world.try_login("ada@shop.example", "the wrong one entirely").await.expect(401);
    world.register("late@shop.example", SECRET).await.expect(202);
    world.letters_are_out().await;
    let count = async || {
        world
            .count(
                "SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM sessions)
                      + (SELECT count(*) FROM refresh_tokens) + (SELECT count(*) FROM mail_tokens)
                      + (SELECT count(*) FROM login_backoff) + (SELECT count(*) FROM known_places)
                      + (SELECT count(*) FROM replaced_tokens)",
            )
            .await
    };
    let before = count().await;
    sweep(world.db.pool(), OffsetDateTime::now_utc(), KEPT).await.unwrap();
    assert_eq!(count().await, before, "all of it is still of use");

    world
        .age("UPDATE users SET created_at = created_at - interval '8 days' WHERE email_verified_at IS NULL")
        .await;
    world.age("UPDATE sessions SET expires_at = now() - interval '31 days'").await;
    world.age("UPDATE mail_tokens SET expires_at = now() - interval '1 second'").await;
    world.age("UPDATE login_backoff SET last_failure_at = now() - interval '3 days'").await;
    world.age("UPDATE known_places SET last_seen_at = now() - interval '31 days'").await;
    sweep(world.db.pool(), OffsetDateTime::now_utc(), KEPT).await.unwrap();
    assert_eq!(count().await, 1, "only the verified account is left");
}

/// Of a session that was ended nothing of the device is kept; one that nobody used any more is no other.
#[tokio::test]
async fn a_session_that_ended_by_itself_forgets_the_device() {
    let world = World::start().await;
    world.sign_up("ada@shop.example").await;
    world.login("ada@shop.example").await;
    let devices = "SELECT count(*) FROM sessions WHERE user_agent <> '' OR address <> ''";
    sweep(world.db.pool(), OffsetDateTime::now_utc(), KEPT).await.unwrap();
    assert_eq!(world.count(devices).await, 1, "it lives");
    world.age("UPDATE sessions SET expires_at = now() - interval '1 second'").await;
    sweep(world.db.pool(), OffsetDateTime::now_utc(), KEPT).await.unwrap();
    assert_eq!(world.count(devices).await, 0);
    assert_eq!(world.count("SELECT count(*) FROM sessions").await, 1, "its end is still told");
}

/// A registration that comes again begins its seven days anew.
#[tokio::test]
async fn a_registration_asked_for_again_is_not_thrown_away() {
    let world = World::start().await;
    world.register("late@shop.example", SECRET).await.expect(202);
    world.age("UPDATE users SET created_at = created_at - interval '8 days'").await;
    world.register("late@shop.example", SECRET).await.expect(202);
    sweep(world.db.pool(), OffsetDateTime::now_utc(), KEPT).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM users").await, 1);
}

/// The sweep takes rows in an order of its own and holds no account: of what somebody holds it keeps off, so that neither
/// waits for the other, and nothing goes that is of use again a moment later.
#[tokio::test]
async fn what_somebody_holds_is_left_to_the_next_sweep() {
    let world = World::start().await;
    world.register("late@shop.example", SECRET).await.expect(202);
    world.mail("late@shop.example", "Verify your e-mail address").await;
    world.sign_up("ada@shop.example").await;
    world.login("ada@shop.example").await;
    world.forgot("ada@shop.example").await.expect(202);
    world.letters_are_out().await;
    world.age("UPDATE users SET created_at = created_at - interval '8 days'").await;
    world.age("UPDATE sessions SET expires_at = now() - interval '31 days'").await;
    world.age("UPDATE mail_tokens SET expires_at = now() - interval '1 second'").await;
    world.age("UPDATE known_places SET last_seen_at = now() - interval '31 days'").await;
    let rows = "SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM sessions)
                     + (SELECT count(*) FROM mail_tokens) + (SELECT count(*) FROM known_places)";
    assert_eq!(world.count(rows).await, 6);

    let mut tx = world.db.pool().begin().await.unwrap();
    for held in [
        "UPDATE users SET email_verified_at = now()",
        "UPDATE sessions SET expires_at = ends_at",
        "UPDATE mail_tokens SET expires_at = now() + interval '1 hour'",
        "UPDATE known_places SET last_seen_at = now()",
    ] {
        sqlx::query(held).execute(&mut *tx).await.unwrap();
    }
    let swept = sweep(world.db.pool(), OffsetDateTime::now_utc(), KEPT);
    tokio::time::timeout(shop_test::PATIENCE, swept).await.expect("it waits for nobody").unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.count(rows).await, 6, "all of it is of use again");
}

#[tokio::test]
async fn the_audit_log_is_kept_for_as_long_as_was_said() {
    let world = World::start().await;
    for days in [500, 401, 399, 91, 89, 0] {
        world.entry(Uuid::nil(), days).await;
    }
    let left = async || world.count("SELECT count(*) FROM audit_log WHERE action = 'user.tested'").await;
    sweep(world.db.pool(), OffsetDateTime::now_utc(), KEPT).await.unwrap();
    assert_eq!(left().await, 4);
    sweep(world.db.pool(), OffsetDateTime::now_utc(), Duration::days(91)).await.unwrap();
    assert_eq!(left().await, 2);
    // Whatever the service is told: the table gives nothing younger up.
    sweep(world.db.pool(), OffsetDateTime::now_utc(), Duration::days(30)).await.unwrap_err();
    assert_eq!(left().await, 2);
}
