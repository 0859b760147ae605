//! A PostgreSQL data folder: made, described, and whose server may already be running. Starts no server.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Binaries;
use crate::component::{Account, Error, Result, tail};
use crate::process::{MARK, Proc};
use crate::state::{StateDir, read_or_create, write_private};

/// A Unix socket's path has room for 107 bytes.
const SOCKET_PATH_LIMIT: usize = 107;

/// One data folder and what belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    state: StateDir,
    pub(super) account: Option<Account>,
}

/// What the server itself wrote into `postmaster.pid`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub(super) pid: u32,
    pub(super) port: u16,
}

impl Cluster {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let state = StateDir::open(dir)?;
        let account = Account::for_servers()?;
        if let Some(account) = &account {
            account.reaches(super::NAME, &state.path().join("data"))?;
        }
        Ok(Self { state, account })
    }

    pub(super) fn state(&self) -> &StateDir {
        &self.state
    }

    pub(super) fn data(&self) -> PathBuf {
        self.state.path().join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.state.path().join("postgres.log")
    }

    pub(super) fn password_file(&self) -> PathBuf {
        self.state.path().join("password")
    }

    /// The folder of the Unix socket; `None` when its path would be longer than the system allows.
    pub(super) fn sockets(&self) -> Option<PathBuf> {
        let dir = self.state.path().join("socket");
        (dir.join(".s.PGSQL.65535.lock").as_os_str().len() <= SOCKET_PATH_LIMIT).then_some(dir)
    }

    /// A command that runs under the account that owns the data.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(account) = &self.account {
            account.apply(&mut command);
        }
        // Settings of a developer's own psql must not reach the server or its tools.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command
    }

    /// Whether the data folder was made completely.
    pub(super) fn exists(&self) -> bool {
        self.data().join("made").exists()
    }

    /// Makes the data folder with a new random password for its superuser; every connection must give it.
    pub(super) async fn create(&self, binaries: &Binaries) -> Result<()> {
        let data = self.data();
        if data.exists() {
            // Left by a run that was killed while it made it: without the sign of completion it holds nothing of anybody.
            fs::remove_dir_all(&data)?;
        }
        // Before the data: whoever finds a data folder finds its password too.
        let password = read_or_create(&self.password_file(), random_password)?;
        for dir in [Some(data.clone()), self.sockets()].into_iter().flatten() {
            fs::create_dir_all(&dir)?;
            self.give(&dir)?;
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
        }
        let handed_over = HandedOver(self.state.path().join("password-for-initdb"));
        write_private(&handed_over.0, password.as_bytes())?;
        self.give(&handed_over.0)?;
        self.initdb(binaries, &handed_over.0, &self.log()).await?;
        drop(handed_over);
        write_private(&data.join("made"), b"")?;
        self.give(&data.join("made"))
    }

    /// Runs it in a process group of its own: a Ctrl-C on the terminal reaches only the one who orders the stop, who
    /// finds it by its mark when this future is dropped.
    async fn initdb(&self, binaries: &Binaries, password: &Path, log: &Path) -> Result<()> {
        let file = fs::File::options().create(true).append(true).open(log)?;
        let mut command = self.command(&binaries.program("initdb"));
        command
            .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"])
            .args(["--no-sync", "--no-instructions", "--pgdata"])
            .arg(self.data())
            .arg(format!("--pwfile={}", password.display()))
            .current_dir(self.state.path())
            .env(MARK, self.state.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let status = tokio::process::Command::from(command).status().await?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Failed { component: super::NAME, doing: format!("initdb ({status})"), log: tail(log, 20) })
    }

    fn give(&self, path: &Path) -> Result<()> {
        Ok(self.account.as_ref().map_or(Ok(()), |account| account.own(path))?)
    }

    /// The superuser's password; an error where it is gone, since another one would open no data that is there.
    pub(super) fn password(&self) -> Result<String> {
        match fs::read_to_string(self.password_file()) {
            Ok(text) => Ok(text.trim_end().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.shut("is gone")),
            Err(error) => {
                Err(io::Error::new(error.kind(), format!("{}: {error}", self.password_file().display()))
                    .into())
            }
        }
    }

    /// Nobody can enter the data: what became of its password.
    pub(super) fn shut(&self, what: &'static str) -> Error {
        Error::Shut { file: self.password_file(), what, folder: self.state.path().to_owned() }
    }

    /// The server that runs on this data folder now, started by whomever.
    pub(super) fn running(&self) -> Option<(Proc, u16)> {
        running_on(&self.data())
    }

    /// Takes the number of a killed server out of its lock files where the system still knows that number: it was given
    /// to somebody else, or nobody has read the exit status yet (the first process of a container may never do so). The
    /// next server would take either for a colleague and refuse to start.
    ///
    /// The rest of `postmaster.pid` stays, since the server looks by it for children of the killed one that still use
    /// the data. Only for the holder of the folder's lock.
    pub(super) fn clear_pid_file(&self) -> Result<()> {
        let text = fs::read_to_string(self.pid_file()).unwrap_or_default();
        if self.running().is_some() {
            return Ok(());
        }
        self.clear_sockets()?;
        let Some(killed) = Postmaster::parse(&text).filter(|written| Proc::is_known(written.pid)) else {
            return Ok(());
        };
        // A server knows that its own parent is no server of this folder.
        let ours = text.replacen(&killed.pid.to_string(), &std::process::id().to_string(), 1);
        let new = self.state.path().join("postmaster.pid.new");
        write_private(&new, ours.as_bytes())?;
        self.give(&new)?;
        Ok(fs::rename(new, self.pid_file())?)
    }

    /// Beside each socket lies a lock file with the number of its server, too.
    fn clear_sockets(&self) -> Result<()> {
        let Some(dir) = self.sockets().filter(|dir| dir.exists()) else { return Ok(()) };
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(".s.PGSQL.") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn pid_file(&self) -> PathBuf {
        self.data().join("postmaster.pid")
    }
}

/// The server that runs on the data folder `data` now.
pub(super) fn running_on(data: &Path) -> Option<(Proc, u16)> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let written = Postmaster::parse(&text)?;
    let proc = Proc::of(written.pid)?;
    // The path as its command line has it, whatever links the caller came by.
    let data = fs::canonicalize(data).ok()?;
    let ours = proc.command_line().iter().any(|word| Path::new(word) == data);
    ours.then_some((proc, written.port))
}

/// The file by which `initdb` learns the password. It goes whatever becomes of that.
struct HandedOver(PathBuf);

impl Drop for HandedOver {
    fn drop(&mut self) {
        // Readable by its owner alone, and written anew by the next one.
        let _gone = fs::remove_file(&self.0);
    }
}

impl Postmaster {
    /// Lines of the file: number, data folder, start time, port, and more.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        let port = lines.nth(2)?.trim().parse().ok()?;
        Some(Self { pid, port })
    }
}

/// 244 random bits as hexadecimal digits, which need no quoting anywhere.
pub(crate) fn random_password() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_of_the_server_is_read() {
        let text = "4711\n/data\n1790000000\n54321\n/data/socket\n127.0.0.1\n  1234  5\nready   \n";
        assert_eq!(Postmaster::parse(text), Some(Postmaster { pid: 4711, port: 54321 }));
        assert_eq!(Postmaster::parse("4711\n"), None);
        assert_eq!(Postmaster::parse(""), None);
    }
}
