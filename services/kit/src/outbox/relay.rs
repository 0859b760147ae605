//! Gives every event to RabbitMQ: at least once, in the order of the outbox, by one replica at a time. How far it came is
//! kept beside the events and moves only after the broker has confirmed. Whoever misses some asks the service itself.

use std::time::Duration;

use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{FieldTable, ShortString};
use shop_api::Event;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::amqp::{AmqpConfig, AmqpConfigError, Broker, EXCHANGE, Link};
use super::{OutboxError, read};
use crate::error::Chain;

/// How often a relay with nothing to give looks again.
const IDLE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Events on the wire before the broker must have confirmed them all.
const BATCH: u32 = 200;

/// A broker that confirms nothing for so long is away.
const CONFIRM: Duration = Duration::from_secs(10);

/// Kept by the broker over its restarts.
const PERSISTENT: u8 = 2;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The relay of one replica.
#[derive(Debug)]
pub struct Relay {
    pool: PgPool,
    broker: Broker,
    service: &'static str,
}

impl Relay {
    /// For the service of that name on the database of `pool`; `None` when no broker is configured.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(
        config: &AmqpConfig,
        protected: bool,
        pool: PgPool,
        service: &'static str,
    ) -> Result<Option<Self>, AmqpConfigError> {
        Ok(Broker::new(config, protected)?.map(|broker| Self { pool, broker, service }))
    }

    /// Gives until `stop`. While the broker is away the events wait in the outbox and nobody else does.
    pub async fn run(self, stop: CancellationToken) {
        let mut link = None;
        let mut failures = 0_u32;
        let mut said = String::new();
        while !stop.is_cancelled() {
            let pause = match self.step(&mut link).await {
                Ok(given) => {
                    (failures, said) = (0, String::new());
                    metrics::gauge!("dependency_up", "dependency" => "rabbitmq").set(1.0);
                    if given == BATCH as usize { Duration::ZERO } else { IDLE }
                }
                Err(error) => {
                    link = None;
                    metrics::gauge!("dependency_up", "dependency" => "rabbitmq").set(0.0);
                    metrics::counter!("relay_failures_total").increment(1);
                    let cause = Chain(&*error).to_string();
                    if cause != said {
                        // Once for each cause: it is tried every few seconds.
                        tracing::warn!(
                            error.message = cause,
                            "events could not be given to RabbitMQ; trying on"
                        );
                        said = cause;
                    }
                    failures += 1;
                    (IDLE * 2_u32.saturating_pow(failures.min(6))).min(LONGEST_PAUSE)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Gives the next events; answers how many. Another replica that gives just now has the row: then there are none.
    async fn step(&self, kept: &mut Option<Link>) -> Result<usize, Failure> {
        let link = match kept.take().filter(|link| link.channel.status().connected()) {
            Some(link) => kept.insert(link),
            None => kept.insert(self.broker.connect(self.service).await?),
        };
        // Read before the row is held: reading may take a connection of its own, and there may be only one.
        let upto: i64 = sqlx::query_scalar("SELECT upto FROM kit.relay").fetch_one(&self.pool).await?;
        let page = read(&self.pool, upto, BATCH).await;
        let mut tx = self.pool.begin().await?;
        let mine = sqlx::query("SELECT FROM kit.relay WHERE upto = $1 FOR UPDATE SKIP LOCKED").bind(upto);
        if mine.fetch_optional(&mut *tx).await?.is_none() {
            return Ok(0);
        }
        let (events, reached) = match page {
            Ok(page) => (page.events, page.next_after),
            Err(OutboxError::Gone { pruned, .. }) => {
                tracing::error!(from = upto, to = pruned, "events were thrown away before RabbitMQ got them");
                metrics::counter!("relay_lost_total").increment(u64::try_from(pruned - upto).unwrap_or(0));
                (Vec::new(), pruned)
            }
            Err(error) => return Err(error.into()),
        };
        if reached == upto {
            return Ok(0);
        }
        tokio::time::timeout(CONFIRM, publish(link, self.service, &events)).await??;
        sqlx::query("UPDATE kit.relay SET upto = $1, given_at = now()")
            .bind(reached)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        metrics::counter!("relay_events_total").increment(events.len() as u64);
        Ok(events.len())
    }
}

/// All are sent before the first confirmation is waited for: one channel keeps their order.
async fn publish(link: &Link, service: &'static str, events: &[Event]) -> Result<(), Failure> {
    let mut confirmations = Vec::with_capacity(events.len());
    for event in events {
        let body = serde_json::to_vec(event)?;
        let key = ShortString::from(event.r#type.as_str());
        let sent = link.channel.basic_publish(
            EXCHANGE.into(),
            key,
            BasicPublishOptions::default(),
            &body,
            properties(service, event),
        );
        confirmations.push(sent.await?);
    }
    for confirmation in confirmations {
        if !confirmation.await?.is_ack() {
            return Err("the broker refused an event".into());
        }
    }
    Ok(())
}

/// A reader tells by `message-id` what it has had already, and by `app-id` whose event it is.
fn properties(service: &'static str, event: &Event) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("seq".into(), event.seq.into());
    headers
        .insert("aggregate".into(), lapin::types::AMQPValue::LongString(event.aggregate.to_string().into()));
    BasicProperties::default()
        .with_app_id(service.into())
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_headers(headers)
        .with_message_id(event.id.to_string().into())
        .with_timestamp(u64::try_from(event.occurred_at.unix_timestamp()).unwrap_or(0))
        .with_type(event.r#type.as_str().into())
}
