//! A registry of images on the loopback, which Docker and containerd speak to without TLS. Keeps what is pushed; deletes
//! what it is asked to.

use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::background::{Background, Start, is_ok};
use crate::tool::{Source, Tool};

static TOOL: Tool =
    Tool { name: "docker-registry", source: Source::Debian { packages: &["docker-registry"], folders: &[] } };

/// The registry: `SHOP_TEST_REGISTRY` if set, else our own.
pub static REGISTRY: Background = Background {
    name: "registry",
    variable: Some("SHOP_TEST_REGISTRY"),
    tool: &TOOL,
    ports: &["http"],
    password: false,
    patience: Duration::from_secs(20),
    command,
    answers: |known| Box::pin(is_ok(known.port("http"), "/v2/")),
    url: |known| format!("http://127.0.0.1:{}", known.port("http")),
};

fn command(start: &Start<'_>) -> Result<Command> {
    // JSON is YAML.
    let settings = serde_json::json!({
        "version": 0.1,
        "log": { "level": "info", "accesslog": { "disabled": true } },
        "storage": {
            "filesystem": { "rootdirectory": start.folder.join("data") },
            "delete": { "enabled": true },
        },
        "http": { "addr": format!("127.0.0.1:{}", start.known.port("http")) },
    });
    let file = start.folder.join("config.yml");
    std::fs::write(&file, settings.to_string())?;
    let mut command = Command::new(start.tool);
    command.arg("serve").arg(file);
    Ok(command)
}
