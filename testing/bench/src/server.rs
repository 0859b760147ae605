//! One started server: ours or a peer's. Starts it, waits for its first good answer, ends it. Knows no framework.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};

/// Java needs seconds, on a busy machine many.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether it is ready: half a millisecond is 1 % of the target of a start.
const BETWEEN_LOOKS: Duration = Duration::from_micros(500);
const PATIENCE_FOR_END: Duration = Duration::from_secs(10);

/// What is needed to start a server.
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    pub(crate) command: Command,
    /// Where requests go.
    pub(crate) address: SocketAddr,
    /// Where `ready_path` answers 200 once it is ready; often the same.
    pub(crate) ready_address: SocketAddr,
    pub(crate) ready_path: &'static str,
    /// What the server writes.
    pub(crate) log: PathBuf,
}

/// A server that is ready. Killed when dropped, with the workers that it has started.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first good answer.
    pub(crate) ready_after: Duration,
    child: Child,
}

impl Server {
    pub(crate) async fn start(mut recipe: Recipe) -> Result<Self> {
        let log =
            File::create(&recipe.log).with_context(|| format!("cannot write {}", recipe.log.display()))?;
        recipe.command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let began = Instant::now();
        let child =
            recipe.command.spawn().with_context(|| format!("{} could not be started", recipe.name))?;
        let pid = child.id().context("the server ended at once")?;
        let mut server =
            Self { name: recipe.name, pid, address: recipe.address, ready_after: Duration::ZERO, child };
        server.ready_after = server.wait_until_ready(&recipe, began).await?;
        Ok(server)
    }

    async fn wait_until_ready(&mut self, recipe: &Recipe, began: Instant) -> Result<Duration> {
        loop {
            let (address, path) = (recipe.ready_address, recipe.ready_path);
            // A thread of its own sleeps more precisely than the runtime's timer, whose step is a millisecond.
            let ready =
                tokio::task::spawn_blocking(move || look_for(address, path, Duration::from_millis(100)))
                    .await?;
            if ready {
                return Ok(began.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before it was ready:\n{}", self.name, tail(&recipe.log));
            }
            if began.elapsed() > PATIENCE {
                bail!("{} was not ready after {} s:\n{}", self.name, PATIENCE.as_secs(), tail(&recipe.log));
            }
        }
    }

    /// The address as a URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it politely, and by force when that takes too long.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if let Some(pid) = number(self.pid) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(PATIENCE_FOR_END, self.child.wait()).await.is_err() {
            self.kill();
            self.child.wait().await?;
        }
        Ok(())
    }

    fn kill(&self) {
        // No number once it was waited for: it may be another's by then.
        if let Some(group) = self.child.id().and_then(number) {
            // Gone by now is as good.
            let _ended = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn number(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Looks for so long whether the path answers 200.
fn look_for(address: SocketAddr, path: &str, time: Duration) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if answers(address, path).unwrap_or(false) {
            return true;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    false
}

fn answers(address: SocketAddr, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(&start == b"HTTP/1.1 200")
}

/// The end of a log, for an error.
pub(crate) fn tail(path: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// A free port on 127.0.0.1, none that the system gives to a connection meanwhile.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let port = shop_devstack::port::free().context("no free port on 127.0.0.1")?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(script: &str, dir: &Path) -> Recipe {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let address = free_address().unwrap();
        let log = dir.join("log");
        Recipe { name: "shell", command, address, ready_address: address, ready_path: "/", log }
    }

    #[tokio::test]
    async fn a_server_that_ends_early_shows_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let error =
            Server::start(recipe("echo no database; exit 2", dir.path())).await.err().unwrap().to_string();
        assert!(error.contains("exit status: 2") && error.contains("no database"), "{error}");
    }
}
