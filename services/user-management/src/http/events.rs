//! The domain events of this service, for other services to follow.

use axum::extract::State;
use serde::Deserialize;
use shop_api::{EventPage, Permission};
use shop_kit::{Access, ApiError, ApiRouter, Json, Query, Validate, Violations, outbox};
use utoipa::IntoParams;
use utoipa_axum::routes;

use crate::state::AppState;

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new().route(Access::Need(Permission::EventsRead), routes!(follow))
}

/// Where to read on.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventQuery {
    /// `next_after` of the page before; 0 at first.
    #[param(minimum = 0, example = 0)]
    after: i64,
    /// How many a page holds.
    #[param(nullable = false, minimum = 1, maximum = 500, example = 100)]
    limit: Option<u32>,
}

impl Validate for EventQuery {
    fn validate(&self, violations: &mut Violations) {
        violations.range("?after", self.after, 0, i64::MAX);
        violations.range("?limit", self.limit.unwrap_or(1), 1, outbox::MAX_PAGE);
    }
}

/// Follow the events
///
/// In an order that never changes behind a reader; each is told at least once.
#[utoipa::path(get, path = "/internal/events", tag = "services", params(EventQuery),
    responses((status = 200, body = EventPage), (status = 410, description = "Away for too long: some are not kept any more")))]
async fn follow(
    State(state): State<AppState>,
    Query(query): Query<EventQuery>,
) -> Result<Json<EventPage>, ApiError> {
    Ok(Json(outbox::read(&state.pool, query.after, query.limit.unwrap_or(100)).await?))
}
