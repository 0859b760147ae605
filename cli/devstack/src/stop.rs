//! How a running stack is told to end: gently first, at once when asked again. Listens to no signal itself.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

/// How long a process may take to end after it was asked to: a service's own grace period and some more.
pub(crate) const GRACE: Duration = Duration::from_secs(15);

/// The two wishes of whoever started the stack.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// End everything in order.
    pub gently: CancellationToken,
    /// Kill what still runs and leave.
    pub now: CancellationToken,
}

/// Asks a child to end and returns how it did; kills it, with its whole group, after `grace` or when `now` is wished.
pub(crate) async fn end(child: &mut Child, stop: &Stop, grace: Duration) -> io::Result<ExitStatus> {
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    signal(group, Signal::TERM);
    tokio::select! {
        status = child.wait() => return status,
        () = tokio::time::sleep(grace) => {}
        () = stop.now.cancelled() => {}
    }
    signal(group, Signal::KILL);
    child.wait().await
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // It ended by itself in the meantime: then nobody is left to hear it.
        let _gone = kill_process_group(group, signal);
    }
}
