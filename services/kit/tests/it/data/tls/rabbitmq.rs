//! TLS to RabbitMQ.

use serde_json::json;
use shop_kit::outbox::{self, AmqpConfig, Relay};
use shop_testbed::PrivateRabbitMq;
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Log, authority, broker, file};
use crate::data::{Fresh, PATIENCE, until};

fn config(broker: &PrivateRabbitMq, host: &str, authority: &NamedTempFile) -> AmqpConfig {
    AmqpConfig {
        amqp_url: Some(broker.tls_url(host)),
        amqp_password_file: Some(broker.password_file()),
        amqp_ca_file: Some(authority.path().into()),
    }
}

#[tokio::test]
async fn only_the_broker_that_its_certificate_names_gets_events() {
    let ours = authority();
    let broker = broker(&ours).await;
    let fresh = Fresh::migrated().await;
    let database = fresh.database().await;
    let pool = &database.pool;
    let mut tx = pool.begin().await.unwrap();
    outbox::write(&mut *tx, "thing.changed", Uuid::now_v7(), &json!({})).await.unwrap();
    tx.commit().await.unwrap();
    let upto =
        async || -> i64 { sqlx::query_scalar("SELECT upto FROM kit.relay").fetch_one(pool).await.unwrap() };

    let trusted = file(&ours.pem());
    let foreign = file(&authority().pem());
    for (host, authority, cause) in
        [("localhost", &foreign, "invalid peer certificate"), ("127.0.0.1", &trusted, "not valid for name")]
    {
        let (log, stop) = (Log::default(), CancellationToken::new());
        let listening = log.listen();
        let relay = Relay::new(&config(&broker, host, authority), true, pool.clone(), "kit-test");
        let running = tokio::spawn(relay.unwrap().unwrap().run(stop.clone()));
        until(PATIENCE, async || log.text().contains(cause)).await;
        assert_eq!(upto().await, 0, "an event went to a broker that is not ours");
        stop.cancel();
        running.await.unwrap();
        drop(listening);
    }

    let stop = CancellationToken::new();
    let relay = Relay::new(&config(&broker, "localhost", &trusted), true, pool.clone(), "kit-test");
    tokio::spawn(relay.unwrap().unwrap().run(stop.clone()));
    until(PATIENCE, async || upto().await == 1).await;
    stop.cancel();
}
