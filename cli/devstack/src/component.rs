//! What starting any component has in common: what it says while it starts, why it cannot, the account it runs under.
//! Knows no single component.

use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::process::Proc;

/// How long a component may take to answer after its start. A cold PostgreSQL that replays its log needs seconds.
pub const START_PATIENCE: Duration = Duration::from_secs(30);

/// What a component says while it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The program that will run.
    Found { component: &'static str, program: PathBuf },
    /// A data folder is made.
    Creating { component: &'static str, dir: PathBuf },
    /// It runs already and is used as it is.
    Adopted { component: &'static str, proc: Proc, port: u16 },
    /// It was started and is waited for.
    Starting { component: &'static str, proc: Proc, port: u16 },
    /// It answers, so long after its start.
    Ready { component: &'static str, after: Duration },
}

/// Where the steps go.
#[derive(Debug, Clone, Default)]
pub struct Report(Option<UnboundedSender<Step>>);

impl Report {
    /// Nobody listens.
    pub fn silent() -> Self {
        Self(None)
    }

    /// Every step goes into `channel`.
    pub fn to(channel: UnboundedSender<Step>) -> Self {
        Self(Some(channel))
    }

    pub(crate) fn say(&self, step: Step) {
        if let Some(channel) = &self.0 {
            // A listener that went away does not stop the start.
            let _unheard = channel.send(step);
        }
    }
}

/// Why a component does not run. Each says what to do next where the user can do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its program is not on this machine.
    #[error("no {program} on this machine (looked in {looked}); install it with `{install}`")]
    NotInstalled { program: &'static str, looked: String, install: &'static str },
    /// The port that was asked for has somebody else on it.
    #[error("port {port} for {component} is in use{}; end that or choose another port", by(.holder.as_ref()))]
    PortTaken { component: &'static str, port: u16, holder: Option<String> },
    /// Its folder cannot be reached by the account that the server runs under.
    #[error(
        "{component} runs as {account}, which cannot enter {folder}; choose another state folder or open that one with `chmod o+x`"
    )]
    Unreachable { component: &'static str, account: String, folder: PathBuf },
    /// Its data belongs to another version than the programs.
    #[error("the data in {} was made by PostgreSQL {made_by} and the programs here are {found}; install PostgreSQL {made_by} or remove the folder", .folder.display())]
    OtherVersion { folder: PathBuf, made_by: String, found: String },
    /// Its data is there, and the password that opens it is not.
    #[error(
        "the password of the PostgreSQL in {} {what} ({}): bring that file back, or delete the whole folder with its data", .folder.display(), .file.display()
    )]
    Shut { folder: PathBuf, file: PathBuf, what: &'static str },
    /// It ended, or one of its tools did, with these last lines.
    #[error("{component}: {doing} failed{}", lines(.log))]
    Failed { component: &'static str, doing: String, log: String },
    /// It runs but does not answer.
    #[error("{component} did not answer within {} s{}", .waited.as_secs(), lines(.log))]
    Silent { component: &'static str, waited: Duration, log: String },
    /// The database refused.
    #[error("PostgreSQL: {}", innermost(.0))]
    Database(#[from] tokio_postgres::Error),
    /// A file or a process could not be handled.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Shorthand of this crate's components.
pub type Result<T> = std::result::Result<T, Error>;

fn by(holder: Option<&String>) -> String {
    holder.map(|holder| format!(" by {holder}")).unwrap_or_default()
}

/// What the server said, which the driver's own words ("db error") leave out.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn lines(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("; its last lines:\n{log}") }
}

/// The last `count` lines of a log; empty when there is none.
pub fn tail(log: &Path, count: usize) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The first program of this name in the folders, then in PATH.
pub fn program(name: &str, folders: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.iter().map(PathBuf::from).chain(std::env::split_paths(&path));
    all.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The account that a server runs under when this program is root, which no server should be (PostgreSQL refuses it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

impl Account {
    /// `None` when this program is not root: servers then run as the same user. Otherwise `postgres` if there is such
    /// an account, else `nobody`.
    pub fn for_servers() -> io::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = std::fs::read_to_string("/etc/passwd")?;
        let found = ["postgres", "nobody"].iter().find_map(|name| Self::parse(&passwd, name));
        found
            .map(Some)
            .ok_or_else(|| io::Error::other("neither an account postgres nor nobody in /etc/passwd"))
    }

    fn parse(passwd: &str, name: &str) -> Option<Self> {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { name: name.to_owned(), uid, gid })
    }

    /// Makes `command` run under this account.
    pub fn apply(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives `path` to this account.
    pub fn own(&self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }

    /// Fails on the first folder on the way to `dir` that this account cannot enter.
    pub fn reaches(&self, component: &'static str, dir: &Path) -> Result<()> {
        for folder in dir.ancestors().skip(1) {
            let meta = std::fs::metadata(folder)?;
            let bit = match (meta.uid() == self.uid, meta.gid() == self.gid) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            if meta.mode() & bit == 0 {
                let folder = folder.to_owned();
                return Err(Error::Unreachable { component, account: self.name.clone(), folder });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_from_its_whole_name() {
        let passwd = "postgres-old:x:7:8::/:/bin/sh\npostgres:x:101:104:admin,,,:/var:/bin/bash\nbroken:x";
        let account = Account { name: "postgres".into(), uid: 101, gid: 104 };
        assert_eq!(Account::parse(passwd, "postgres"), Some(account));
        assert_eq!(Account::parse(passwd, "nobody"), None);
        assert_eq!(Account::parse(passwd, "broken"), None);
    }

    #[test]
    fn a_tail_has_the_last_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a\nb\nc\n").unwrap();
        assert_eq!(tail(file.path(), 2), "b\nc");
        assert_eq!(tail(file.path(), 9), "a\nb\nc");
        assert_eq!(tail(Path::new("/nonexistent"), 9), "");
    }
}
