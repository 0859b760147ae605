//! Every bad field of a body or of parameters, not only the first that serde stumbles over.
//!
//! Serde stops at the first. So the bad value is replaced by one of another type, or taken out, and the body is read
//! again until it is read to its end or nothing helps. Only refused bodies pay for this, and only small ones.
use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shop_api::{FieldError, Validate, Violations};
use url::form_urlencoded;

use super::field_error;
use super::objects::Objects;
use super::params::read_pairs;

/// Larger bodies are told their first flaw only.
const MAX_BYTES: usize = 16 * 1024;

/// Times a body is read again, and so the most flaws that are told, roughly.
const MAX_ROUNDS: usize = 64;

/// The first flaw, and all that can be found behind it.
pub(super) fn all<T: DeserializeOwned + Validate>(bytes: &[u8], first: FieldError) -> Vec<FieldError> {
    let mut flaws = vec![first];
    // A body of another shape altogether has one flaw: itself.
    if bytes.len() > MAX_BYTES || flaws[0].pointer.is_empty() {
        return flaws;
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(bytes) else { return flaws };
    let mut tries: HashMap<String, usize> = HashMap::new();
    for _ in 0..MAX_ROUNDS {
        let (flaw, text) = match serde_path_to_error::deserialize::<_, T>(Objects(&body)) {
            Ok(value) => {
                add_violations(&mut flaws, &value);
                break;
            }
            Err(error) => {
                let text = error.inner().to_string();
                (field_error(error.path(), &text), text)
            }
        };
        let tried = tries.entry(flaw.pointer.clone()).or_default();
        *tried += 1;
        if !mend(&mut body, &flaw, &text, *tried) {
            break;
        }
        add(&mut flaws, flaw);
    }
    flaws
}

/// The same for the parameters of a query or a form.
pub(super) fn of_pairs<T: DeserializeOwned + Validate>(
    encoded: &[u8],
    mark: char,
    first: FieldError,
) -> Vec<FieldError> {
    let mut flaws = vec![first];
    if encoded.len() > MAX_BYTES {
        return flaws;
    }
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(encoded).into_owned().collect();
    let mut tries: HashMap<String, usize> = HashMap::new();
    for _ in 0..MAX_ROUNDS {
        let again = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let (flaw, text) = match read_pairs::<T>(again.as_bytes(), mark) {
            Ok(value) => {
                add_violations(&mut flaws, &value);
                break;
            }
            Err(flaw) => flaw,
        };
        let name = flaw.pointer.trim_start_matches(mark).to_owned();
        let tried = tries.entry(name.clone()).or_default();
        *tried += 1;
        let value = match flaw.code.as_str() {
            "unknown_field" => None,
            "unknown_value" => variant(&text).and_then(|value| value.as_str().map(str::to_owned)),
            _ => TEXTS.get(*tried - 1).map(ToString::to_string),
        };
        if value.is_none() && *tried > TEXTS.len() + 1 {
            break;
        }
        pairs.retain(|(given, _)| *given != name);
        pairs.extend(value.map(|value| (name, value)));
        add(&mut flaws, flaw);
    }
    flaws
}

/// What a parameter may be instead of what was sent: one of each format that is common.
const TEXTS: [&str; 6] =
    ["0", "true", "00000000-0000-0000-0000-000000000000", "2000-01-01T00:00:00Z", "2000-01-01", "EUR"];

/// Rules of what could be read; not those of values that stand in for bad ones.
fn add_violations<T: Validate>(flaws: &mut Vec<FieldError>, value: &T) {
    let mut violations = Violations::default();
    value.validate(&mut violations);
    violations.into_errors().into_iter().for_each(|flaw| add(flaws, flaw));
}

fn add(flaws: &mut Vec<FieldError>, flaw: FieldError) {
    let covers = |told: &FieldError| {
        let rest = flaw.pointer.strip_prefix(&told.pointer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if !flaws.iter().any(covers) {
        flaws.push(flaw);
    }
}

/// Makes the place readable, or at least differently unreadable. False when there is nothing left to try.
fn mend(body: &mut Value, flaw: &FieldError, text: &str, tried: usize) -> bool {
    let Some((parent, name)) = flaw.pointer.rsplit_once('/') else { return false };
    let name = name.replace("~1", "/").replace("~0", "~");
    let value = if flaw.code == "unknown_value" { variant(text) } else { stand_in(tried) };
    match (body.pointer_mut(parent), value) {
        (Some(Value::Object(fields)), _) if flaw.code == "unknown_field" => fields.remove(&name).is_some(),
        (Some(Value::Object(fields)), Some(value)) => {
            fields.insert(name, value);
            true
        }
        (Some(Value::Array(items)), Some(value)) => {
            let place = name.parse().ok().and_then(|at: usize| items.get_mut(at));
            place.map(|item| *item = value).is_some()
        }
        _ => false,
    }
}

/// One of each type, then of the formats that are common in requests.
fn stand_in(tried: usize) -> Option<Value> {
    let all = [
        json!(""),
        json!(0),
        json!(false),
        json!([]),
        json!({}),
        json!(null),
        json!("00000000-0000-0000-0000-000000000000"),
        json!("2000-01-01T00:00:00Z"),
        json!("EUR"),
    ];
    all.into_iter().nth(tried.checked_sub(1)?)
}

/// The first of the values that serde says it expected.
fn variant(text: &str) -> Option<Value> {
    let (_, expected) = text.rsplit_once("expected ")?;
    expected.split('`').nth(1).map(|name| json!(name))
}
