//! The programs that the benchmark needs and does not bring: found, or installed when that was asked for. Installs
//! nothing unasked.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::ui::Ui;

/// One program and the Debian package that has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    package: &'static str,
}

pub(crate) const WRK: Program = Program { name: "wrk", package: "wrk" };
pub(crate) const TASKSET: Program = Program { name: "taskset", package: "util-linux" };
pub(crate) const GO: Program = Program { name: "go", package: "golang" };
pub(crate) const PYTHON: Program = Program { name: "python3", package: "python3-venv" };
pub(crate) const MAVEN: Program = Program { name: "mvn", package: "maven" };

/// What may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// `--install` or `CI=true`.
    Given,
    /// Ask on the terminal.
    Ask,
    /// No terminal to ask on.
    No,
}

impl Consent {
    pub(crate) fn from(flag: bool) -> Self {
        if flag || std::env::var("CI").is_ok_and(|value| value == "true") {
            Self::Given
        } else if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
            Self::Ask
        } else {
            Self::No
        }
    }

    /// Whether `what` may be fetched now.
    pub(crate) fn allows(self, what: &str, ui: &Ui) -> Result<bool> {
        match self {
            Self::Given => Ok(true),
            Self::No => Ok(false),
            Self::Ask => ui.asks(&format!("{what}: fetch it now?")),
        }
    }
}

impl Program {
    /// Where it is, installed first if it was absent and that is allowed.
    pub(crate) async fn require(self, consent: Consent, ui: &Ui) -> Result<PathBuf> {
        if let Some(path) = self.find() {
            return Ok(path);
        }
        let command = format!("apt-get install {}", self.package);
        if !consent.allows(&format!("`{}` is absent ({command})", self.name), ui)? {
            bail!("`{}` is not on this machine: `{command}`, or pass --install", self.name);
        }
        ui.says(&format!("installing {}", self.package));
        shop_testbed::install_packages(&shop_testbed::Bed::from_env()?, &[self.package]).await?;
        match self.find() {
            Some(path) => Ok(path),
            None => bail!("`{command}` brought no `{}`", self.name),
        }
    }

    fn find(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join(self.name)).find(|file| file.is_file())
    }
}
