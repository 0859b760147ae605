//! How one line is written: by hand into a buffer that each thread keeps, as this happens on every request.
use std::cell::RefCell;
use std::fmt::{self, Write as _};

use time::OffsetDateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::AccessLine;
use crate::boot::ServiceInfo;
use crate::context::RequestContext;
use crate::metrics::method_name;

/// https://www.elastic.co/guide/en/ecs-logging/overview/current/intro.html
const ECS_VERSION: &str = "8.11";

pub(super) enum Style {
    /// The fields that are the same on every line.
    Json(String),
    Text {
        colours: bool,
    },
}

impl Style {
    pub(super) fn json(info: &ServiceInfo, environment: &str) -> Self {
        let mut fields = format!(",\"ecs.version\":\"{ECS_VERSION}\"");
        for (name, value) in [
            ("service.name", info.name),
            ("service.version", info.version),
            ("service.environment", environment),
        ] {
            field(&mut fields, name, value);
        }
        Style::Json(fields)
    }

    pub(super) fn text(colours: bool) -> Self {
        Style::Text { colours }
    }
}

pub(super) struct Lines {
    style: Style,
}

thread_local! {
    static BUFFER: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Lines {
    pub(super) fn new(style: Style) -> Self {
        Lines { style }
    }

    /// Calls `out` with the finished line. Something that logs while it is being logged gets a buffer of its own.
    fn write(&self, fill: impl FnOnce(&mut String), out: impl FnOnce(&[u8])) {
        BUFFER.with(|buffer| match buffer.try_borrow_mut() {
            Ok(mut line) => {
                line.clear();
                fill(&mut line);
                line.push('\n');
                out(line.as_bytes());
            }
            Err(_) => {
                let mut line = String::new();
                fill(&mut line);
                line.push('\n');
                out(line.as_bytes());
            }
        });
    }

    pub(super) fn access(&self, access: &AccessLine, out: impl FnOnce(&[u8])) {
        self.write(|line| self.access_line(access, line), out);
    }

    fn access_line(&self, access: &AccessLine, line: &mut String) {
        let status = access.status.as_u16();
        let level = if status >= 500 { Level::ERROR } else { Level::INFO };
        let milliseconds = access.took.as_micros() as f64 / 1000.0;
        // Writing to a String cannot fail.
        let _infallible = match &self.style {
            Style::Json(fixed) => {
                self.open(level, "request", fixed, line);
                field(line, "http.request.method", method_name(&access.method));
                field(line, "url.path", access.route);
                let nanoseconds = access.took.as_nanos();
                write!(line, ",\"http.response.status_code\":{status},\"event.duration\":{nanoseconds}}}")
            }
            Style::Text { colours } => {
                text_head(line, level, *colours);
                let method = method_name(&access.method);
                write!(line, "{method} {} {status} {milliseconds:.1}ms", access.route)
            }
        };
    }

    pub(super) fn event(&self, event: &Event<'_>, out: impl FnOnce(&[u8])) {
        self.write(|line| self.event_line(event, line), out);
    }

    fn event_line(&self, event: &Event<'_>, line: &mut String) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        match &self.style {
            Style::Json(fixed) => {
                self.open(*metadata.level(), &fields.message, fixed, line);
                field(line, "log.logger", metadata.target());
                for (name, value) in &fields.others {
                    match value {
                        Value::Plain(value) => {
                            let _infallible = write!(line, ",\"{name}\":{value}");
                        }
                        Value::Text(value) => field(line, name, value),
                    }
                }
                line.push('}');
            }
            Style::Text { colours } => {
                text_head(line, *metadata.level(), *colours);
                line.push_str(&fields.message);
                for (name, Value::Plain(value) | Value::Text(value)) in &fields.others {
                    let _infallible = write!(line, " {name}={value}");
                }
            }
        }
    }

    /// What every JSON line begins with.
    fn open(&self, level: Level, message: &str, fixed: &str, line: &mut String) {
        line.push_str("{\"@timestamp\":\"");
        timestamp(line);
        line.push_str("\",\"log.level\":\"");
        line.push_str(level_name(level));
        line.push('"');
        field(line, "message", message);
        line.push_str(fixed);
        RequestContext::with(|request| {
            let _infallible =
                write!(line, ",\"trace.id\":\"{}\",\"span.id\":\"{:016x}\"", request.id, request.span);
        });
    }
}

