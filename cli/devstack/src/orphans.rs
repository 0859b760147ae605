//! What an earlier supervisor left behind when it was killed: found by its mark and its record, ended. Ends nothing
//! that was not started for this stack.

use std::io;
use std::time::Duration;

use rustix::process::Signal;

use crate::docker;
use crate::postgres::Postgres;
use crate::process::{Proc, marked};
use crate::record::Record;
use crate::server;
use crate::stack::Stack;
use crate::trouble::Result;

const PATIENCE: Duration = Duration::from_secs(10);

/// Ends the services, commands and parts that still run; servers that keep data stay. Answers how many there were.
pub(crate) async fn end_services(stack: &Stack, record: Option<&Record>) -> Result<usize> {
    end_all(|| services(stack, record), Signal::TERM).await
}

/// Ends all that `find` finds, each after `polite` or else killed, until it finds nothing: one may start another while
/// it is looked for. Answers how many there were; one that cannot be ended keeps none of the others.
async fn end_all(find: impl Fn() -> Vec<Proc>, polite: Signal) -> Result<usize> {
    let mut count = 0;
    loop {
        let left = find();
        if left.is_empty() {
            return Ok(count);
        }
        count += left.len();
        let mut outcome = Ok(());
        let ends: Vec<_> = left.into_iter().map(|proc| tokio::spawn(proc.stop(polite, PATIENCE))).collect();
        for end in ends {
            if let Err(error) = end.await.map_err(io::Error::other).and_then(|ended| ended) {
                outcome = Err(error);
            }
        }
        outcome?;
    }
}

/// Ends the database server, Redis and the containers of the stack. Answers how many there were.
pub(crate) async fn end_servers(stack: &Stack) -> Result<usize> {
    let mut count = 0;
    for folder in [server::LOCAL, server::DOWNLOADED] {
        // By its process: whether it can be entered is another matter.
        if let Some(server) = Postgres::process(&stack.path(folder)) {
            server.stop(Signal::INT, PATIENCE).await?;
            count += 1;
        }
        // One that was interrupted in its first moments has not written down yet that it runs.
        end_all(|| marked(&stack.path(folder)), Signal::INT).await?;
    }
    count += end_all(|| marked(&stack.path("redis")), Signal::TERM).await?;
    count += docker::end_all(stack).await?;
    Ok(count)
}

/// Kills whatever runs, without another word, until nothing does: children of a killed server end after it.
pub(crate) async fn kill(stack: &Stack) -> Result<()> {
    let record = stack.record().ok().flatten();
    let find = || {
        let mut left = services(stack, record.as_ref());
        let folders = [server::LOCAL, server::DOWNLOADED, "redis"];
        left.extend(folders.iter().flat_map(|folder| marked(&stack.path(folder))));
        left
    };
    let processes = end_all(find, Signal::KILL).await;
    docker::kill_all(stack).await.and(processes.map(drop))
}

/// Ends a database server that another one has taken the place of.
pub(crate) async fn end_replaced(before: Option<Proc>, now: Option<Proc>) -> Result<()> {
    if let Some(before) = before.filter(|before| Some(*before) != now) {
        before.stop(Signal::INT, PATIENCE).await?;
    }
    Ok(())
}

fn services(stack: &Stack, record: Option<&Record>) -> Vec<Proc> {
    let mut left = marked(&stack.services());
    // A process may have dropped its mark; the record has its start time as well, so nobody else is meant.
    for proc in record.iter().flat_map(|record| record.procs()) {
        if proc.is_alive() && !left.contains(&proc) {
            left.push(proc);
        }
    }
    left
}
