//! One process of a service: started when what it depends on is ready, watched, started again after a crash with a
//! growing delay, given up when it crashes too often. Knows nothing of the other services but the board.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::process::Child;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Crashes, Patience};
use crate::board::Board;
use crate::environment::inherited;
use crate::events::Event;
use crate::logs;
use crate::probe;
use crate::process::{MARK, Proc};
use crate::record::{Record, ReplicaState};
use crate::stop::{self, Stop};

/// Lines shown of a process that crashed.
const LAST_LINES: usize = 12;

/// What a replica runs as.
#[derive(Debug, Clone)]
pub(crate) struct ReplicaSpec {
    pub(crate) service: String,
    pub(crate) index: u32,
    pub(crate) admin: SocketAddr,
    pub(crate) depends_on: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Where it works: the checkout.
    pub(crate) folder: PathBuf,
    /// The folder that marks the stack's services in `/proc`.
    pub(crate) mark: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) patience: Patience,
}

/// The executable that a service should run; a new value restarts it.
pub(crate) type Wanted = watch::Receiver<PathBuf>;

/// A running replica's task.
pub(crate) struct Replica {
    pub(crate) spec: ReplicaSpec,
    pub(crate) board: Board,
    pub(crate) wanted: Wanted,
    /// This service is to end.
    pub(crate) ending: CancellationToken,
    pub(crate) stop: Stop,
}

enum Ended {
    /// As asked.
    Stopped,
    /// To run a new executable.
    Replaced,
    Crashed(String),
    /// Exit code 2: it says that it cannot run with this configuration or schema.
    Refused(String),
}

impl Replica {
    /// Runs until it is asked to end.
    pub(crate) async fn run(mut self) {
        let mut crashes = Crashes::new();
        loop {
            match self.wait_for_dependencies().await {
                Some(Waited::No) => {}
                Some(Waited::Long) => crashes.unready_since = Instant::now(),
                None => return self.enter(ReplicaState::Stopped, ""),
            }
            let ended = self.once().await;
            let next = match ended {
                Ended::Stopped => return self.enter(ReplicaState::Stopped, ""),
                Ended::Replaced => {
                    crashes = Crashes::new();
                    continue;
                }
                Ended::Refused(status) => {
                    self.crashed(&status, None);
                    self.enter(ReplicaState::Refused, "it says that it cannot run like this");
                    self.pause(None).await
                }
                Ended::Crashed(status) => self.recover(&status, &mut crashes).await,
            };
            match next {
                Next::Stop => return self.enter(ReplicaState::Stopped, ""),
                Next::Fresh => crashes = Crashes::new(),
                Next::Again => {}
            }
        }
    }

    async fn recover(&mut self, status: &str, crashes: &mut Crashes) -> Next {
        let delay = crashes.add(&self.spec.patience, self.was_ready(), Instant::now());
        self.crashed(status, delay.as_ref().ok().copied());
        let delay = match delay {
            Ok(delay) => delay,
            Err(given_up) => {
                self.enter(ReplicaState::GivenUp, given_up);
                return self.pause(None).await;
            }
        };
        let text = format!("starts again in {:.1} s", delay.as_secs_f64());
        self.enter(ReplicaState::BackingOff, text);
        let next = self.pause(Some(delay)).await;
        if matches!(next, Next::Again) {
            let (service, index) = (&self.spec.service, self.spec.index);
            self.board
                .enter(service, index, ReplicaState::Starting, "again", |replica| replica.restarts += 1);
        }
        next
    }

    /// Whether this life of it got that far.
    fn was_ready(&self) -> bool {
        let mut record = self.board.read();
        let replica = record.replica_mut(&self.spec.service, self.spec.index);
        replica.is_some_and(|replica| replica.state == ReplicaState::Ready)
    }

    fn crashed(&self, status: &str, delay: Option<Duration>) {
        let (service, index) = (self.spec.service.clone(), self.spec.index);
        self.board.change(|record| {
            if let Some(replica) = record.replica_mut(&service, index) {
                replica.last_exit = Some(status.to_owned());
                replica.proc = None;
            }
        });
        self.board.events().say(Event::Crashed {
            service,
            index,
            status: status.to_owned(),
            lines: logs::last_of_run(&self.spec.log, LAST_LINES),
            retry_ms: delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        });
    }

