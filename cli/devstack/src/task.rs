//! Runs a service's own command to its end (`migrate`, `seed`, `keys init`), its words in a log. Decides nothing about
//! when.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::environment::inherited;
use crate::logs;
use crate::process::MARK;
use crate::replica::words;
use crate::trouble::{Result, Trouble};

/// Lines of a failed command that its error shows.
const LAST_LINES: usize = 12;

/// One command of a service.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub(crate) service: &'a str,
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [&'a str],
    pub(crate) environment: &'a [(String, String)],
    pub(crate) folder: &'a Path,
    pub(crate) mark: PathBuf,
    pub(crate) log: PathBuf,
}

impl Task<'_> {
    /// Returns what it wrote, to stdout and to stderr; the log has it as well.
    pub(crate) async fn run(&self) -> Result<Vec<String>> {
        let command_line = self.arguments.join(" ");
        logs::rotate(&self.log)?;
        let log = File::options().create(true).append(true).open(&self.log)?;
        logs::begin_run(&log, &format!("{}-{}", self.service, self.arguments.first().unwrap_or(&"")))?;
        let mut command = Command::new(self.program);
        command
            .args(self.arguments)
            .env_clear()
            .envs(inherited())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env(MARK, &self.mark)
            .current_dir(self.folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let failed = |status: String, code| Trouble::Command {
            service: self.service.to_owned(),
            command: command_line.clone(),
            status,
            code,
            lines: logs::last_of_run(&self.log, LAST_LINES),
        };
        let status = command.status().await.map_err(|error| failed(error.to_string(), None))?;
        match status.code() {
            Some(0) => Ok(logs::last_of_run(&self.log, usize::MAX)),
            code => Err(failed(words(status), code.or(status.signal().map(|signal| 128 + signal)))),
        }
    }
}
