//! Days and times of a week, in UTC. Must not read a clock.
use std::fmt;
use std::str::FromStr;

use toml::de::DeValue;

use crate::decode::{FromToml, Node};
use crate::problem::Collector;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Weekday(pub time::Weekday);

const DAYS: [(&str, time::Weekday); 7] = [
    ("mon", time::Weekday::Monday),
    ("tue", time::Weekday::Tuesday),
    ("wed", time::Weekday::Wednesday),
    ("thu", time::Weekday::Thursday),
    ("fri", time::Weekday::Friday),
    ("sat", time::Weekday::Saturday),
    ("sun", time::Weekday::Sunday),
];

impl FromStr for Weekday {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let day = DAYS.iter().find(|(name, _)| *name == text).map(|(_, day)| Self(*day));
        day.ok_or_else(|| "it is not one of mon, tue, wed, thu, fri, sat, sun".to_owned())
    }
}

impl fmt::Display for Weekday {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(DAYS[usize::from(self.0.number_days_from_monday())].0)
    }
}

/// A time of day to the minute, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimeOfDay(pub time::Time);

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let reason = "it is not a time from 00:00 to 23:59";
        let (hour, minute) = text.split_once(':').ok_or(reason)?;
        let number = |text: &str| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u8>().ok().filter(|_| digits)
        };
        let parts = number(hour).zip(number(minute));
        let time = parts.and_then(|(hour, minute)| time::Time::from_hms(hour, minute, 0).ok());
        Ok(Self(time.ok_or(reason)?))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

/// A calendar day, written without quotes in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date(pub time::Date);

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}-{:02}", self.0.year(), u8::from(self.0.month()), self.0.day())
    }
}

impl serde::Serialize for Date {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for Date {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date" })
    }
}

impl FromToml for Date {
    fn from_toml(node: Node<'_>, problems: &mut Collector) -> Option<Self> {
        let date = match node.value.get_ref() {
            DeValue::Datetime(value) if value.time.is_none() => value.date.and_then(|date| {
                let month = time::Month::try_from(date.month).ok()?;
                time::Date::from_calendar_date(date.year.into(), month, date.day).ok()
            }),
            _ => None,
        };
        if date.is_none() {
            node.expected("a date such as 2026-11-22, without quotes", problems);
        }
        date.map(Self)
    }
}

text_type! {
    Weekday: "a day: \"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\" or \"sun\"", "^(mon|tue|wed|thu|fri|sat|sun)$";
    TimeOfDay: "a time in UTC such as \"08:30\"", "^([01][0-9]|2[0-3]):[0-5][0-9]$";
}