    /// Waits so long, or until something is asked of it.
    async fn pause(&mut self, delay: Option<Duration>) -> Next {
        let over = async {
            match delay {
                Some(delay) => tokio::time::sleep(delay).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.ending.cancelled() => Next::Stop,
            changed = self.wanted.changed() => if changed.is_ok() { Next::Fresh } else { Next::Stop },
            () = over => Next::Again,
        }
    }

    async fn wait_for_dependencies(&self) -> Option<Waited> {
        if self.spec.depends_on.is_empty() {
            return (!self.ending.is_cancelled()).then_some(Waited::No);
        }
        let needed = self.spec.depends_on.clone();
        let met = move |record: &Record| needed.iter().all(|name| is_ready(record, name));
        let waited = if met(&self.board.read()) { Waited::No } else { Waited::Long };
        if matches!(waited, Waited::Long) {
            self.enter(ReplicaState::Waiting, format!("for {}", self.spec.depends_on.join(", ")));
        }
        tokio::select! {
            () = self.ending.cancelled() => None,
            () = self.board.until(met) => Some(waited),
        }
    }

    /// One life of the process.
    async fn once(&mut self) -> Ended {
        let program = self.wanted.borrow_and_update().clone();
        let mut child = match self.spawn(&program) {
            Ok(child) => child,
            Err(error) => {
                return Ended::Crashed(format!("cannot be started: {}: {error}", program.display()));
            }
        };
        let mut is_ready = false;
        let too_late = tokio::time::Instant::now() + self.spec.patience.ready;
        loop {
            tokio::select! {
                status = child.wait() => return ended(status),
                () = self.ending.cancelled() => {
                    self.enter(ReplicaState::Stopping, "");
                    return self.end(&mut child, Ended::Stopped).await;
                }
                changed = self.wanted.changed() => if changed.is_ok() {
                    self.enter(ReplicaState::Stopping, "for the new build");
                    return self.end(&mut child, Ended::Replaced).await;
                },
                () = probe::until_ok(self.spec.admin, "/readyz"), if !is_ready => {
                    is_ready = true;
                    self.enter(ReplicaState::Ready, "");
                }
                () = tokio::time::sleep_until(too_late), if !is_ready => {
                    let status = format!("not ready after {} s", self.spec.patience.ready.as_secs());
                    return self.end(&mut child, Ended::Crashed(status)).await;
                }
            }
        }
    }

    async fn end(&self, child: &mut Child, how: Ended) -> Ended {
        match stop::end(child, &self.stop, stop::GRACE).await {
            Ok(status) if status.signal() == Some(9) && !self.stop.now.is_cancelled() => {
                let name = self.name();
                let grace = stop::GRACE.as_secs();
                self.board.events().warn(format!("{name} did not end within {grace} s and was killed"));
            }
            Ok(_) => {}
            Err(error) => self.board.events().warn(format!("{} could not be ended: {error}", self.name())),
        }
        self.board.change(|record| {
            if let Some(replica) = record.replica_mut(&self.spec.service, self.spec.index) {
                replica.proc = None;
            }
        });
        how
    }

    fn spawn(&self, program: &Path) -> io::Result<Child> {
        logs::rotate(&self.spec.log)?;
        let log = fs::File::options().create(true).append(true).open(&self.spec.log)?;
        logs::begin_run(&log, &self.name())?;
        let mut command = tokio::process::Command::new(program);
        command
            .arg("serve")
            .env_clear()
            .envs(inherited())
            .envs(self.spec.environment.iter().map(|(name, value)| (name, value)))
            .env(MARK, &self.spec.mark)
            .current_dir(&self.spec.folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command.spawn()?;
        let proc = child.id().and_then(Proc::of);
        let (service, index) = (&self.spec.service, self.spec.index);
        self.board.enter(service, index, ReplicaState::Starting, "", |replica| replica.proc = proc);
        Ok(child)
    }

    fn enter(&self, state: ReplicaState, text: impl Into<String>) {
        self.board.enter(&self.spec.service, self.spec.index, state, text, |_| {});
    }

    fn name(&self) -> String {
        format!("{}-{}", self.spec.service, self.spec.index)
    }
}

enum Waited {
    No,
    Long,
}

enum Next {
    Stop,
    /// With a new executable: what was before does not count.
    Fresh,
    Again,
}

fn is_ready(record: &Record, service: &str) -> bool {
    let found = record.services.iter().find(|known| known.name == service);
    // One ready replica is enough to answer a dependent.
    found.is_none_or(|known| known.replicas.iter().any(|replica| replica.state == ReplicaState::Ready))
}

fn ended(status: io::Result<ExitStatus>) -> Ended {
    match status {
        Ok(status) if status.code() == Some(2) => Ended::Refused(words(status)),
        Ok(status) => Ended::Crashed(words(status)),
        Err(error) => Ended::Crashed(error.to_string()),
    }
}

/// `exit code 1`, `signal 9`.
pub(crate) fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
