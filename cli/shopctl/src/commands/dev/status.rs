//! `shopctl dev status`: what runs of the stack.
use serde::Serialize;
use shop_devstack::Healths;
use shop_devstack::record::{Record, ReplicaState};

use super::{failure, table};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::{Ui, as_typed};

/// Show what runs, and where
///
/// With --output json every replica has its addresses, its process and how it does. Ends with 0 also when nothing
/// runs: `up` says so.
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
    #[serde(flatten)]
    record: Option<&'a Record>,
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
            let state = if record.ready { paint.good("up") } else { paint.warning("starting") };
            lines.push(format!(
                "{} is {state}  {}",
                paint.strong(stack.name()),
                paint.faint(stack.path("").display())
            ));
            lines.extend(table::rows(record, &health, paint));
            lines.extend(silent.iter().map(|name| format!("{} {name} does not answer", paint.warning("!"))));
        }
        Some(record) => {
            lines.push(format!("the supervisor of {} was killed; what it left behind:", stack.name()));
            lines.extend(left_behind(record));
            lines.push("`shopctl dev up` goes on from there, `shopctl dev down` ends it".to_owned());
        }
        None => lines.push(format!("{} is not up; `shopctl dev up` starts it", stack.name())),
    }
    let answer = Answer {
        up,
        name: stack.name(),
        folder: stack.folder().path(),
        silent,
        health,
        record: record.as_ref(),
    };
    ui.data(&answer, as_typed(&lines.join("\n")))?;
    Ok(Exit::Done)
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
