//! `down` and `reset`: ends a stack from anywhere, and takes its data away. Touches no database without dev's marker.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use crate::address::ServerUrl;
use crate::database;
use crate::docker;
use crate::events::Events;
use crate::known_servers::{self, KnownServer};
use crate::orphans;
use crate::record::Source;
use crate::server::{self, Choice, Server, ServerSpec};
use crate::stack::Stack;
use crate::stop::Stop;
use crate::trouble::{Result, Trouble};

/// A supervisor ends its services one after the other, each within its own grace.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a supervisor in the background prints, in the stack's folder.
pub const SUPERVISOR_LOG: &str = "supervisor.log";
/// What a supervisor in the background tells, a line of JSON each, in the stack's folder.
pub const EVENTS: &str = "supervisor.ndjson";

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
    let held = stack.is_held()?;
    let record = match stack.record() {
        // Nobody writes it any more, and what it named is found by its mark.
        Err(Trouble::Broken { .. }) if !held => None,
        record => record?,
    };
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

/// Drops the databases and roles that dev made for this stack, and forgets its mails, logs, keys and the passwords of
/// its services. Answers the names of the databases. A stack that is up is refused. Where data cannot be dropped, nothing
/// is forgotten that it may need. The database server in the folder stays with its own password: others may have put
/// data there.
///
/// # Errors
/// Whatever keeps it from dropping all; no server of the stack runs on then. [`Trouble::Interrupted`] when `stop` is
/// wished: what was dropped until then is gone.
pub async fn reset(stack: &Stack, asked: &ServerSpec, events: &Events, stop: &Stop) -> Result<Vec<String>> {
    asked.check()?;
    stack.require_writable()?;
    let _lock = stack.hold()?;
    let outcome = tokio::select! {
        outcome = drop_all(stack, asked, events) => outcome,
        () = stop.gently.cancelled() => Err(Trouble::Interrupted),
    };
    let Err(trouble) = outcome else { return outcome };
    let ended = tokio::select! {
        ended = orphans::end_servers(stack) => ended.map(drop),
        () = stop.now.cancelled() => orphans::kill(stack).await,
    };
    match (trouble, ended) {
        (trouble, Ok(())) => Err(trouble),
        (Trouble::Interrupted, Err(left)) => Err(left),
        (trouble, Err(left)) => {
            events.warn(format!("not everything could be ended: {left}"));
            Err(trouble)
        }
    }
}

async fn drop_all(stack: &Stack, asked: &ServerSpec, events: &Events) -> Result<Vec<String>> {
    let record = stack.record().ok().flatten();
    orphans::end_services(stack, record.as_ref()).await?;
    let mut dropped = drop_known(stack, asked, events).await?;
    for (spec, folder) in own_servers(stack) {
        dropped.extend(drop_at(stack, &spec, events).await.map_err(|trouble| match trouble {
            // The programs that made the data are not here any more.
            Trouble::NoPostgres { .. } => Trouble::OwnServer { folder, reason: trouble.to_string() },
            Trouble::Component(error) => server::unusable(error, &folder),
            trouble => trouble,
        })?);
    }
    orphans::end_servers(stack).await?;
    docker::remove_volumes(stack).await?;
    stack.forget()?;
    for folder in ["mail", "logs", "secrets", "services", "parts", "redis"] {
        absent_is_fine(fs::remove_dir_all(stack.path(folder)))?;
    }
    let own_log = |folder| format!("{folder}/postgres.log");
    let logs = [own_log(server::LOCAL), own_log(server::DOWNLOADED), SUPERVISOR_LOG.into(), EVENTS.into()];
    let files = ["accounts.json", known_servers::FILE, "docker.json"].map(str::to_owned);
    for file in files.iter().chain(&logs) {
        stack.folder().remove(file)?;
    }
    Ok(dropped)
}

/// Drops what is at the server that is asked for and at those that were ever used. Each that has nothing left is
/// forgotten at once, so that whoever repeats it has to do with the others alone.
async fn drop_known(stack: &Stack, asked: &ServerSpec, events: &Events) -> Result<Vec<String>> {
    let mut known = known_servers::all(stack)?;
    let mut dropped = Vec::new();
    if let Some(url) = &asked.url {
        let spec = ServerSpec { choice: Choice::Only(Source::Url), ..asked.clone() };
        dropped.extend(drop_at(stack, &spec, events).await?);
        let address = ServerUrl::parse(url)?.address();
        for server in known.extract_if(.., |server| server.source == Source::Url && server.address == address)
        {
            known_servers::forget(stack, &server)?;
        }
    }
    let (mut told, mut left) = (None, Vec::new());
    for server in known {
        match drop_at(stack, &spec_of(&server, asked), events).await {
            Ok(names) => {
                dropped.extend(names);
                known_servers::forget(stack, &server)?;
            }
            // The server is there, and there is a next step of its own.
            Err(trouble @ (Trouble::Unconfirmed { .. } | Trouble::RoleNeeded { .. })) => {
                told = told.or(Some(trouble));
            }
            Err(trouble) => left.push(format!("{} ({trouble})", server.address)),
        }
    }
    match told {
        Some(trouble) => Err(trouble),
        None if left.is_empty() => Ok(dropped),
        None => Err(Trouble::DataLeft { servers: left, file: stack.path(known_servers::FILE) }),
    }
}

async fn drop_at(stack: &Stack, spec: &ServerSpec, events: &Events) -> Result<Vec<String>> {
    let server = Server::start(stack, spec, events).await?;
    let outcome = database::drop_all(&server, stack).await;
    server.stop().await?;
    outcome
}

/// The servers of our own folders with data, and the folders.
fn own_servers(stack: &Stack) -> impl Iterator<Item = (ServerSpec, PathBuf)> {
    let own = [(Source::Local, server::LOCAL), (Source::Download, server::DOWNLOADED)];
    own.into_iter()
        .map(|(source, folder)| {
            (ServerSpec { choice: Choice::Only(source), ..ServerSpec::default() }, stack.path(folder))
        })
        .filter(|(_, folder)| folder.join("data").exists())
}

fn spec_of(server: &KnownServer, asked: &ServerSpec) -> ServerSpec {
    // With a URL, the password file is that of its server.
    let password_file = asked.password_file.clone().filter(|_| asked.url.is_none());
    ServerSpec {
        choice: Choice::Only(server.source),
        url: (server.source == Source::Url).then(|| server.url.clone()),
        password_file: password_file.or(server.password_file.clone()),
        confirm: asked.confirm.clone(),
    }
}

fn absent_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
