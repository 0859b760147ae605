//! Keyset pages: what a list answers and what it is asked.
//!
//! A cursor is opaque: only the service that made it reads it (shop-kit's `Cursor`).

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Violations;

/// The number of items when a client does not say.
pub const DEFAULT_LIMIT: u32 = 20;

/// The largest page a client may ask for.
pub const MAX_LIMIT: u32 = 100;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Give it back as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What every list is asked. Flatten nothing into it: a list with filters repeats the two fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Items on a page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(max_length = 1024)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl PageQuery {
    /// The number of items asked for, with the default filled in.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }
}

/// The rules of the two parameters that every list has.
pub fn check(v: &mut Violations, limit: Option<u32>, cursor: Option<&str>) {
    if let Some(limit) = limit {
        v.range("?limit", limit, 1, MAX_LIMIT);
    }
    if let Some(cursor) = cursor {
        v.length("?cursor", cursor, 1, 1024);
    }
}
