//! A Docker Engine for one test: its own socket, data and images, no way to any registry, nothing left when it ends.
//! Touches neither the machine's own engine nor its packet filter.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use shop_devstack::process::Proc;
use shop_devstack::state::{Lock, StateDir};
use tempfile::TempDir;

use crate::{Bed, Error, Result};

const PATIENCE: Duration = Duration::from_secs(60);
/// How long one waits for its turn: longer than a whole test takes.
const TURN: Duration = Duration::from_secs(600);
/// Nobody listens there, so that no test depends on whether a registry can be reached.
const NO_WAY: &str = "http://127.0.0.1:9";
const BRIDGE: &str = "docker0";

/// An engine, ended with its containers when dropped.
#[derive(Debug)]
pub struct PrivateDocker {
    engine: Child,
    dir: TempDir,
    had_bridge: bool,
    _alone: Lock,
}

impl PrivateDocker {
    /// What keeps one from being started here, if anything does: it needs root, and a second engine would share the
    /// first one's bridge.
    pub fn obstacle() -> Option<&'static str> {
        if !rustix::process::geteuid().is_root() {
            return Some("an engine of its own needs root");
        }
        let taken = Path::new("/var/run/docker.sock");
        std::os::unix::net::UnixStream::connect(taken).is_ok().then_some("an engine runs on this machine")
    }

    /// Starts one, some 2 s, once the one before it has ended: it takes their bridge away.
    pub fn start() -> Result<Self> {
        let alone = alone()?;
        let dir = tempfile::tempdir()?;
        let log = File::create(dir.path().join("dockerd.log"))?;
        let inside = |name: &str| dir.path().join(name).display().to_string();
        let mut command = Command::new("dockerd");
        command.args(["--iptables=false", "--ip6tables=false", "--ip-masq=false"]);
        for (option, file) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.args([option, &inside(file)]);
        }
        // Nothing of the machine's own configuration.
        std::fs::write(dir.path().join("daemon.json"), "{}")?;
        command.args(["--config-file", &inside("daemon.json"), "--host", &socket(dir.path())]);
        command.env("HTTPS_PROXY", NO_WAY).env("HTTP_PROXY", NO_WAY);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let absent = |_| Error::Absent { part: "docker", how: "`apt-get install docker.io`".to_owned() };
        let had_bridge = bridge().exists();
        let started = Self { engine: command.spawn().map_err(absent)?, dir, had_bridge, _alone: alone };
        started.await_answer()?;
        Ok(started)
    }

    fn await_answer(&self) -> Result<()> {
        let began = Instant::now();
        while !self.docker(&["version"])?.status.success() {
            let alive = Proc::of(self.engine.id()).is_some_and(Proc::is_alive);
            if !alive || began.elapsed() > PATIENCE {
                let log = shop_devstack::component::tail(&self.dir.path().join("dockerd.log"), 12);
                return Err(std::io::Error::other(format!("dockerd did not start:\n{log}")).into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Its address for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        socket(self.dir.path())
    }

    /// What the client answers to these arguments.
    pub fn docker(&self, arguments: &[&str]) -> Result<Output> {
        // The old builder needs no plugin of the client.
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.host()).env("DOCKER_BUILDKIT", "0").args(arguments);
        Ok(command.stdin(Stdio::null()).output()?)
    }

    /// What the client prints; anything but success is an error with its words.
    pub fn told(&self, arguments: &[&str]) -> Result<String> {
        let output = self.docker(arguments)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let words = String::from_utf8_lossy(&output.stderr);
        Err(std::io::Error::other(format!("docker {arguments:?}: {words}")).into())
    }

    /// Builds an image of the folder's Dockerfile.
    pub fn build(&self, tag: &str, folder: &Path) -> Result<()> {
        self.told(&["build", "--quiet", "--tag", tag, &folder.display().to_string()]).map(drop)
    }

    /// The names of all containers, running or not.
    pub fn containers(&self) -> Result<Vec<String>> {
        let told = self.told(&["ps", "--all", "--format", "{{.Names}}"])?;
        Ok(told.lines().map(str::to_owned).collect())
    }

    /// The names of all volumes.
    pub fn volumes(&self) -> Result<Vec<String>> {
        Ok(self.told(&["volume", "ls", "--quiet"])?.lines().map(str::to_owned).collect())
    }

    /// An image with this machine's PostgreSQL that keeps the official one's contract: `POSTGRES_PASSWORD_FILE` read
    /// as root, then initialised and served as `postgres` on port 5432, ended by SIGINT. The official one cannot be
    /// fetched without a registry.
    pub fn build_postgres(&self, tag: &str) -> Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("Dockerfile"), include_str!("docker/Dockerfile"))?;
        std::fs::write(folder.path().join("entrypoint"), include_str!("docker/entrypoint.sh"))?;
        let bin = shop_devstack::postgres::Binaries::find(None)?.program("");
        let mut command = Command::new("sh");
        command.args(["-euc", include_str!("docker/root.sh"), "root.sh"]).arg(bin).current_dir(folder.path());
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(std::io::Error::other(format!("no image of PostgreSQL: {words}")).into());
        }
        self.build(tag, folder.path())
    }
}

impl Drop for PrivateDocker {
    fn drop(&mut self) {
        // What does not work here is not worth a panic in a test that may be failing already.
        for name in self.containers().unwrap_or_default() {
            let _gone = self.docker(&["rm", "--force", "--volumes", &name]);
        }
        if let Some(engine) = Proc::of(self.engine.id()) {
            let _sent = engine.signal(Signal::TERM);
        }
        let _ended = self.engine.wait();
        if !self.had_bridge && bridge().exists() {
            let _gone = Command::new("ip").args(["link", "delete", BRIDGE]).status();
        }
    }
}

/// One engine of the tests at a time, on this machine.
fn alone() -> Result<Lock> {
    let all = StateDir::open(Bed::from_env()?.servers)?;
    let began = Instant::now();
    loop {
        match all.try_lock("docker-lock")? {
            Some(lock) => return Ok(lock),
            None if began.elapsed() > TURN => {
                let text = "another test's Docker Engine does not end";
                return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text).into());
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn socket(dir: &Path) -> String {
    format!("unix://{}", dir.join("docker.sock").display())
}

fn bridge() -> PathBuf {
    Path::new("/sys/class/net").join(BRIDGE)
}
