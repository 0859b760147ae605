//! Domain events as one service tells them to the others.
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::EventId;

/// Something that happened, told at least once and in order for each aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// The same in every delivery.
    pub id: EventId,
    /// The place in the log of the service that tells it.
    pub seq: i64,
    /// What happened, such as `user.deleted`.
    pub r#type: String,
    /// What it happened to.
    pub aggregate: Uuid,
    /// When it happened (RFC 3339, UTC).
    #[serde(with = "time::serde::rfc3339")]
    pub occurred_at: OffsetDateTime,
    /// What is special about the type.
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}

// The default one says to a follower: begin again.
/// Some events after a place in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "events": [{
        "id": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a76", "seq": 42, "type": "thing.changed",
        "aggregate": "01936f5e-7a30-7c4e-8b1a-3f9d2c5e6a70", "occurred_at": "2026-11-22T09:00:00Z", "data": {}
    }],
    "next_after": 42
}))]
pub struct EventPage {
    /// In order of `seq`.
    pub events: Vec<Event>,
    /// Give it back as `after`; the same as before when there was nothing new.
    pub next_after: i64,
    /// The event at the place that was asked after, while it is kept. Where it is not the one that was read there, the log
    /// was restored or made anew: begin again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<EventId>,
}
