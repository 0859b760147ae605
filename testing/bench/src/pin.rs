//! Which cores a process may run on. Uses `taskset`; without it everybody runs everywhere.

use clap::ValueEnum;
use serde::Serialize;
use tokio::process::Command;

use crate::machine;

/// How the cores are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Layout {
    /// Everybody on every core, as a deployment would: what the targets are about.
    Shared,
    /// Servers and PostgreSQL on the first half, generators on the rest: quieter, but pays for every wake-up across.
    Split,
}

/// The cores of one process; `None` for all.
#[derive(Debug, Clone)]
pub(crate) struct Pin(Option<String>);

impl Layout {
    pub(crate) fn servers(self) -> Pin {
        self.half(|cores| (0, cores / 2))
    }

    pub(crate) fn generators(self) -> Pin {
        self.half(|cores| (cores / 2, cores))
    }

    fn half(self, of: impl Fn(usize) -> (usize, usize)) -> Pin {
        let cores = machine::cores();
        if self == Self::Shared || cores < 2 {
            return Pin(None);
        }
        let (from, to) = of(cores);
        Pin(Some(format!("{from}-{}", to - 1)))
    }
}

impl Pin {
    /// A command that runs on these cores.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match &self.0 {
            None => Command::new(program),
            Some(cores) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", cores]).arg(program);
                command
            }
        }
    }

    /// Moves a running process with all its threads; what it starts later follows.
    pub(crate) async fn apply(&self, pid: u32) -> std::io::Result<()> {
        if let Some(cores) = &self.0 {
            let mut command = Command::new("taskset");
            command.args(["--all-tasks", "--cpu-list", "--pid", cores, &pid.to_string()]);
            command.stdout(std::process::Stdio::null()).status().await?;
        }
        Ok(())
    }
}
