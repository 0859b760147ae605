//! Cursors: a walk over a list misses nothing, and what was not made by the list is refused.

use serde::{Deserialize, Serialize};
use shop_api::{Code, PageQuery};
use shop_kit::ApiError;
use shop_kit::page::{Keyset, PageError, Window};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ByName(String, u32);

impl Keyset for ByName {
    const LIST: &'static str = "things by name";
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Other(String, u32);

impl Keyset for Other {
    const LIST: &'static str = "others by name";
}

fn query(limit: u32, cursor: Option<String>) -> PageQuery {
    PageQuery { limit: Some(limit), cursor }
}

/// What a database would answer.
fn select(window: &Window<ByName>) -> Vec<ByName> {
    let all = (0..25).map(|n| ByName(format!("n{}", n / 4), n));
    let after = |row: &ByName| window.after.as_ref().is_none_or(|k| (&row.0, row.1) > (&k.0, k.1));
    all.filter(after).take(window.rows() as usize).collect()
}

#[test]
fn a_walk_sees_every_row_once_whatever_the_size() {
    for limit in [1, 4, 5, 24, 25, 26, 100] {
        let (mut seen, mut cursor, mut pages) = (vec![], None, 0);
        loop {
            let window = Window::<ByName>::of(&query(limit, cursor)).unwrap();
            let page = window.page(select(&window), ByName::clone, |row| row.1);
            assert!(page.items.len() <= limit as usize);
            seen.extend(page.items);
            pages += 1;
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..25).collect::<Vec<_>>());
        assert_eq!(pages, 25u32.div_ceil(limit), "a page of {limit} was followed by an empty one");
    }
}

#[test]
fn what_the_list_did_not_make_is_refused() {
    let window = Window::<ByName>::of(&query(5, None)).unwrap();
    let good = window.page(select(&window), ByName::clone, |row| row).next_cursor.unwrap();
    assert!(Window::<ByName>::of(&query(5, Some(good.clone()))).is_ok());
    assert_eq!(Window::<Other>::of(&query(5, Some(good.clone()))).unwrap_err(), PageError::Cursor);
    let mut forged: Vec<String> =
        ["", "x", "AAAA", "eyJhIjoxfQ", "\u{0}", "%00", "=", "'; DROP TABLE things; --"]
            .map(String::from)
            .to_vec();
    forged.push("A".repeat(100_000));
    for position in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        forged.push(String::from_utf8(bytes).unwrap());
    }
    for cursor in forged {
        let error = Window::<ByName>::of(&query(5, Some(cursor.clone()))).unwrap_err();
        assert_eq!(ApiError::from(error).kind(), Code::InvalidCursor, "{cursor}");
    }
}

#[test]
fn a_page_has_a_size() {
    for limit in [0, 101, 1_000_000_000] {
        let error = Window::<ByName>::of(&query(limit, None)).unwrap_err();
        let error = ApiError::from(error);
        assert_eq!(error.kind(), Code::ValidationFailed);
        assert_eq!(error.problem().errors[0].pointer, "?limit");
    }
    assert_eq!(Window::<ByName>::of(&PageQuery::default()).unwrap().rows(), 21);
}
