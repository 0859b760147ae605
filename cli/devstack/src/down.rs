//! `down` and `reset`: ends a stack from anywhere, and takes its data away. Touches no database without dev's marker.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::Signal;

use crate::database;
use crate::docker;
use crate::events::Events;
use crate::orphans;
use crate::record::Source;
use crate::server::{self, Choice, Server, ServerSpec};
use crate::stack::Stack;
use crate::trouble::Result;

/// A supervisor ends its services one after the other, each within its own grace.
const PATIENCE: Duration = Duration::from_secs(90);

/// What `down` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// Nothing ran.
    Nothing,
    /// The supervisor ended everything.
    Stopped,
    /// There was no supervisor any more; so many things it had left behind were ended.
    Orphans(usize),
}

/// Ends everything of the stack that runs. The data stays.
pub async fn down(stack: &Stack) -> Result<Down> {
    let record = stack.record()?;
    let held = stack.is_held()?;
    if let (true, Some(record)) = (held, &record) {
        record.supervisor.stop(Signal::TERM, PATIENCE).await?;
    }
    let lock = stack.hold()?;
    let left = orphans::end_services(stack, record.as_ref()).await?;
    let left = left + orphans::end_servers(stack).await?;
    stack.forget()?;
    drop(lock);
    Ok(match (held, left) {
        (true, 0) => Down::Stopped,
        (false, 0) => Down::Nothing,
        (_, left) => Down::Orphans(left),
    })
}

/// Drops the databases and roles that dev made for this stack, and forgets its mails, logs, keys and passwords.
/// Answers the names of the databases. A stack that is up is refused.
pub async fn reset(stack: &Stack, asked: &ServerSpec, events: &Events) -> Result<Vec<String>> {
    let _lock = stack.hold()?;
    let record = stack.record().ok().flatten();
    orphans::end_services(stack, record.as_ref()).await?;
    let mut dropped = Vec::new();
    for spec in servers_with_data(stack, asked)? {
        let server = Server::start(stack, &spec, events).await?;
        let outcome = database::drop_all(&server, stack).await;
        server.stop().await?;
        dropped.extend(outcome?);
    }
    orphans::end_servers(stack).await?;
    docker::remove_volumes(stack).await?;
    stack.forget()?;
    for folder in ["mail", "logs", "secrets", "services", "parts", "redis"] {
        absent_is_fine(fs::remove_dir_all(stack.path(folder)))?;
    }
    for file in ["accounts.json", "server.json", "docker.json"] {
        stack.folder().remove(file)?;
    }
    Ok(dropped)
}

/// Our own folders with data, and the server elsewhere that was used last.
fn servers_with_data(stack: &Stack, asked: &ServerSpec) -> Result<Vec<ServerSpec>> {
    let own = [(Source::Local, server::LOCAL), (Source::Download, server::DOWNLOADED)];
    let own = own.into_iter().filter(|(_, folder)| stack.path(folder).join("data").exists());
    let mut specs: Vec<ServerSpec> =
        own.map(|(source, _)| ServerSpec { choice: Choice::Only(source), ..ServerSpec::default() }).collect();
    let last = stack.last_server()?.filter(|last| matches!(last.source, Source::Url | Source::Docker));
    specs.extend(last.map(|last| ServerSpec {
        choice: Choice::Only(last.source),
        url: (last.source == Source::Url).then(|| asked.url.clone().unwrap_or(last.url)),
        password_file: asked.password_file.clone().or(last.password_file),
        confirm: asked.confirm.clone(),
    }));
    Ok(specs)
}

fn absent_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
