//! One process of the operating system, known by its number and its start time, so that a number which the
//! system gave to somebody else is never signalled. Knows nothing of what the process does.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// The variable by which a component and all its children carry the folder they belong to.
pub const MARK: &str = "SHOP_COMPONENT_DIR";

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How often a process must be seen without an environment before that is believed.
const LOOKS_FOR_NONE: u32 = 10;

/// How long a process may take to become another program before it is taken for one that bears no mark.
const BECOMING: Duration = Duration::from_millis(100);

/// The most that is read of an environment. Linux allows 6 MiB of words and environment together; ours have a few KiB.
const ENVIRONMENT_BYTES: usize = 512 * 1024;

/// A process of this machine since it was last started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Proc {
    /// The process number.
    pub pid: u32,
    /// Clock ticks between the machine's start and the process's (field 22 of `/proc/<pid>/stat`).
    pub started: u64,
}

/// How a process ended after [`Proc::stop`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It was no longer there.
    Already,
    /// It followed the polite signal.
    Politely,
    /// It had to be killed.
    Killed,
}

impl Proc {
    /// The living process with this number; `None` when there is none or only its unread exit status is left.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command's name stands in parentheses and may hold spaces and parentheses itself.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let state = *fields.first()?;
        let started = fields.get(19)?.parse().ok()?;
        let ended = matches!(state, "Z" | "X") && !has_other_threads(pid);
        (!ended).then_some(Self { pid, started })
    }

    /// Whether the system knows this number: of a living process, or of an ended one whose exit status nobody has read.
    pub(crate) fn is_known(pid: u32) -> bool {
        Path::new("/proc").join(pid.to_string()).exists()
    }

    /// Whether this very process still runs.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// The words of its command line; empty when it is gone.
    pub fn command_line(self) -> Vec<String> {
        let bytes = std::fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        bytes
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty())
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    }

    /// What it was started with, `NAME=value`, each ended by a NUL; empty when it is gone, or another user's.
    fn environment(self) -> Vec<u8> {
        let has_words = || !self.command_line().is_empty();
        let has_program = || std::fs::read_link(format!("/proc/{}/exe", self.pid)).is_ok();
        // A process that is becoming another program has for a moment no environment and no words, and what was opened
        // just before reads as empty just after. Where there are words and nothing else, time after time, there is none.
        let mut looks = 0;
        let until = Instant::now() + BECOMING;
        while looks < LOOKS_FOR_NONE && Instant::now() < until {
            match self.environment_now() {
                None => break,
                Some(environment) if !environment.is_empty() => return environment,
                Some(_) if !has_program() || !self.is_alive() => break,
                Some(_) => looks += u32::from(has_words()),
            }
            std::thread::yield_now();
        }
        Vec::new()
    }

    fn environment_now(self) -> Option<Vec<u8>> {
        // In one piece: what is read after the process became another program is the end of the file.
        let mut environment = vec![0; ENVIRONMENT_BYTES];
        let length = File::open(format!("/proc/{}/environ", self.pid)).ok()?.read(&mut environment).ok()?;
        environment.truncate(length);
        Some(environment)
    }

    /// The memory it holds in RAM now, in bytes.
    pub fn memory_bytes(self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
    }

    /// Sends `signal`. `Ok(false)` when the process is gone.
    pub fn signal(self, signal: Signal) -> io::Result<bool> {
        match self.open()? {
            Some(fd) => Ok(pidfd_send_signal(fd, signal).map(|()| true).or_else(gone)?),
            None => Ok(false),
        }
    }

    /// Sends `polite`, waits at most `patience`, then kills; returns once the process is gone.
    pub async fn stop(self, polite: Signal, patience: Duration) -> io::Result<Stopped> {
        if !self.signal(polite)? {
            return Ok(Stopped::Already);
        }
        if tokio::time::timeout(patience, self.ended()).await.is_ok() {
            return Ok(Stopped::Politely);
        }
        self.signal(Signal::KILL)?;
        self.ended().await;
        Ok(Stopped::Killed)
    }

    /// Returns when the process has ended, whoever its parent is.
    pub async fn ended(self) {
        // Looked at again and again: only a parent is told by the system, and waiting on a process descriptor needs
        // code that this workspace forbids (`unsafe`) or a thread for each process.
        while self.is_alive() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// A descriptor of this very process. The start time is read after the descriptor is held, so that the number
    /// cannot change its owner in between.
    fn open(self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(fd) => Ok(self.is_alive().then_some(fd)),
            Err(error) => gone(error).map(|_| None),
        }
    }
}

/// The first thread of a process may have ended while others still hold its files and ports.
fn has_other_threads(pid: u32) -> bool {
    std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1)
}

fn gone(error: rustix::io::Errno) -> io::Result<bool> {
    if error == rustix::io::Errno::SRCH { Ok(false) } else { Err(error.into()) }
}

/// Starts `command` in the background: in a process group of its own (a Ctrl-C on the terminal reaches only the one
/// who orders the stop), without input, all output appended to `log`, marked as belonging to `dir`, which is also its
/// working folder unless the command names another.
///
/// The child is not bound to this process's life.
pub fn spawn(mut command: Command, dir: &Path, log: &Path) -> io::Result<Proc> {
    let log = File::options().create(true).append(true).open(log)?;
    if command.get_current_dir().is_none() {
        command.current_dir(dir);
    }
    command.env(MARK, dir).process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut child = command.spawn()?;
    let pid = child.id();
    let proc = Proc::of(pid);
    // Somebody has to read its exit status, or a child that ends stays as a zombie for as long as this process lives.
    std::thread::Builder::new().name(format!("reap-{pid}")).spawn(move || child.wait())?;
    proc.ok_or_else(|| io::Error::other(format!("process {pid} ended at once")))
}

/// The living processes that were started for `dir`, also by an earlier run of this program.
pub fn marked(dir: &Path) -> Vec<Proc> {
    // As the state folder writes it, whatever links the caller came by.
    let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let mark = format!("{MARK}={}", dir.display());
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Proc::of)
        .filter(|proc| proc.environment().split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes()))
        .collect()
}
