//! Numbers for Prometheus. Requests are counted here without a lock or an allocation, as this happens on every one;
//! everything else goes through the `metrics` macros. Labels are routes, never paths: their number is bounded.
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::boot::ServiceInfo;

/// Upper bounds of the duration histogram, in seconds: fine around the platform's objective of 500 ms at p95.
const BOUNDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The same in nanoseconds, so that a request compares integers.
const BOUNDS_NS: [u64; 13] = [
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other"];

/// What is counted for one route, by method. Lives as long as the process.
pub(crate) struct RouteSeries {
    /// The path with its placeholders, such as `/users/{id}`.
    pub path: &'static str,
    methods: [OnceLock<Box<Series>>; METHODS.len()],
}

struct Series {
    /// By status - 100.
    statuses: [AtomicU64; 500],
    /// By duration; the last one is beyond all bounds.
    buckets: [AtomicU64; BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

static ROUTES: Mutex<Vec<&'static RouteSeries>> = Mutex::new(Vec::new());
static IN_FLIGHT: AtomicI64 = AtomicI64::new(0);
static CONNECTIONS: AtomicI64 = AtomicI64::new(0);
static EXPORTER: OnceLock<PrometheusHandle> = OnceLock::new();

impl RouteSeries {
    /// The series of a path; the same one for the same path.
    pub(crate) fn of(path: &str) -> &'static RouteSeries {
        let mut routes = ROUTES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = routes.iter().find(|route| route.path == path) {
            return known;
        }
        let path = Box::leak(path.to_owned().into_boxed_str());
        let series = Box::leak(Box::new(RouteSeries { path, methods: Default::default() }));
        routes.push(series);
        series
    }

    /// Requests that no route took.
    pub(crate) fn unmatched() -> &'static RouteSeries {
        static UNMATCHED: OnceLock<&'static RouteSeries> = OnceLock::new();
        UNMATCHED.get_or_init(|| RouteSeries::of("unmatched"))
    }

    pub(crate) fn record(&self, method: &Method, status: StatusCode, took: Duration) {
        let series = self.methods[method_index(method)].get_or_init(Default::default);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        series.statuses[usize::from(status.as_u16()).clamp(100, 599) - 100].fetch_add(1, Relaxed);
        series.buckets[BOUNDS_NS.partition_point(|bound| *bound < nanoseconds)].fetch_add(1, Relaxed);
        series.sum_ns.fetch_add(nanoseconds, Relaxed);
    }
}

impl Default for Series {
    fn default() -> Self {
        Series {
            statuses: [const { AtomicU64::new(0) }; 500],
            buckets: [const { AtomicU64::new(0) }; BOUNDS_NS.len() + 1],
            sum_ns: AtomicU64::new(0),
        }
    }
}

/// The method's name; `other` for what is none of HTTP's: it is a word of the client, and might be a secret.
pub(crate) fn method_name(method: &Method) -> &'static str {
    METHODS[method_index(method)]
}

fn method_index(method: &Method) -> usize {
    METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len() - 1)
}

/// Counts one while it lives.
pub(crate) struct Gauge(&'static AtomicI64);

impl Gauge {
    pub(crate) fn request() -> Self {
        IN_FLIGHT.fetch_add(1, Relaxed);
        Gauge(&IN_FLIGHT)
    }

    pub(crate) fn connection() -> Self {
        CONNECTIONS.fetch_add(1, Relaxed);
        Gauge(&CONNECTIONS)
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Starts collecting what the `metrics` macros are told. Once for a process; again does nothing.
pub fn install() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_ok() {
        // The first who sets the recorder is the only one who gets here.
        let _first = EXPORTER.set(handle);
    }
}

/// Keeps histograms of the `metrics` macros from growing between two scrapes.
pub(crate) fn upkeep() {
    if let Some(exporter) = EXPORTER.get() {
        exporter.run_upkeep();
    }
}

/// Everything, in Prometheus' text format.
#[must_use]
pub fn render(info: &ServiceInfo) -> String {
    let mut text = EXPORTER.get().map(PrometheusHandle::render).unwrap_or_default();
    // Writing to a String cannot fail.
    let _infallible = render_requests(&mut text, info);
    text
}

fn render_requests(out: &mut String, info: &ServiceInfo) -> std::fmt::Result {
    writeln!(out, "# TYPE build_info gauge")?;
    writeln!(out, "build_info{{service=\"{}\",version=\"{}\"}} 1", info.name, info.version)?;
    writeln!(
        out,
        "# TYPE http_requests_in_flight gauge\nhttp_requests_in_flight {}",
        IN_FLIGHT.load(Relaxed)
    )?;
    writeln!(out, "# TYPE http_connections gauge\nhttp_connections {}", CONNECTIONS.load(Relaxed))?;
    let routes = ROUTES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let all = || {
        routes.iter().flat_map(|route| {
            METHODS
                .iter()
                .zip(&route.methods)
                .filter_map(|(method, cell)| Some((route.path, *method, cell.get()?)))
        })
    };
    writeln!(out, "# TYPE http_requests_total counter")?;
    for (route, method, series) in all() {
        for (status, count) in (100..).zip(&series.statuses) {
            let count = count.load(Relaxed);
            if count > 0 {
                let labels = format_args!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
                writeln!(out, "http_requests_total{{{labels}}} {count}")?;
            }
        }
    }
    writeln!(out, "# TYPE http_request_duration_seconds histogram")?;
    for (route, method, series) in all() {
        let labels = format!("method=\"{method}\",route=\"{route}\"");
        let mut total = 0;
        let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, bucket) in bounds.zip(&series.buckets) {
            total += bucket.load(Relaxed);
            writeln!(out, "http_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {total}")?;
        }
        let sum = Duration::from_nanos(series.sum_ns.load(Relaxed)).as_secs_f64();
        writeln!(out, "http_request_duration_seconds_sum{{{labels}}} {sum}")?;
        writeln!(out, "http_request_duration_seconds_count{{{labels}}} {total}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_in_every_bucket_from_its_duration_on() {
        let series = RouteSeries::of("/test/{of}/buckets");
        series.record(&Method::GET, StatusCode::OK, Duration::from_micros(2500));
        series.record(&Method::GET, StatusCode::NOT_FOUND, Duration::from_secs(60));
        let text = render(&ServiceInfo { name: "test", version: "1", about: "" });
        let labels = "method=\"GET\",route=\"/test/{of}/buckets\"";
        for line in [
            format!("http_requests_total{{{labels},status=\"200\"}} 1\n"),
            format!("http_requests_total{{{labels},status=\"404\"}} 1\n"),
            format!("http_request_duration_seconds_bucket{{{labels},le=\"0.001\"}} 0\n"),
            format!("http_request_duration_seconds_bucket{{{labels},le=\"0.0025\"}} 1\n"),
            format!("http_request_duration_seconds_bucket{{{labels},le=\"10\"}} 1\n"),
            format!("http_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 2\n"),
            format!("http_request_duration_seconds_sum{{{labels}}} 60.0025\n"),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }
}
