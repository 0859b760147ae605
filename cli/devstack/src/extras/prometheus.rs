//! Prometheus, which scrapes every replica of the plan, and Grafana through Docker. Holds no rule and no dashboard.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::{Started, lacking, record, start_process};
use crate::component::program;
use crate::docker::{self, Container};
use crate::events::Events;
use crate::plan::Plan;
use crate::port;
use crate::process::Proc;
use crate::stack::Stack;
use crate::state::StateDir;
use crate::trouble::Result;

pub(super) const NAME: &str = "prometheus";
pub(super) const GRAFANA: &str = "grafana";
const WHAT: &str = "Prometheus (--with monitoring)";
const CONFIG: &str = "prometheus.yml";
const PROMETHEUS_IMAGE: &str = "prom/prometheus:v3.5.0";
const GRAFANA_IMAGE: &str = "grafana/grafana:12.1.1";

/// Starts it; answers its port as well.
pub(super) async fn start(stack: &Stack, plan: &Plan, events: &Events) -> Result<(Started, u16)> {
    let step = events.step(NAME, "starting");
    let folder = stack.folder().folder("parts")?.folder(NAME)?;
    // JSON is YAML, and has one way of quoting.
    let text = serde_json::to_vec_pretty(&scrape(plan)).map_err(std::io::Error::from)?;
    std::fs::write(folder.path().join(CONFIG), text)?;
    let port = port::free()?;
    let record = record(NAME, format!("http://127.0.0.1:{port}"), "metrics of every replica");
    let started = match program("prometheus", &[]) {
        Some(program) => super::process(WHAT, stack, (&program, port), local, (record, Vec::new())).await?,
        None => {
            let name = docker::name(stack, NAME);
            container(stack, &name, &folder, port).await?;
            super::container(WHAT, name, (record, Vec::new())).await?
        }
    };
    step.done(&started.record.address);
    Ok((started, port))
}

fn local(stack: &Stack, program: &Path, port: u16) -> Result<(Proc, PathBuf)> {
    let folder = stack.folder().folder("parts")?.folder(NAME)?;
    let config = folder.path().join(CONFIG).display().to_string();
    let mut command = Command::new(program);
    command.args(arguments(&config, &folder.path().join("data"), port));
    start_process(stack, NAME, command, folder.path())
}

fn arguments(config: &str, data: &Path, port: u16) -> [String; 4] {
    [
        format!("--config.file={config}"),
        format!("--storage.tsdb.path={}", data.display()),
        "--storage.tsdb.retention.time=2d".into(),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ]
}

/// In the host's network: the replicas listen on the loopback only.
async fn container(stack: &Stack, name: &str, folder: &StateDir, port: u16) -> Result<()> {
    if let Err(why) = docker::available().await {
        let text = format!("no prometheus in PATH and no Docker ({why})");
        return Err(lacking(WHAT, text, "`apt-get install prometheus`, or leave out --with monitoring"));
    }
    let mount = format!("type=bind,readonly,source={},target=/etc/shop", folder.path().display());
    let mut options = vec!["--mount".to_owned(), mount];
    options.extend(["--user".to_owned(), "root".to_owned()]);
    let arguments = arguments("/etc/shop/prometheus.yml", Path::new("/prometheus"), port);
    let container =
        Container { image: PROMETHEUS_IMAGE, options, arguments: arguments.into(), ..Container::default() };
    docker::run(stack, name, &container).await.map(drop)
}

/// Grafana with Prometheus as its source; a word and nothing else where there is no Docker.
pub(super) async fn grafana(stack: &Stack, prometheus: u16, events: &Events) -> Result<Option<Started>> {
    if let Err(why) = docker::available().await {
        events.warn(format!("no Grafana: it runs through Docker ({why}); Prometheus has a page of its own"));
        return Ok(None);
    }
    let step = events.step(GRAFANA, "starting");
    let name = docker::name(stack, GRAFANA);
    match grafana_container(stack, &name, prometheus).await {
        Ok(started) => {
            step.done(&started.record.address);
            Ok(Some(started))
        }
        Err(error) => {
            step.failed(error.to_string());
            docker::stop(stack, &name).await?;
            events.warn("no Grafana; Prometheus has a page of its own");
            Ok(None)
        }
    }
}

async fn grafana_container(stack: &Stack, name: &str, prometheus: u16) -> Result<Started> {
    let folder = stack.folder().folder("parts")?.folder(GRAFANA)?;
    let source = json!({ "apiVersion": 1, "datasources": [{
        "name": "Prometheus", "type": "prometheus", "isDefault": true, "url": format!("http://127.0.0.1:{prometheus}"),
    }] });
    std::fs::write(
        folder.path().join("source.yaml"),
        serde_json::to_vec(&source).map_err(std::io::Error::from)?,
    )?;
    let port = port::free()?;
    let mount = format!(
        "type=bind,readonly,source={},target=/etc/grafana/provisioning/datasources",
        folder.path().display()
    );
    let variables = [
        "GF_SERVER_HTTP_ADDR=127.0.0.1".to_owned(),
        format!("GF_SERVER_HTTP_PORT={port}"),
        // On the loopback, to look at: no account to log in with, none with a known password.
        "GF_AUTH_ANONYMOUS_ENABLED=true".to_owned(),
        "GF_AUTH_ANONYMOUS_ORG_ROLE=Editor".to_owned(),
        "GF_AUTH_DISABLE_LOGIN_FORM=true".to_owned(),
        "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION=true".to_owned(),
    ];
    let mut options = vec!["--mount".to_owned(), mount];
    options.extend(variables.into_iter().flat_map(|pair| ["--env".to_owned(), pair]));
    let container = Container { image: GRAFANA_IMAGE, options, ..Container::default() };
    docker::run(stack, name, &container).await?;
    let record = record(GRAFANA, format!("http://127.0.0.1:{port}"), "dashboards");
    super::container("Grafana", name.to_owned(), (record, Vec::new())).await
}

fn scrape(plan: &Plan) -> serde_json::Value {
    let job = |planned: &crate::plan::Planned| {
        let targets: Vec<String> = planned.replicas.iter().map(|place| place.admin.to_string()).collect();
        json!({ "job_name": planned.spec.name, "static_configs": [{ "targets": targets }] })
    };
    let jobs: Vec<_> = plan.services.iter().map(job).collect();
    json!({ "global": { "scrape_interval": "5s" }, "scrape_configs": jobs })
}
