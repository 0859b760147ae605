//! Keyset pages: a cursor says after which row the next page starts. A cursor is opaque to clients and is no secret:
//! it never decides what a caller may see, so it carries a checksum and no signature.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shop_api::page::{DEFAULT_LIMIT, MAX_LIMIT};
use shop_api::{Code, FieldError, Page, PageQuery};

use crate::ApiError;

/// Length of the checksum before the payload.
const TAG: usize = 8;

/// Longest cursor that is looked at.
const MAX_CURSOR: usize = 1024;

/// The columns a list is sorted by, as its cursor carries them. They must be unique together.
pub trait Keyset: Serialize + DeserializeOwned {
    /// Name of the list and of its order: a cursor of another one is refused.
    const LIST: &'static str;
}

/// Why a page cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Not made by this list.
    #[error("the cursor was not made by this list")]
    Cursor,
    /// Not a size that a page may have.
    #[error("limit must be between 1 and {MAX_LIMIT}")]
    Limit,
}

impl From<PageError> for ApiError {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Cursor => Self::code(Code::InvalidCursor),
            PageError::Limit => {
                let field = FieldError::new("?limit", "out_of_range", error.to_string());
                Self::code(Code::ValidationFailed).errors(vec![field])
            }
        }
    }
}

/// The part of a list that was asked for.
#[derive(Debug, Clone)]
pub struct Window<K> {
    limit: u32,
    /// The last row of the page before; `None` for the first page.
    pub after: Option<K>,
}

impl<K: Keyset> Window<K> {
    /// What the query asks for.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn of(query: &PageQuery) -> Result<Self, PageError> {
        Self::new(query.limit, query.cursor.as_deref())
    }

    /// The same from the two fields, for lists whose query has more of them.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn new(limit: Option<u32>, cursor: Option<&str>) -> Result<Self, PageError> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(PageError::Limit);
        }
        Ok(Self { limit, after: cursor.map(decode).transpose()? })
    }

    /// `LIMIT` of the statement: one row more than the page, which tells whether there is a next one.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The page made of at most [`Window::rows`] rows; `key` gives the keyset of a row.
    pub fn page<R, T>(&self, mut rows: Vec<R>, key: impl Fn(&R) -> K, item: impl FnMut(R) -> T) -> Page<T> {
        let more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        let next_cursor = rows.last().filter(|_| more).map(|row| encode(&key(row)));
        Page { items: rows.into_iter().map(item).collect(), next_cursor }
    }
}

fn tag<K: Keyset>(payload: &[u8]) -> [u8; TAG] {
    let digest = digest(&SHA256, &[K::LIST.as_bytes(), &[0], payload].concat());
    std::array::from_fn(|i| digest.as_ref()[i])
}

fn encode<K: Keyset>(key: &K) -> String {
    let payload = serde_json::to_vec(key).expect("a keyset is made of plain columns");
    URL_SAFE_NO_PAD.encode([&tag::<K>(&payload)[..], &payload].concat())
}

fn decode<K: Keyset>(cursor: &str) -> Result<K, PageError> {
    if cursor.len() > MAX_CURSOR {
        return Err(PageError::Cursor);
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| PageError::Cursor)?;
    let (found, payload) = bytes.split_first_chunk::<TAG>().ok_or(PageError::Cursor)?;
    if *found != tag::<K>(payload) {
        return Err(PageError::Cursor);
    }
    serde_json::from_slice(payload).map_err(|_| PageError::Cursor)
}
