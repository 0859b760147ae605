//! What is over is thrown away, and nothing else.

use time::OffsetDateTime;
use user_management::workers::sweep::sweep;

use crate::visitor::SECRET;
use crate::world::World;

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
                      + (SELECT count(*) FROM login_backoff) + (SELECT count(*) FROM known_places)",
            )
            .await
    };
    let before = count().await;
    sweep(world.db.pool(), OffsetDateTime::now_utc()).await.unwrap();
    assert_eq!(count().await, before, "all of it is still of use");

    world
        .age("UPDATE users SET created_at = created_at - interval '8 days' WHERE email_verified_at IS NULL")
        .await;
    world.age("UPDATE sessions SET expires_at = now() - interval '31 days'").await;
    world.age("UPDATE mail_tokens SET expires_at = now() - interval '1 second'").await;
    world.age("UPDATE login_backoff SET last_failure_at = now() - interval '3 days'").await;
    world.age("UPDATE known_places SET last_seen_at = now() - interval '31 days'").await;
    sweep(world.db.pool(), OffsetDateTime::now_utc()).await.unwrap();
    assert_eq!(count().await, 1, "only the verified account is left");
}

/// A registration that comes again begins its seven days anew.
#[tokio::test]
async fn a_registration_asked_for_again_is_not_thrown_away() {
    let world = World::start().await;
    world.register("late@shop.example", SECRET).await.expect(202);
    world.age("UPDATE users SET created_at = created_at - interval '8 days'").await;
    world.register("late@shop.example", SECRET).await.expect(202);
    sweep(world.db.pool(), OffsetDateTime::now_utc()).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM users").await, 1);
}
