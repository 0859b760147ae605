//! One background program in a folder of its own: started once, adopted by whoever comes later, ended by its process
//! number. What it is and when it is ready is said by the caller; nothing here knows a component.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::component::{Error, Result, tail};
use crate::port;
use crate::process::{Proc, marked, spawn};
use crate::state::StateDir;

const STATE: &str = "running.json";
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A program that runs in the background.
#[derive(Debug, Clone)]
pub struct Daemon {
    name: &'static str,
    dir: PathBuf,
    patience: Duration,
}

/// What is known of a started one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its process.
    pub proc: Proc,
    ports: BTreeMap<String, u16>,
}

/// Whether a daemon ran before it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Began {
    /// It did.
    Before,
    /// This call started it.
    Now,
}

impl Known {
    /// The port of that name.
    ///
    /// # Panics
    /// When the daemon was started without one of that name: a defect of its part.
    pub fn port(&self, name: &str) -> u16 {
        *self.ports.get(name).unwrap_or_else(|| panic!("no port is called {name}"))
    }
}

impl Daemon {
    /// The program `name` with its state in `dir`, which may take `patience` to be ready, and as long to end.
    pub fn new(name: &'static str, dir: impl Into<PathBuf>, patience: Duration) -> Self {
        Self { name, dir: dir.into(), patience }
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it writes.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The last one that was started, whether it runs or not.
    fn last(&self) -> Result<Option<Known>> {
        if !self.dir.exists() {
            return Ok(None);
        }
        Ok(StateDir::open(&self.dir)?.read_json::<Known>(STATE)?)
    }

    /// The one that runs. Starts nothing and does not ask it anything.
    ///
    /// # Errors
    /// When its state cannot be read.
    pub fn find(&self) -> Result<Option<Known>> {
        Ok(self.last()?.filter(|known| known.proc.is_alive()))
    }

    /// Adopts the one that runs or starts one; returns when `ready` says so. Two callers at once get the same one.
    ///
    /// Each of `ports` is the one it had last time, if that is still free, else any.
    ///
    /// # Errors
    /// When it cannot be started, ends, or is not ready in time; the last lines of its log stand in the error.
    pub async fn start<'r>(
        &self,
        ports: &[&str],
        command: impl FnOnce(&Known) -> Result<Command>,
        ready: impl Fn(Known) -> BoxFuture<'r, bool>,
    ) -> Result<(Known, Began)> {
        let dir = StateDir::open(&self.dir)?;
        let _lock = dir.lock("lock", self.patience).await?;
        if let Some(known) = self.find()? {
            self.wait(&known, &ready).await?;
            return Ok((known, Began::Before));
        }
        // Started by a run that was killed before it could write down which ports it chose.
        self.end_all().await?;
        let last = self.last()?;
        let mut chosen = BTreeMap::new();
        for name in ports {
            let before = last.as_ref().and_then(|last| last.ports.get(*name).copied());
            let free = before.filter(|port| port::is_free(*port) && !chosen.values().any(|p| p == port));
            chosen.insert((*name).to_owned(), free.map_or_else(port::free, Ok)?);
        }
        // The process is not known before its command is, which needs the ports.
        let nobody = Proc { pid: 0, started: 0 };
        let mut known = Known { proc: nobody, ports: chosen };
        let command = command(&known)?;
        std::fs::write(self.log(), "")?;
        // One that ends before it is looked at has said why in its log all the same.
        known.proc = spawn(command, dir.path(), &self.log()).map_err(|error| Error::Failed {
            component: self.name,
            doing: format!("its start ({error})"),
            log: tail(&self.log(), 20),
        })?;
        dir.write_json(STATE, &known)?;
        self.wait(&known, &ready).await?;
        Ok((known, Began::Now))
    }

    async fn wait<'r>(&self, known: &Known, ready: &impl Fn(Known) -> BoxFuture<'r, bool>) -> Result<()> {
        let began = Instant::now();
        while !ready(known.clone()).await {
            let log = || tail(&self.log(), 20);
            if !known.proc.is_alive() {
                return Err(Error::Failed { component: self.name, doing: "its start".into(), log: log() });
            }
            if began.elapsed() > self.patience {
                return Err(Error::Silent { component: self.name, waited: began.elapsed(), log: log() });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Ends it and whatever it left behind; says whether anything ran.
    ///
    /// # Errors
    /// When a process cannot be signalled.
    pub async fn stop(&self) -> Result<bool> {
        if !self.dir.exists() {
            return Ok(false);
        }
        let dir = StateDir::open(&self.dir)?;
        let _lock = dir.lock("lock", self.patience).await?;
        self.end_all().await
    }

    /// The process first, since it ends its children in good order; then what is left of them, until nothing is: one
    /// may start another while it is looked for.
    async fn end_all(&self) -> Result<bool> {
        let mut left: Vec<Proc> = self.find()?.map(|known| known.proc).into_iter().collect();
        let mut ended = false;
        loop {
            left.extend(marked(&self.dir));
            if left.is_empty() {
                return Ok(ended);
            }
            for proc in left.drain(..) {
                proc.stop(Signal::TERM, self.patience).await?;
            }
            ended = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_second_caller_gets_the_first_ones_and_a_killed_one_is_started_again_on_its_port() {
        let dir = tempfile::tempdir().unwrap();
        let daemon = Daemon::new("sleeper", dir.path().join("d"), Duration::from_secs(5));
        let start = async || {
            daemon.start(&["a"], |_| Ok(sleeper("sleep 60")), |_| Box::pin(async { true })).await.unwrap()
        };
        let (first, began) = start().await;
        assert_eq!(began, Began::Now);
        assert_eq!(start().await, (first.clone(), Began::Before));
        first.proc.signal(Signal::KILL).unwrap();
        first.proc.ended().await;
        let (second, began) = start().await;
        assert_eq!((began, second.port("a")), (Began::Now, first.port("a")));
        assert_ne!(second.proc, first.proc);
        assert!(daemon.stop().await.unwrap());
        assert!(!second.proc.is_alive() && !daemon.stop().await.unwrap());
    }

    #[tokio::test]
    async fn what_it_starts_while_it_is_ended_ends_too() {
        let dir = tempfile::tempdir().unwrap();
        let daemon = Daemon::new("breeder", dir.path().join("d"), Duration::from_secs(5));
        let script = "trap 'sleep 60 & exit 0' TERM; echo set; while :; do sleep 0.1; done";
        let is_set =
            |_| -> BoxFuture<'_, bool> { Box::pin(async { tail(&daemon.log(), 1).contains("set") }) };
        daemon.start(&[], |_| Ok(sleeper(script)), is_set).await.unwrap();
        assert!(daemon.stop().await.unwrap());
        assert_eq!(marked(daemon.dir()), []);
    }

    #[tokio::test]
    async fn one_that_ends_or_stays_silent_says_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let ends = Daemon::new("brief", dir.path().join("a"), Duration::from_secs(5));
        let error = ends
            .start(&[], |_| Ok(sleeper("echo no such flag; exit 3")), |_| Box::pin(async { false }))
            .await;
        assert!(error.unwrap_err().to_string().contains("no such flag"));
        let silent = Daemon::new("silent", dir.path().join("b"), Duration::from_millis(300));
        let error =
            silent.start(&[], |_| Ok(sleeper("echo waiting; sleep 60")), |_| Box::pin(async { false })).await;
        assert!(error.unwrap_err().to_string().contains("waiting"));
        assert!(silent.stop().await.unwrap());
    }
}
