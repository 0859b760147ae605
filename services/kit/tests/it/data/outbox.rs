//! Events: none lost, none twice, in order, whatever commits when.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use shop_api::Event;
use shop_kit::outbox::{OutboxError, prune, read, write};
use sqlx::PgPool;
use uuid::Uuid;

use super::Fresh;

async fn all(pool: &PgPool, after: i64) -> Vec<Event> {
    read(pool, after, 500).await.unwrap().events
}

async fn one(pool: &PgPool, kind: &str, aggregate: Uuid) {
    let mut tx = pool.begin().await.unwrap();
    write(&mut *tx, kind, aggregate, &json!({})).await.unwrap();
    tx.commit().await.unwrap();
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.r#type.as_str()).collect()
}

#[tokio::test]
async fn an_event_is_told_when_its_change_is_committed_and_not_before() {
    let fresh = Fresh::migrated().await;
    let pool = fresh.database().await.pool;
    let thing = Uuid::now_v7();
    let mut tx = pool.begin().await.unwrap();
    let id = write(&mut *tx, "thing.changed", thing, &json!({"to": 5})).await.unwrap();
    assert_eq!(all(&pool, 0).await, []);
    tx.commit().await.unwrap();
    let page = read(&pool, 0, 10).await.unwrap();
    let [event] = page.events.as_slice() else { panic!("{page:?}") };
    assert_eq!((event.id, event.aggregate, event.r#type.as_str()), (id, thing, "thing.changed"));
    assert_eq!((&event.data, page.next_after), (&json!({"to": 5}), event.seq));
    let nothing_new = read(&pool, page.next_after, 10).await.unwrap();
    assert_eq!((nothing_new.events.len(), nothing_new.next_after), (0, page.next_after));

    let mut undone = pool.begin().await.unwrap();
    write(&mut *undone, "thing.undone", thing, &json!({})).await.unwrap();
    undone.rollback().await.unwrap();
    assert_eq!(all(&pool, page.next_after).await, []);
}

/// The one that wrote first commits last: a reader that goes by the order of writing would step over it.
#[tokio::test]
async fn a_late_commit_is_not_stepped_over() {
    let fresh = Fresh::migrated().await;
    let pool = fresh.database().await.pool;
    let mut early = pool.begin().await.unwrap();
    write(&mut *early, "early", Uuid::now_v7(), &json!({})).await.unwrap();
    one(&pool, "late", Uuid::now_v7()).await;
    let first = read(&pool, 0, 10).await.unwrap();
    assert_eq!(kinds(&first.events), ["late"]);
    early.commit().await.unwrap();
    assert_eq!(kinds(&all(&pool, first.next_after).await), ["early"]);
    assert_eq!(kinds(&all(&pool, 0).await), ["late", "early"]);
}

/// The other way round: the transaction that began first (and so has the older number) writes last.
#[tokio::test]
async fn an_old_transaction_that_writes_late_is_not_stepped_over() {
    let fresh = Fresh::migrated().await;
    let pool = fresh.database().await.pool;
    let mut old = pool.begin().await.unwrap();
    sqlx::query("SELECT pg_current_xact_id()").execute(&mut *old).await.unwrap();
    let mut young = pool.begin().await.unwrap();
    write(&mut *young, "young", Uuid::now_v7(), &json!({})).await.unwrap();
    write(&mut *old, "old", Uuid::now_v7(), &json!({})).await.unwrap();
    old.commit().await.unwrap();
    let first = read(&pool, 0, 10).await.unwrap();
    assert_eq!(kinds(&first.events), ["old"]);
    young.commit().await.unwrap();
    assert_eq!(kinds(&all(&pool, first.next_after).await), ["young"]);
}

/// A transaction that somebody forgot does not hold up the events of others.
#[tokio::test]
async fn an_idle_transaction_holds_nobody_up() {
    let fresh = Fresh::migrated().await;
    let pool = fresh.database().await.pool;
    let mut idle = pool.begin().await.unwrap();
    sqlx::query("SELECT pg_current_xact_id()").execute(&mut *idle).await.unwrap();
    one(&pool, "told", Uuid::now_v7()).await;
    assert_eq!(kinds(&all(&pool, 0).await), ["told"]);
    idle.rollback().await.unwrap();
}

#[tokio::test]
async fn pages_join_without_a_seam() {
    let fresh = Fresh::migrated().await;
    let pool = fresh.database().await.pool;
    for n in 0..25 {
        one(&pool, &format!("e{n}"), Uuid::now_v7()).await;
    }
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = read(&pool, after, 10).await.unwrap();
        if page.events.is_empty() {
            break;
        }
        seen.extend(page.events.iter().map(|event| event.r#type.clone()));
        after = page.next_after;
    }
    assert_eq!(seen, (0..25).map(|n| format!("e{n}")).collect::<Vec<_>>());
    assert_eq!(read(&pool, 0, 0).await.unwrap().events.len(), 1, "a page of none would never end");
}

#[tokio::test]
async fn what_was_thrown_away_is_not_silently_missing() {
    let fresh = Fresh::migrated().await;
    let pool = fresh.database().await.pool;
    for n in 0..4 {
        one(&pool, &format!("e{n}"), Uuid::now_v7()).await;
    }
    let before = all(&pool, 0).await;
    let age = "UPDATE kit.outbox SET occurred_at = now() - interval '40 days' WHERE type IN ('e0', 'e1')";
    sqlx::query(age).execute(&pool).await.unwrap();
    let month = Duration::from_secs(30 * 86_400);
    assert_eq!(prune(&pool, month).await.unwrap(), 2);
    assert_eq!(prune(&pool, month).await.unwrap(), 0);
    let first = before[0].seq;
    let gone = read(&pool, first, 10).await.unwrap_err();
    assert!(
        matches!(gone, OutboxError::Gone { after, pruned } if (after, pruned) == (first, before[1].seq)),
        "{gone}"
    );
    assert_eq!(kinds(&read(&pool, 0, 10).await.unwrap().events), ["e2", "e3"], "who begins is not late");
    assert_eq!(kinds(&all(&pool, before[1].seq).await), ["e2", "e3"]);

    one(&pool, "unread", Uuid::now_v7()).await;
    sqlx::query("UPDATE kit.outbox SET occurred_at = now() - interval '40 days'")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(prune(&pool, month).await.unwrap(), 3, "what nobody ever read goes as well");
    assert_eq!(kinds(&all(&pool, 0).await), [""; 0]);
}

#[tokio::test]
async fn more_than_a_batch_is_thrown_away_at_once() {
    let fresh = Fresh::migrated().await;
    let pool = fresh.database().await.pool;
    let many = "INSERT INTO kit.outbox (id, type, aggregate, data, occurred_at)
                SELECT gen_random_uuid(), 'old', gen_random_uuid(), '{}', now() - interval '40 days'
                  FROM generate_series(1, 2500)";
    sqlx::query(many).execute(&pool).await.unwrap();
    one(&pool, "young", Uuid::now_v7()).await;
    assert_eq!(prune(&pool, Duration::from_secs(30 * 86_400)).await.unwrap(), 2500);
    assert_eq!(kinds(&all(&pool, 0).await), ["young"]);
}

#[tokio::test]
async fn a_reader_that_knows_more_than_there_is_is_told_so() {
    let fresh = Fresh::migrated().await;
    let pool = fresh.database().await.pool;
    one(&pool, "first", Uuid::now_v7()).await;
    let last = read(&pool, 0, 10).await.unwrap().next_after;
    let ahead = read(&pool, last + 1, 10).await.unwrap_err();
    assert!(
        matches!(ahead, OutboxError::Ahead { after, last: end } if after == last + 1 && end == last),
        "{ahead}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_readers_at_once() {
    const WRITERS: usize = 6;
    const EACH: usize = 40;
    let fresh = Fresh::migrated().await;
    let pool = fresh.database().await.pool;
    let things: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
    sqlx::query("CREATE TABLE things (id uuid PRIMARY KEY, n bigint NOT NULL DEFAULT 0)")
        .execute(&pool)
        .await
        .unwrap();
    for thing in &things {
        sqlx::query("INSERT INTO things VALUES ($1)").bind(thing).execute(&pool).await.unwrap();
    }
    let written = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (pool, written) = (pool.clone(), written.clone());
            tokio::spawn(async move {
                let (mut seen, mut after) = (Vec::new(), 0);
                loop {
                    // An empty page says nothing while another reader gives positions: it has them at its commit.
                    let last = written.load(Ordering::SeqCst) && all_have_positions(&pool).await;
                    let page = read(&pool, after, 7).await.unwrap();
                    after = page.next_after;
                    if page.events.is_empty() && last {
                        return seen;
                    }
                    seen.extend(page.events);
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (pool, things) = (pool.clone(), things.clone());
            tokio::spawn(async move {
                for step in 0..EACH {
                    let thing = things[(writer + step) % things.len()];
                    let mut tx = pool.begin().await.unwrap();
                    // The lock on the row decides the order of the thing's changes; a number may be taken before it.
                    sqlx::query("SELECT pg_current_xact_id()").execute(&mut *tx).await.unwrap();
                    let change = "UPDATE things SET n = n + 1 WHERE id = $1 RETURNING n";
                    let n: i64 = sqlx::query_scalar(change).bind(thing).fetch_one(&mut *tx).await.unwrap();
                    write(&mut *tx, "thing.changed", thing, &json!({"n": n})).await.unwrap();
                    if step % 10 == 9 { tx.rollback().await.unwrap() } else { tx.commit().await.unwrap() }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    written.store(true, Ordering::SeqCst);
    for reader in readers {
        let seen = reader.await.unwrap();
        assert_eq!(seen.iter().map(|event| event.id).collect::<HashSet<_>>().len(), WRITERS * EACH * 9 / 10);
        assert_eq!(seen.len(), WRITERS * EACH * 9 / 10);
        assert_in_order(&seen);
    }
}

async fn all_have_positions(pool: &PgPool) -> bool {
    let all = "SELECT NOT EXISTS (SELECT FROM kit.outbox WHERE seq IS NULL)";
    sqlx::query_scalar(all).fetch_one(pool).await.unwrap()
}

/// Each thing counts up by one from 1.
fn assert_in_order(seen: &[Event]) {
    let mut last: HashMap<Uuid, i64> = HashMap::new();
    for event in seen {
        let n = event.data["n"].as_i64().unwrap();
        let before = last.insert(event.aggregate, n).unwrap_or(0);
        assert_eq!(n, before + 1, "the changes of one thing are out of order");
    }
}
