//! A PostgreSQL for one test that does what would disturb the others: kills it, stops it, starts it again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use shop_devstack::component::Report;
use shop_devstack::postgres::{Postgres, PostgresSpec};
use shop_devstack::process::{Proc, marked};
use shop_devstack::state::StateDir;
use tempfile::TempDir;

use crate::{Bed, Result, Server, parts};

const FOLDER: &str = "private";
const OWNER: &str = "owner.json";
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A server of one test, ended when dropped. It keeps its port, its password and its data over restarts.
#[derive(Debug)]
pub struct PrivatePostgres {
    spec: PostgresSpec,
    running: Postgres,
    _dir: TempDir,
}

impl PrivatePostgres {
    /// Makes and starts one; some 2 s, most of it `initdb`.
    pub async fn start() -> Result<Self> {
        let bed = Bed::from_env()?;
        sweep(&bed).await?;
        let all = StateDir::open(bed.folder(FOLDER))?;
        let dir = tempfile::tempdir_in(all.path())?;
        // The server's account has to get in.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711))?;
        StateDir::open(dir.path())?.write_json(OWNER, &Proc::of(std::process::id()))?;
        let spec = PostgresSpec { durable: false, ..PostgresSpec::new(dir.path().join("postgres")) };
        let running = Postgres::start(&spec, &Report::silent()).await?;
        Ok(Self { spec, running, _dir: dir })
    }

    /// The server, also while it is down.
    pub fn server(&self) -> Server {
        parts::server_of(&self.running)
    }

    /// What it writes.
    pub fn log(&self) -> PathBuf {
        self.running.log()
    }

    /// Kills it without warning; returns when it is gone.
    pub async fn kill(&self) -> Result<()> {
        self.running.proc().signal(Signal::KILL)?;
        self.running.proc().ended().await;
        Ok(())
    }

    /// Stops it in good order.
    pub async fn stop(&self) -> Result<()> {
        self.running.stop().await?;
        Ok(())
    }

    /// Starts it again after [`Self::kill`] or [`Self::stop`]; returns when it answers.
    pub async fn restart(&mut self) -> Result<()> {
        let spec = PostgresSpec { port: Some(self.running.port()), ..self.spec.clone() };
        self.running = Postgres::start(&spec, &Report::silent()).await?;
        Ok(())
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        // Immediate shutdown: its data goes with the folder. Its children end with it.
        if self.running.proc().signal(Signal::QUIT).is_ok_and(|sent| sent) {
            let deadline = Instant::now() + STOP_PATIENCE;
            while self.running.proc().is_alive() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Ends the servers of tests that were killed before they could.
pub(crate) async fn sweep(bed: &Bed) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(bed.folder(FOLDER)) else { return Ok(()) };
    for dir in entries.flatten().map(|entry| entry.path()) {
        if is_orphaned(&dir) {
            for proc in marked(&dir.join("postgres")) {
                proc.stop(Signal::QUIT, STOP_PATIENCE).await?;
            }
            // Another sweeper may have been faster.
            let _gone = std::fs::remove_dir_all(&dir);
        }
    }
    Ok(())
}

/// A folder without an owner is one that is being made, unless it is old.
fn is_orphaned(dir: &Path) -> bool {
    let owner = StateDir::open(dir).and_then(|dir| dir.read_json::<Option<Proc>>(OWNER));
    match owner {
        Ok(Some(owner)) => !owner.is_some_and(Proc::is_alive),
        _ => std::fs::metadata(dir)
            .and_then(|meta| meta.modified())
            .is_ok_and(|made| made.elapsed().is_ok_and(|age| age > Duration::from_secs(600))),
    }
}
