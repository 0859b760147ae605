//! Prometheus, which scrapes every replica of the plan, and Grafana through Docker. Holds no rule and no dashboard.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{Part, Started, Waited, lacking, program, start_process, until};
use crate::docker::{self, Container};
use crate::events::Events;
use crate::plan::Plan;
use crate::port;
use crate::probe;
use crate::record::PartRecord;
use crate::stack::Stack;
use crate::state::StateDir;
use crate::trouble::Result;

const WHAT: &str = "Prometheus (--with monitoring)";
const PROMETHEUS: &str = "prom/prometheus:v3.5.0";
const GRAFANA: &str = "grafana/grafana:12.1.1";

/// Starts it; answers its port as well.
pub(super) async fn start(stack: &Stack, plan: &Plan, events: &Events) -> Result<(Started, u16)> {
    let step = events.step("prometheus", "starting");
    let folder = stack.folder().folder("parts")?.folder("prometheus")?;
    let config = folder.path().join("prometheus.yml");
    // JSON is YAML, and has one way of quoting.
    std::fs::write(&config, serde_json::to_vec_pretty(&scrape(plan)).map_err(std::io::Error::from)?)?;
    let (port, name) = (port::free()?, docker::name(stack, "prometheus"));
    let (part, proc) = match program("prometheus", &[]) {
        Some(program) => {
            let mut command = Command::new(program);
            command.args(arguments(&config.display().to_string(), &folder.path().join("data"), port));
            let (proc, log) = start_process(stack, "prometheus", command, folder.path())?;
            (Part::Process(proc), Some((proc, log)))
        }
        None => (container(stack, &name, &folder, port).await?, None),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let waited = match &proc {
        Some((proc, log)) => Waited::Process(*proc, log),
        None => Waited::Container(&name),
    };
    until(WHAT, waited, || async move { matches!(probe::status(address, "/-/ready").await, Ok(200)) })
        .await?;
    let (proc, log) = proc.unzip();
    let note = "metrics of every replica".into();
    let record =
        PartRecord { name: "prometheus".into(), address: format!("http://{address}"), note, proc, log };
    step.done(&record.address);
    Ok((Started { part, record, variables: Vec::new() }, port))
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
async fn container(stack: &Stack, name: &str, folder: &StateDir, port: u16) -> Result<Part> {
    if let Err(why) = docker::available().await {
        let text = format!("no prometheus in PATH and no Docker ({why})");
        return Err(lacking(WHAT, text, "`apt-get install prometheus`, or leave out --with monitoring"));
    }
    let mount = format!("type=bind,readonly,source={},target=/etc/shop", folder.path().display());
    let mut options = vec!["--mount".to_owned(), mount];
    options.extend(["--user".to_owned(), "root".to_owned()]);
    let arguments = arguments("/etc/shop/prometheus.yml", Path::new("/prometheus"), port);
    let container =
        Container { image: PROMETHEUS, options, arguments: arguments.into(), ..Container::default() };
    docker::run(stack, name, &container).await?;
    Ok(Part::Container(name.to_owned()))
}

/// Grafana with Prometheus as its source; a word and nothing else where there is no Docker.
pub(super) async fn grafana(stack: &Stack, prometheus: u16, events: &Events) -> Result<Option<Started>> {
    if let Err(why) = docker::available().await {
        events.warn(format!("no Grafana: it runs through Docker ({why}); Prometheus has a page of its own"));
        return Ok(None);
    }
    let step = events.step("grafana", "starting");
    let name = docker::name(stack, "grafana");
    match grafana_container(stack, &name, prometheus).await {
        Ok(record) => {
            step.done(&record.address);
            Ok(Some(Started { part: Part::Container(name), record, variables: Vec::new() }))
        }
        Err(error) => {
            step.failed(error.to_string());
            docker::stop(stack, &name).await?;
            events.warn("no Grafana; Prometheus has a page of its own");
            Ok(None)
        }
    }
}

async fn grafana_container(stack: &Stack, name: &str, prometheus: u16) -> Result<PartRecord> {
    let folder = stack.folder().folder("parts")?.folder("grafana")?;
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
    let container = Container { image: GRAFANA, options, ..Container::default() };
    docker::run(stack, name, &container).await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    until("Grafana", Waited::Container(name), || async move {
        matches!(probe::status(address, "/api/health").await, Ok(200))
    })
    .await?;
    Ok(PartRecord {
        name: "grafana".into(),
        address: format!("http://{address}"),
        note: "dashboards".into(),
        proc: None,
        log: None,
    })
}

fn scrape(plan: &Plan) -> serde_json::Value {
    let job = |planned: &crate::plan::Planned| {
        let targets: Vec<String> = planned.replicas.iter().map(|place| place.admin.to_string()).collect();
        json!({ "job_name": planned.spec.name, "static_configs": [{ "targets": targets }] })
    };
    let jobs: Vec<_> = plan.services.iter().map(job).collect();
    json!({ "global": { "scrape_interval": "5s" }, "scrape_configs": jobs })
}
