//! Events reach a real RabbitMQ: all of them, in their order, over the broker's death, from one replica at a time.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use serde_json::json;
use shop_api::Event;
use shop_kit::outbox::{self, AmqpConfig, Relay};
use shop_testbed::PrivateRabbitMq;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::tls::{authority, broker};
use super::{Fresh, PATIENCE, until, within};

const QUEUE: &str = "everything";

fn config(broker: &PrivateRabbitMq) -> AmqpConfig {
    AmqpConfig {
        amqp_url: Some(broker.url()),
        amqp_password_file: Some(broker.password_file()),
        amqp_ca_file: None,
    }
}

fn relay(broker: &PrivateRabbitMq, pool: &PgPool, stop: &CancellationToken) {
    let relay = Relay::new(&config(broker), false, pool.clone(), "kit-test").unwrap().unwrap();
    tokio::spawn(relay.run(stop.clone()));
}

/// A reader as another team would write it: a queue of its own that gets everything.
async fn reader(broker: &PrivateRabbitMq) -> (Connection, Channel, Consumer) {
    let url = broker.url().replace("shop@", &format!("shop:{}@", broker.password()));
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await.unwrap();
    let bind = QueueBindOptions::default();
    // The exchange is there as soon as a relay has reached the broker.
    channel
        .queue_bind(QUEUE.into(), "shop.events".into(), "#".into(), bind, FieldTable::default())
        .await
        .unwrap();
    let unacknowledged = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let consumer =
        channel.basic_consume(QUEUE.into(), "reader".into(), unacknowledged, FieldTable::default());
    let consumer = consumer.await.unwrap();
    (connection, channel, consumer)
}

async fn write(pool: &PgPool, count: usize) {
    let things: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
    for number in 0..count {
        let mut tx = pool.begin().await.unwrap();
        let data = json!({ "number": number });
        outbox::write(&mut *tx, "thing.changed", things[number % 3], &data).await.unwrap();
        tx.commit().await.unwrap();
    }
}

async fn upto(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT upto FROM kit.relay").fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_reaches_the_broker_in_order_even_if_it_dies() {
    let mut broker = broker(&authority()).await;
    let fresh = Fresh::migrated().await;
    let database = fresh.database().await;
    let (pool, stop) = (&database.pool, CancellationToken::new());
    relay(&broker, pool, &stop);
    relay(&broker, pool, &stop);
    // Declares the exchange.
    write(pool, 1).await;
    until(PATIENCE, async || upto(pool).await == 1).await;
    let (_connection, _channel, mut consumer) = reader(&broker).await;

    write(pool, 450).await;
    until(PATIENCE, async || upto(pool).await == 451).await;
    let mut seen = read_from(&mut consumer, 2, 450).await;
    assert!(seen.values().all(|times| *times == 1), "two replicas give each event once");

    broker.kill().await.unwrap();
    write(pool, 30).await;
    broker.restart().await.unwrap();
    let (_connection, _channel, mut consumer) = reader(&broker).await;
    until(PATIENCE, async || upto(pool).await == 481).await;
    seen.extend(read_from(&mut consumer, 452, 30).await);
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), (2..=481).collect::<Vec<_>>());
    stop.cancel();
}

/// Reads until `count` different events have come: from this position on, in their order, each perhaps more than once.
async fn read_from(consumer: &mut Consumer, first: i64, count: usize) -> BTreeMap<i64, usize> {
    let mut seen = BTreeMap::new();
    let mut last = first - 1;
    while seen.len() < count {
        let delivery = within(PATIENCE, consumer.next()).await.unwrap().unwrap();
        let event: Event = serde_json::from_slice(&delivery.data).unwrap();
        let properties = &delivery.properties;
        assert_eq!(properties.app_id().as_ref().unwrap().as_str(), "kit-test");
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), event.id.to_string());
        assert_eq!((delivery.routing_key.as_str(), *properties.delivery_mode()), ("thing.changed", Some(2)));
        // What is given again is given again with all that followed it: nothing is ever stepped over.
        assert!(event.seq <= last + 1, "{} came after {last}", event.seq);
        last = event.seq;
        *seen.entry(event.seq).or_default() += 1;
    }
    seen
}

#[tokio::test]
async fn events_that_were_thrown_away_do_not_hold_up_the_rest() {
    let broker = broker(&authority()).await;
    let fresh = Fresh::migrated().await;
    let database = fresh.database().await;
    let (pool, stop) = (&database.pool, CancellationToken::new());
    write(pool, 5).await;
    outbox::read(pool, 0, 10).await.unwrap();
    assert_eq!(outbox::prune(pool, std::time::Duration::ZERO).await.unwrap(), 5);
    write(pool, 2).await;
    relay(&broker, pool, &stop);
    until(PATIENCE, async || upto(pool).await == 7).await;
    stop.cancel();
}
