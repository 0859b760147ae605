//! A service as users run it: its binary, its environment, its signals, what it writes.

use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::Signal;
use serde::Deserialize;
use shop_testbed::process::Proc;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{Client, PATIENCE, TestDb, until};

/// A service's binary with its environment, not yet run.
#[derive(Debug, Clone)]
pub struct ServiceProgram {
    program: PathBuf,
    env: Vec<(OsString, OsString)>,
    /// `None` for as many as this process may have.
    open_files: Option<u32>,
}

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// All it wrote to both outputs, in one.
    pub output: String,
}

impl ServiceProgram {
    /// The binary, usually `env!("CARGO_BIN_EXE_<service>")`. It inherits nothing of this process's environment but
    /// PATH, so that a developer's settings change no test; both its ports are free ones.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let fresh = Self { program: program.into(), env: Vec::new(), open_files: None };
        let kept =
            ["PATH", "LLVM_PROFILE_FILE"].iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
        kept.fold(fresh, |program, (name, value)| program.env(name, value))
            .env("PUBLIC_ADDR", "127.0.0.1:0")
            .env("ADMIN_ADDR", "127.0.0.1:0")
    }

    /// One variable more; a later one wins.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With so many open files at most.
    #[must_use]
    pub fn open_files(mut self, most: u32) -> Self {
        self.open_files = Some(most);
        self
    }

    /// On this database.
    #[must_use]
    pub fn on(self, db: &TestDb) -> Self {
        db.env().into_iter().fold(self, |program, (name, value)| program.env(name, value))
    }

    fn command(&self, arguments: &[&str], dir: &Path) -> Command {
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.join("output"))
            .expect("a file in a fresh folder");
        let mut command = match self.open_files {
            None => Command::new(&self.program),
            // The shell sets its own limit and becomes the program, which keeps it.
            Some(most) => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(format!("ulimit -n {most} && exec \"$0\" \"$@\"")).arg(&self.program);
                shell
            }
        };
        command
            .args(arguments)
            .env_clear()
            .envs(self.env.iter().cloned())
            .current_dir(dir)
            .kill_on_drop(true);
        command.stdin(std::process::Stdio::null());
        command.stdout(log.try_clone().expect("our own file")).stderr(log);
        command
    }

    /// Runs it with these arguments to its end. Panics when it does not end within [`PATIENCE`].
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut child =
            self.command(arguments, dir.path()).spawn().unwrap_or_else(|error| self.not_run(&error));
        let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
        let output = read(dir.path());
        let status = ended.unwrap_or_else(|_| panic!("{arguments:?} does not end; it wrote:\n{output}"));
        Ended { status: status.expect("our own child"), output: read(dir.path()) }
    }

    /// Starts `serve` and waits until it is ready. Panics with all it wrote when it does not get there.
    pub async fn serve(&self) -> ServiceProcess {
        let process = self.spawn();
        process.await_ready().await;
        process
    }

    /// Starts `serve` and waits for nothing.
    pub fn spawn(&self) -> ServiceProcess {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("addresses");
        let mut command = self.clone().env("ADDR_FILE", &file).command(&["serve"], dir.path());
        let child = command.spawn().unwrap_or_else(|error| self.not_run(&error));
        let proc = child.id().and_then(Proc::of);
        ServiceProcess { proc, child: Mutex::new(Some(child)), dir }
    }

    fn not_run(&self, error: &std::io::Error) -> ! {
        panic!("{}: {error}", self.program.display())
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Addresses {
    public: SocketAddr,
    admin: SocketAddr,
}

/// A running service; killed when dropped.
#[derive(Debug)]
pub struct ServiceProcess {
    proc: Option<Proc>,
    child: Mutex<Option<Child>>,
    dir: TempDir,
}

impl ServiceProcess {
    /// Waits until `/readyz` answers 200. Panics with all it wrote when it ends before or takes longer than
    /// [`PATIENCE`].
    pub async fn await_ready(&self) {
        let look = async {
            loop {
                if let Some(addresses) = self.addresses() {
                    let asked = Client::to_address(addresses.admin).get("/readyz").try_send().await;
                    if asked.is_ok_and(|answer| answer.status.is_success()) {
                        return true;
                    }
                }
                if !self.is_alive() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ready = tokio::time::timeout(PATIENCE, look).await;
        assert!(matches!(ready, Ok(true)), "the service does not get ready; it wrote:\n{}", self.output());
    }

    fn addresses(&self) -> Option<Addresses> {
        serde_json::from_slice(&std::fs::read(self.dir.path().join("addresses")).ok()?).ok()
    }

    fn known(&self) -> Addresses {
        self.addresses()
            .unwrap_or_else(|| panic!("the service has no addresses; it wrote:\n{}", self.output()))
    }

    /// Where users reach it. Panics before it is ready.
    pub fn public(&self) -> SocketAddr {
        self.known().public
    }

    /// Where health and metrics are. Panics before it is ready.
    pub fn admin(&self) -> SocketAddr {
        self.known().admin
    }

    /// A client of the public port.
    pub fn client(&self) -> Client {
        Client::to_address(self.public())
    }

    /// A client of the admin port.
    pub fn admin_client(&self) -> Client {
        Client::to_address(self.admin())
    }

    /// All it has written to both outputs so far.
    pub fn output(&self) -> String {
        read(self.dir.path())
    }

    /// Waits until it has written `text`.
    pub async fn has_written(&self, text: &str) {
        until(&format!("the service writes {text:?}"), || async { self.output().contains(text) }).await;
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        self.proc.is_some_and(Proc::is_alive)
    }

    /// Its process number; `None` when it ended at once.
    pub fn pid(&self) -> Option<u32> {
        self.proc.map(|proc| proc.pid)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(proc) = self.proc {
            proc.signal(signal).expect("our own child takes signals");
        }
    }

    /// SIGTERM, then waits for its end.
    pub async fn terminate(&self) -> Ended {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// SIGKILL, then waits for its end.
    pub async fn kill(&self) -> Ended {
        self.signal(Signal::KILL);
        self.ended().await
    }

    /// Waits for its end; panics when it does not come within [`PATIENCE`], or was waited for before.
    pub async fn ended(&self) -> Ended {
        let child = self.child.lock().expect("no panic while it is held").take();
        let mut child = child.expect("its end is waited for once");
        let status = tokio::time::timeout(PATIENCE, child.wait()).await;
        let status =
            status.unwrap_or_else(|_| panic!("the service does not end; it wrote:\n{}", self.output()));
        Ended { status: status.expect("our own child"), output: self.output() }
    }
}

fn read(dir: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(dir.join("output")).unwrap_or_default()).into_owned()
}
