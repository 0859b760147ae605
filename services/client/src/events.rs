//! The events that a service tells the others. One call; who follows keeps the place.

use serde::Serialize;
use shop_api::EventPage;

use crate::{Client, Result};

#[derive(Serialize)]
struct Place {
    after: i64,
    limit: u32,
}

impl Client {
    /// Events after a place in the log, at most `limit`; after 0 from the oldest that is kept.
    ///
    /// # Errors
    /// [`crate::ClientError`]; [`shop_api::Code::Gone`] when some after this place are not kept any more.
    pub async fn events(&self, after: i64, limit: u32) -> Result<EventPage> {
        self.get("/internal/events").query(&Place { after, limit }).send().await
    }
}
