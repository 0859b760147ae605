//! Elasticsearch, the one that SonarQube's archive brings: without index lifecycles and data streams, whose plugins are
//! left out there. One node without security, on the loopback.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use shop_devstack::ELASTICSEARCH_LOG;
use shop_devstack::component::Account;

use super::java;
use super::sonarqube::TOOL;
use crate::background::{Background, Start, is_ok};
use crate::{Bed, Result};

const NAME: &str = "elasticsearch";

/// Elasticsearch: `ELASTICSEARCH_URL` if set, else our own.
pub static ELASTICSEARCH: Background = Background {
    name: NAME,
    variable: Some("ELASTICSEARCH_URL"),
    tool: &TOOL,
    ports: &["http", "transport"],
    password: false,
    patience: Duration::from_secs(120),
    command,
    answers: |known| {
        Box::pin(is_ok(known.port("http"), "/_cluster/health?wait_for_status=yellow&timeout=1s"))
    },
    url: |known| format!("http://127.0.0.1:{}", known.port("http")),
};

/// What the archive leaves out: the start script, with the Java to run it.
const SCRIPT: &str = r#"#!/bin/bash
set -e
export ES_JAVA_HOME='JDK'
source "$(dirname "$0")"/elasticsearch-env
export JAVA ES_HOME ES_PATH_CONF ES_DISTRIBUTION_TYPE
exec "$JAVA" -Xms4m -Xmx64m -XX:+UseSerialGC -Dcli.name=server -Dcli.libs=lib/tools/server-cli -Dcli.script="$0" \
  -Des.path.home="$ES_HOME" -Des.path.conf="$ES_PATH_CONF" -Des.distribution.type="$ES_DISTRIBUTION_TYPE" \
  -Des.java.type="$JAVA_TYPE" -cp "$ES_HOME/lib/tools/server-launcher/*" \
  org.elasticsearch.server.launcher.ServerLauncher "$@"
"#;

/// Makes `folder` what a person gets who unpacks Elasticsearch: the archive's files by links, and `bin/elasticsearch`.
///
/// # Errors
/// When the archive is not here and the bed may not install, or the folder cannot be written.
pub async fn unpack_elasticsearch(bed: &Bed, folder: &Path) -> Result<()> {
    let archive = TOOL.require(NAME, bed).await?.join("elasticsearch");
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin)?;
    let names = |folder: &Path| std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>();
    for entry in names(&archive)?.iter().filter(|entry| entry.file_name() != "bin") {
        std::os::unix::fs::symlink(entry.path(), folder.join(entry.file_name()))?;
    }
    for entry in names(&archive.join("bin"))? {
        std::os::unix::fs::symlink(entry.path(), bin.join(entry.file_name()))?;
    }
    let script = bin.join(NAME);
    std::fs::write(&script, SCRIPT.replace("JDK", &java::home(NAME)?.display().to_string()))?;
    // Its Java leaves a working folder that it cannot list and does not come back.
    for path in [folder, &script] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    Ok(())
}

fn command(start: &Start<'_>) -> Result<Command> {
    let (java, home) = (java::home(NAME)?, start.tool.join("elasticsearch"));
    let [config, data, logs, tmp] = ["config", "data", "logs", "tmp"].map(|name| start.folder.join(name));
    for folder in [&config, &data, &logs, &tmp] {
        std::fs::create_dir_all(folder)?;
    }
    write_config(&config, start, &[&data, &logs])?;
    let mut command = Command::new(java.join("bin/java"));
    own(&mut command, &[&config, &data, &logs, &tmp, &home])?;
    command
        .args([
            "-Xms4m",
            "-Xmx64m",
            "-XX:+UseSerialGC",
            "-Dcli.name=server",
            "-Dcli.libs=lib/tools/server-cli",
        ])
        .arg(format!("-Dcli.script={}", home.join("bin/elasticsearch").display()))
        .arg(format!("-Des.path.home={}", home.display()))
        .arg(format!("-Des.path.conf={}", config.display()))
        .args(["-Des.distribution.type=tar", "-Des.java.type=ES_JAVA_HOME", "-cp"])
        .arg(home.join("lib/tools/server-launcher/*"))
        .arg("org.elasticsearch.server.launcher.ServerLauncher")
        .env("JAVA", java.join("bin/java"))
        .env("JAVA_HOME", &java)
        .env("ES_JAVA_HOME", &java)
        .env("ES_HOME", &home)
        .env("ES_PATH_CONF", &config)
        .env("ES_TMPDIR", &tmp)
        .env("ES_DISTRIBUTION_TYPE", "tar")
        .env("ES_JAVA_OPTS", "-Xms512m -Xmx512m");
    Ok(command)
}

fn write_config(config: &Path, start: &Start<'_>, [data, logs]: &[&Path; 2]) -> Result<()> {
    let settings = serde_json::json!({
        "discovery.type": "single-node",
        "http.host": "127.0.0.1",
        "http.port": start.known.port("http"),
        "transport.host": "127.0.0.1",
        "transport.port": start.known.port("transport"),
        "path.data": data,
        "path.logs": logs,
        "xpack.security.enabled": false,
        // A disk that is nine tenths full would make every index read-only.
        "cluster.routing.allocation.disk.threshold_enabled": false,
    });
    std::fs::write(config.join("elasticsearch.yml"), settings.to_string())?;
    std::fs::write(config.join("jvm.options"), "-Djava.io.tmpdir=${ES_TMPDIR}\n")?;
    Ok(std::fs::write(config.join("log4j2.properties"), ELASTICSEARCH_LOG)?)
}

/// It refuses to run as root.
fn own(command: &mut Command, folders: &[&Path; 5]) -> Result<()> {
    let Some(account) = Account::for_servers()? else { return Ok(()) };
    let [own @ .., home] = folders;
    for folder in own {
        account.own(folder)?;
    }
    account.reaches(NAME, home)?;
    account.apply(command);
    Ok(())
}
