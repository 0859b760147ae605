//! Prometheus and Alertmanager. A test that needs rules or targets of its own writes them where these look.

use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::background::{Background, Start, is_ok};
use crate::tool::{Source, Tool};

static PROMETHEUS_TOOL: Tool =
    Tool { name: "prometheus", source: Source::Debian { packages: &["prometheus"], folders: &[] } };
static ALERTMANAGER_TOOL: Tool = Tool {
    name: "prometheus-alertmanager",
    source: Source::Debian { packages: &["prometheus-alertmanager"], folders: &[] },
};

/// Prometheus: takes targets from `targets/*.json` and rules from `rules/*.yml` of its folder, and reloads when asked
/// (`POST /-/reload`).
pub static PROMETHEUS: Background = Background {
    name: "prometheus",
    variable: Some("SHOP_TEST_PROMETHEUS"),
    tool: &PROMETHEUS_TOOL,
    ports: &["http"],
    password: false,
    patience: Duration::from_secs(30),
    command: prometheus,
    answers: |known| Box::pin(is_ok(known.port("http"), "/-/ready")),
    url: |known| format!("http://127.0.0.1:{}", known.port("http")),
};

/// Alertmanager: sends nowhere; what fires can be read from its API.
pub static ALERTMANAGER: Background = Background {
    name: "alertmanager",
    variable: None,
    tool: &ALERTMANAGER_TOOL,
    ports: &["http"],
    password: false,
    patience: Duration::from_secs(30),
    command: alertmanager,
    answers: |known| Box::pin(is_ok(known.port("http"), "/-/ready")),
    url: |known| format!("http://127.0.0.1:{}", known.port("http")),
};

fn prometheus(start: &Start<'_>) -> Result<Command> {
    let inside = |name: &str| start.folder.join(name).display().to_string();
    for folder in ["targets", "rules"] {
        std::fs::create_dir_all(start.folder.join(folder))?;
    }
    let settings = serde_json::json!({
        "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
        "rule_files": [inside("rules/*.yml")],
        "scrape_configs": [{ "job_name": "tests", "file_sd_configs": [{
            "files": [inside("targets/*.json")], "refresh_interval": "1s",
        }] }],
    });
    std::fs::write(start.folder.join("prometheus.yml"), settings.to_string())?;
    let mut command = Command::new(start.tool);
    command.args([
        format!("--config.file={}", inside("prometheus.yml")),
        format!("--storage.tsdb.path={}", inside("data")),
        "--storage.tsdb.retention.time=1d".to_owned(),
        format!("--web.listen-address=127.0.0.1:{}", start.known.port("http")),
        "--web.enable-lifecycle".to_owned(),
    ]);
    Ok(command)
}

fn alertmanager(start: &Start<'_>) -> Result<Command> {
    let inside = |name: &str| start.folder.join(name).display().to_string();
    let settings =
        serde_json::json!({ "route": { "receiver": "nobody" }, "receivers": [{ "name": "nobody" }] });
    std::fs::write(start.folder.join("alertmanager.yml"), settings.to_string())?;
    let mut command = Command::new(start.tool);
    command.args([
        format!("--config.file={}", inside("alertmanager.yml")),
        format!("--storage.path={}", inside("data")),
        format!("--web.listen-address=127.0.0.1:{}", start.known.port("http")),
        // Alone: without it, it looks for a network to form a cluster in.
        "--cluster.listen-address=".to_owned(),
    ]);
    Ok(command)
}
