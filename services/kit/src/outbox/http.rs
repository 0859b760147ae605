//! The route by which other services follow this one's events.

use axum::extract::{FromRef, State};
use serde::Deserialize;
use shop_api::{EventPage, Permission, Validate, Violations};
use sqlx::PgPool;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::{MAX_PAGE, read};
use crate::{Access, ApiError, ApiRouter, Json, Query};

/// Events of a page when the reader does not say.
const DEFAULT_PAGE: u32 = 100;

/// `GET /internal/events`, for services only.
#[must_use]
pub fn router<S>() -> ApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    PgPool: FromRef<S>,
{
    ApiRouter::new().route(Access::Need(Permission::EventsRead), routes!(follow))
}

/// Where to read on.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventQuery {
    /// `next_after` of the page before; 0 at first, for the oldest that is kept.
    #[param(minimum = 0, example = 0)]
    after: i64,
    /// How many a page holds.
    #[param(nullable = false, minimum = 1, maximum = 500, example = 100)]
    limit: Option<u32>,
}

impl Validate for EventQuery {
    fn validate(&self, violations: &mut Violations) {
        violations.range("?after", self.after, 0, i64::MAX);
        violations.range("?limit", self.limit.unwrap_or(DEFAULT_PAGE), 1, MAX_PAGE);
    }
}

/// Follow the events
///
/// In an order that never changes behind a reader; each is told at least once.
#[utoipa::path(get, path = "/internal/events", tag = "services", params(EventQuery),
    responses(
        (status = 200, body = EventPage),
        (status = 410, description = "Away for too long: some are not kept any more"),
    ))]
async fn follow(
    State(pool): State<PgPool>,
    Query(query): Query<EventQuery>,
) -> Result<Json<EventPage>, ApiError> {
    Ok(Json(read(&pool, query.after, query.limit.unwrap_or(DEFAULT_PAGE)).await?))
}
