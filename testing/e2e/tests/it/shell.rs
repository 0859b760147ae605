//! A shell in a home of its own: commands are typed as the documents show them.
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Where nothing of the developer's own stack is seen or touched.
pub(crate) struct Shell {
    folder: tempfile::TempDir,
}

impl Shell {
    pub(crate) fn new() -> Self {
        // PostgreSQL may run as another user, who must be able to pass through.
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    pub(crate) fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent).unwrap().to_path_buf()
    }

    pub(crate) fn command(&self, typed: &str) -> Command {
        let mut command = Command::new("bash");
        command
            .args(["-c", typed])
            .current_dir(Self::root())
            .stdin(Stdio::null())
            .env("SHOP_DEV_STATE", self.folder.path().join("state"))
            .env("SHOP_DEV_PORTS", "auto")
            .env("XDG_STATE_HOME", self.folder.path().join("xdg"))
            .env("NO_COLOR", "1")
            // With no bus there is no keyring: the developer's is not touched.
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
            // Cargo's own variables of this test would make nested builds compile everything anew.
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("CARGO_PKG_NAME");
        command
    }

    pub(crate) fn run(&self, typed: &str) -> Output {
        self.command(typed).output().unwrap()
    }

    /// Starts a command that stays, in a process group of its own, like a terminal does.
    pub(crate) fn start(&self, typed: &str) -> Foreground {
        let log = self.folder.path().join("foreground.log");
        let file = File::create(&log).unwrap();
        let mut command = self.command(typed);
        command.stdout(file.try_clone().unwrap()).stderr(file).process_group(0);
        Foreground { child: command.spawn().unwrap(), log }
    }

    /// A path inside of its own folder.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// The processes that were started from here and live: they carry the folder in their environment or arguments.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let folder = self.folder.path().to_str().unwrap();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_process = name.bytes().all(|byte| byte.is_ascii_digit());
            if !is_process || name == std::process::id().to_string() {
                continue;
            }
            let read = |what: &str| {
                let bytes = std::fs::read(entry.path().join(what)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', " ")
            };
            let line = read("cmdline");
            if !line.is_empty() && (line.contains(folder) || read("environ").contains(folder)) {
                found.push(format!("{name}: {line}"));
            }
        }
        found
    }
}

/// A command on the terminal that has not ended.
pub(crate) struct Foreground {
    child: Child,
    log: PathBuf,
}

impl Foreground {
    pub(crate) fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has printed `text`; panics with what it printed when it ends or stays silent instead.
    pub(crate) fn wait_for(&mut self, text: &str, patience: Duration) {
        let start = Instant::now();
        while !self.printed().contains(text) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended ({ended:?}) before it printed {text:?}:\n{}", self.printed());
            assert!(start.elapsed() < patience, "{text:?} was not printed in time:\n{}", self.printed());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ctrl-C: the whole group gets the signal, as from a terminal.
    pub(crate) fn interrupt(mut self) -> ExitStatus {
        let group = Pid::from_child(&self.child);
        kill_process_group(group, Signal::INT).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _gone = kill_process_group(Pid::from_child(&self.child), Signal::TERM);
            let _reaped = self.child.wait();
        }
    }
}