fn text_head(line: &mut String, level: Level, colours: bool) {
    timestamp(line);
    let colour = match level {
        Level::ERROR => "31",
        Level::WARN => "33",
        _ => "2",
    };
    let name = level_name(level);
    let _infallible =
        if colours { write!(line, " \x1b[{colour}m{name:>5}\x1b[0m ") } else { write!(line, " {name:>5} ") };
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// RFC 3339 with microseconds. The part down to the second is formatted once a second and thread.
fn timestamp(line: &mut String) {
    thread_local! {
        static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let now = OffsetDateTime::now_utc();
    SECOND.with(|cached| {
        let (second, text) = &mut *cached.borrow_mut();
        if *second != now.unix_timestamp() {
            *second = now.unix_timestamp();
            text.clear();
            let (date, time) = (now.date(), now.time());
            let (hour, minute, seconds) = time.as_hms();
            let _infallible = write!(
                text,
                "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{seconds:02}.",
                date.year(),
                u8::from(date.month()),
                date.day()
            );
        }
        let _infallible = write!(line, "{text}{:06}Z", now.microsecond());
    });
}

/// `,"name":"value"`, escaped.
fn field(line: &mut String, name: &str, value: &str) {
    line.push_str(",\"");
    line.push_str(name);
    line.push_str("\":\"");
    escape(line, value);
    line.push('"');
}

fn escape(line: &mut String, text: &str) {
    let mut clean_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escaped: &str = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        line.push_str(&text[clean_from..at]);
        clean_from = at + 1;
        if escaped.is_empty() {
            let _infallible = write!(line, "\\u{byte:04x}");
        } else {
            line.push_str(escaped);
        }
    }
    line.push_str(&text[clean_from..]);
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

enum Value {
    Plain(String),
    Text(String),
}

impl Fields {
    fn text(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.others.push((name, Value::Text(value))),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.push((field.name(), Value::Plain(value.to_string())));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.push((field.name(), Value::Plain(value.to_string())));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.push((field.name(), Value::Plain(value.to_string())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_break_out_of_its_line() {
        let mut line = String::from("{\"a\":1");
        field(&mut line, "b", "x\"}\n{\\\u{1}\tü");
        line.push('}');
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["b"], "x\"}\n{\\\u{1}\tü");
        assert!(!line.contains('\n'));
    }

    #[test]
    fn a_method_that_is_none_of_http_is_not_repeated() {
        let info = ServiceInfo { name: "test", version: "1.2.3", about: "" };
        for style in [Style::json(&info, "dev"), Style::text(false)] {
            let access = AccessLine {
                method: http::Method::from_bytes(b"-U_7CumuG-TvbCd1Uekx3oAcYcAo0G8cF4SiBlf51mI").unwrap(),
                route: "unmatched",
                status: http::StatusCode::NOT_FOUND,
                took: std::time::Duration::from_micros(10),
            };
            let mut written = Vec::new();
            Lines::new(style).access(&access, |bytes| written.extend_from_slice(bytes));
            let line = String::from_utf8(written).unwrap();
            assert!(line.contains("other") && !line.contains("7CumuG"), "{line}");
        }
    }

    #[test]
    fn an_access_line_is_one_json_object_with_ecs_names() {
        let info = ServiceInfo { name: "test", version: "1.2.3", about: "" };
        let lines = Lines::new(Style::json(&info, "dev"));
        let access = AccessLine {
            method: http::Method::GET,
            route: "/users/{id}",
            status: http::StatusCode::OK,
            took: std::time::Duration::from_micros(1500),
        };
        let mut written = Vec::new();
        lines.access(&access, |bytes| written.extend_from_slice(bytes));
        let line: serde_json::Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(line["service.name"], "test");
        assert_eq!(line["url.path"], "/users/{id}");
        assert_eq!(line["http.response.status_code"], 200);
        assert_eq!(line["event.duration"], 1_500_000);
        let stamp = line["@timestamp"].as_str().unwrap();
        let parsed = OffsetDateTime::parse(stamp, &time::format_description::well_known::Rfc3339).unwrap();
        assert!((OffsetDateTime::now_utc() - parsed).whole_seconds() < 60);
    }
}
