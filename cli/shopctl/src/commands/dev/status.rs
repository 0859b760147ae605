//! `shopctl dev status`: what runs of the stack.
use serde::Serialize;
use shop_devstack::Healths;
use shop_devstack::record::{Record, ReplicaState};

use super::{failure, table};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::{Paint, Ui, as_typed};

/// Show what runs, and where
///
/// With --output json every replica has its addresses, its process and how it does. Ends with 0 also when nothing
/// runs or not everything is ready: `up` and `ready` say so.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {}

#[derive(Serialize)]
struct Answer<'a> {
    /// Whether a supervisor has the stack.
    up: bool,
    name: &'a str,
    folder: &'a std::path::Path,
    /// Replicas that say they are ready and do not answer now: `<service>-<index>`.
    silent: Vec<String>,
    /// How `postgres` and the parts do, each asked now.
    health: Healths,
    /// Its `ready` says how it is now: whether every replica of every service is ready and answers.
    #[serde(flatten)]
    record: Option<Record>,
}

pub(crate) async fn run(_args: &StatusArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let stack = super::stack(context)?;
    let record = stack.record().map_err(failure::of)?;
    let up = stack.is_held().map_err(failure::of)?;
    let (silent, health) = match &record {
        Some(record) if up => tokio::join!(silent(record), shop_devstack::ask(record)),
        _ => Default::default(),
    };
    let paint = ui.paint();
    let mut lines = Vec::new();
    match &record {
        Some(record) if up => {
            lines.push(format!(
                "{} is {}  {}",
                paint.strong(stack.name()),
                summary(record, paint),
                paint.faint(stack.path("").display())
            ));
            lines.extend(table::rows(record, &health, paint));
            if record.is_degraded() {
                lines.extend(record.not_ready().iter().map(|service| next_step(service)));
            }
            lines.extend(silent.iter().map(|name| format!("{} {name} does not answer", paint.warning("!"))));
        }
        Some(record) => {
            lines.push(format!("the supervisor of {} was killed; what it left behind:", stack.name()));
            lines.extend(left_behind(record));
            lines.push("`shopctl dev up` goes on from there, `shopctl dev down` ends it".to_owned());
        }
        None => lines.push(format!("{} is not up; `shopctl dev up` starts it", stack.name())),
    }
    let ready = up && silent.is_empty() && record.as_ref().is_some_and(is_ready);
    let answer = Answer {
        up,
        name: stack.name(),
        folder: stack.folder().path(),
        silent,
        health,
        record: record.map(|record| Record { ready, ..record }),
    };
    ui.data(&answer, as_typed(&lines.join("\n")))?;
    Ok(Exit::Done)
}

/// How the stack does, in a word or with the names of the services that keep it from being up.
fn summary(record: &Record, paint: Paint) -> String {
    match record.is_degraded() {
        true => format!("{}: not ready: {}", paint.bad("degraded"), record.not_ready().join(", ")),
        false if is_ready(record) => paint.good("up"),
        false => paint.warning("starting"),
    }
}

/// Before its services are started a stack has none that could be ready.
fn is_ready(record: &Record) -> bool {
    record.not_ready().is_empty() && (record.ready || !record.services.is_empty())
}

/// What to do about a service that does not come back by itself.
pub(super) fn next_step(service: &str) -> String {
    format!("read `shopctl dev logs {service}`, mend it, then `shopctl dev down` and `shopctl dev up` again")
}

/// A line for each process that lives on: services and parts, then the database server.
fn left_behind(record: &Record) -> Vec<String> {
    let server = record.postgres.as_ref().and_then(|postgres| postgres.proc);
    let left = record.procs().into_iter().chain(server).filter(|proc| proc.is_alive());
    left.map(|proc| format!("  pid {}  {}", proc.pid, proc.command_line().join(" "))).collect()
}

/// Asks every replica that should be ready.
async fn silent(record: &Record) -> Vec<String> {
    let replicas = record.services.iter().flat_map(|service| {
        service.replicas.iter().map(move |replica| (format!("{}-{}", service.name, replica.index), replica))
    });
    let asked: Vec<_> = replicas
        .filter(|(_, replica)| replica.state == ReplicaState::Ready)
        .map(|(name, replica)| {
            let admin = replica.admin.clone();
            (name, tokio::spawn(async move { shop_devstack::is_ready(&admin).await }))
        })
        .collect();
    let mut silent = Vec::new();
    for (name, asked) in asked {
        if !asked.await.unwrap_or(false) {
            silent.push(name);
        }
    }
    silent
}
