//! A service follows another one's outbox: each event takes effect once, in order, over failures and replicas.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use async_trait::async_trait;
use serde_json::json;
use shop_api::{Event, EventPage};
use shop_kit::consumers::{ConsumeError, Consumer, catch_up, follow};
use shop_kit::outbox::{self, OutboxError};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Fresh, PATIENCE, until, within};

#[derive(Clone)]
struct Follower {
    /// The other service's database, asked directly: how events travel is not the question here.
    there: PgPool,
    /// `n` of the event that fails, and how often it still does.
    broken: Arc<(AtomicI64, AtomicUsize)>,
}

#[async_trait]
impl Consumer for Follower {
    fn source(&self) -> &'static str {
        "things"
    }

    async fn fetch(&self, after: i64, limit: u32) -> Result<EventPage, ConsumeError> {
        // Small pages, so that there are several.
        match outbox::read(&self.there, after, limit.min(10)).await {
            Err(OutboxError::Ahead { .. }) => Ok(EventPage::default()),
            page => Ok(page?),
        }
    }

    async fn apply(&self, tx: &mut PgConnection, event: &Event) -> Result<(), ConsumeError> {
        let n = event.data["n"].as_i64().ok_or("no n")?;
        sqlx::query("INSERT INTO effects (n) VALUES ($1)").bind(n).execute(tx).await?;
        let (at, times) = &*self.broken;
        if at.load(Ordering::SeqCst) == n && times.load(Ordering::SeqCst) > 0 {
            times.fetch_sub(1, Ordering::SeqCst);
            return Err("not now".into());
        }
        Ok(())
    }
}

struct World {
    here: PgPool,
    follower: Follower,
    stop: CancellationToken,
    _fresh: [Fresh; 2],
}

impl World {
    async fn make() -> Self {
        let fresh = [Fresh::migrated().await, Fresh::migrated().await];
        let (there, here) = (fresh[0].database().await.pool, fresh[1].database().await.pool);
        let table = "CREATE TABLE effects (at bigint GENERATED ALWAYS AS IDENTITY, n bigint)";
        sqlx::query(table).execute(&here).await.unwrap();
        let broken = Arc::new((AtomicI64::new(-1), AtomicUsize::new(0)));
        Self { here, follower: Follower { there, broken }, stop: CancellationToken::new(), _fresh: fresh }
    }

    async fn tell(&self, numbers: std::ops::Range<i64>) {
        for n in numbers {
            outbox::write(&self.follower.there, "thing.counted", Uuid::now_v7(), &json!({"n": n}))
                .await
                .unwrap();
        }
    }

    async fn effects(&self) -> Vec<i64> {
        sqlx::query_scalar("SELECT n FROM effects ORDER BY at").fetch_all(&self.here).await.unwrap()
    }

    async fn settle(&self, expected: std::ops::Range<i64>) {
        let expected: Vec<i64> = expected.collect();
        until(PATIENCE, async || self.effects().await.len() >= expected.len()).await;
        assert_eq!(self.effects().await, expected);
    }
}

#[tokio::test]
async fn what_is_told_takes_effect_and_a_restart_goes_on_where_it_was() {
    let world = World::make().await;
    world.tell(0..25).await;
    let first = tokio::spawn(follow(world.here.clone(), world.follower.clone(), world.stop.clone()));
    world.settle(0..25).await;
    world.stop.cancel();
    within(PATIENCE, first).await.unwrap();

    world.tell(25..30).await;
    let stop = CancellationToken::new();
    let second = tokio::spawn(follow(world.here.clone(), world.follower.clone(), stop.clone()));
    world.settle(0..30).await;
    stop.cancel();
    second.await.unwrap();
}

#[tokio::test]
async fn an_event_that_fails_is_tried_again_and_not_stepped_over() {
    let world = World::make().await;
    world.follower.broken.0.store(3, Ordering::SeqCst);
    // With the others of its page, alone, and once more.
    world.follower.broken.1.store(3, Ordering::SeqCst);
    world.tell(0..6).await;
    let task = tokio::spawn(follow(world.here.clone(), world.follower.clone(), world.stop.clone()));
    until(PATIENCE, async || world.follower.broken.1.load(Ordering::SeqCst) == 1).await;
    assert_eq!(world.effects().await, [0, 1, 2], "the failed one left something, or was stepped over");
    world.settle(0..6).await;
    world.stop.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_do_not_double_an_effect() {
    let world = World::make().await;
    world.tell(0..60).await;
    let tasks: Vec<_> = (0..2)
        .map(|_| tokio::spawn(follow(world.here.clone(), world.follower.clone(), world.stop.clone())))
        .collect();
    world.settle(0..60).await;
    world.stop.cancel();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(world.effects().await.len(), 60);
}

#[tokio::test]
async fn a_log_that_begins_again_is_read_from_its_beginning() {
    let world = World::make().await;
    sqlx::query("INSERT INTO kit.consumer (source, after) VALUES ('things', 1000)")
        .execute(&world.here)
        .await
        .unwrap();
    world.tell(0..5).await;
    let task = tokio::spawn(follow(world.here.clone(), world.follower.clone(), world.stop.clone()));
    world.settle(0..5).await;
    world.stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn who_catches_up_knows_all_that_was_told_before() {
    let world = World::make().await;
    world.tell(0..35).await;
    catch_up(&world.here, &world.follower).await.unwrap();
    assert_eq!(world.effects().await, (0..35).collect::<Vec<i64>>());
}

/// A database that was restored has lost its last events, and may have told as many others by the time it is asked.
#[tokio::test]
async fn a_log_that_was_restored_and_has_grown_again_is_read_again() {
    let world = World::make().await;
    world.tell(0..5).await;
    catch_up(&world.here, &world.follower).await.unwrap();
    assert_eq!(world.effects().await, [0, 1, 2, 3, 4]);
    for lost in ["DELETE FROM kit.outbox WHERE seq > 3", "UPDATE kit.outbox_head SET last = 3"] {
        sqlx::query(lost).execute(&world.follower.there).await.unwrap();
    }
    world.tell(7..10).await;
    // Somebody else has read them by then: they have their places, past ours.
    outbox::read(&world.follower.there, 0, 1).await.unwrap();
    catch_up(&world.here, &world.follower).await.unwrap();
    let after = world.effects().await;
    assert_eq!(after[5..], [0, 1, 2, 7, 8, 9], "all of it: what is new among it was never told");
    world.tell(10..11).await;
    catch_up(&world.here, &world.follower).await.unwrap();
    assert_eq!(world.effects().await[11..], [10], "and then it goes on");
}
