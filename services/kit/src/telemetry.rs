//! The log: one line an event, as JSON with ECS names or as text for people. It goes through a bounded buffer to a
//! thread of its own, so that no request waits for the terminal.
//!
//! Never written: query strings, bodies, headers, tokens, addresses of people.
mod line;
mod sink;

use std::io::IsTerminal;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;

use crate::boot::ServiceInfo;
use crate::config::LogConfig;
use line::{Lines, Style};
use sink::{Keep, Sink};

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, with the names of the Elastic Common Schema.
    Json,
    /// For people.
    Text,
}

/// Which successful requests get an access line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// Every one.
    All,
    /// None.
    Off,
    /// One of so many.
    OneOf(u32),
}

impl FromStr for AccessLog {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(AccessLog::All),
            "none" => Ok(AccessLog::Off),
            _ => match text.parse() {
                Ok(of @ 1..) => Ok(AccessLog::OneOf(of)),
                _ => Err("must be all, none or a number of at least 1"),
            },
        }
    }
}

struct Log {
    lines: Lines,
    sink: Sink,
    access: AccessLog,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Everything written so far is on its way out when this is dropped.
#[must_use = "dropping it ends the log"]
pub struct Flush(());

impl Drop for Flush {
    fn drop(&mut self) {
        flush();
    }
}

/// Starts the log of the process and makes panics part of it.
///
/// # Errors
/// When the filter cannot be understood.
pub fn init(info: &ServiceInfo, environment: &str, config: &LogConfig) -> Result<Flush, String> {
    let filter =
        EnvFilter::try_new(&config.filter).map_err(|error| format!("LOG cannot be understood: {error}"))?;
    let terminal = std::io::stdout().is_terminal();
    let format = config.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let style = match format {
        LogFormat::Json => Style::json(info, environment),
        LogFormat::Text => Style::text(terminal),
    };
    let log = Log { lines: Lines::new(style), sink: Sink::stdout(), access: config.access };
    if LOG.set(log).is_ok() {
        let subscriber = tracing_subscriber::registry().with(filter).with(EventLayer);
        // A test harness may have set its own: then it wants the events.
        let _first = tracing::subscriber::set_global_default(subscriber);
        std::panic::set_hook(Box::new(|panic| {
            let at = panic.location().map(ToString::to_string).unwrap_or_default();
            // The payload may hold what a client sent: the place is enough to find the bug.
            tracing::error!(error.r#type = "panic", log.origin = at, "a bug stopped a piece of work");
        }));
    }
    Ok(Flush(()))
}

/// Waits until everything written so far is out.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.sink.flush();
    }
}

/// One request that was answered, or that the client gave up (status 499, as nginx names it).
pub(crate) struct AccessLine {
    pub method: Method,
    pub route: &'static str,
    pub status: StatusCode,
    pub took: Duration,
}

/// Writes an access line, unless it is of a success and successes are left out.
pub(crate) fn access(line: &AccessLine) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Some(log) = LOG.get() else { return };
    let failed = line.status.is_client_error() || line.status.is_server_error();
    let wanted = failed
        || match log.access {
            AccessLog::All => true,
            AccessLog::Off => false,
            AccessLog::OneOf(of) => COUNT.fetch_add(1, Ordering::Relaxed).is_multiple_of(of),
        };
    if wanted {
        let keep = if line.status.is_server_error() { Keep::Always } else { Keep::IfRoom };
        log.lines.access(line, |bytes| log.sink.write(bytes, keep));
    }
}

struct EventLayer;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for EventLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let Some(log) = LOG.get() else { return };
        let keep =
            if *event.metadata().level() <= tracing::Level::WARN { Keep::Always } else { Keep::IfRoom };
        log.lines.event(event, |bytes| log.sink.write(bytes, keep));
    }
}
