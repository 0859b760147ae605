//! Programs in Go, compiled here. A module is fetched at its version and must have the checksum that stands in the pins;
//! what it needs is checked by its own `go.sum`.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Task;
use crate::{Error, Result};

/// A command of a module.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) module: &'static str,
    pub(crate) version: &'static str,
    /// The hash of the module's files, as `go.sum` has it.
    pub(crate) sum: &'static str,
    /// The package of the command.
    pub(crate) package: &'static str,
    /// Values that the linker sets, `importpath.name=value`; with `-s -w` without debug symbols.
    pub(crate) set: &'static [&'static str],
}

/// A program of ours.
#[derive(Debug)]
pub(crate) struct Program {
    /// What is in it, for people.
    pub(crate) what: &'static str,
    /// Its files by name.
    pub(crate) files: &'static [(&'static str, &'static str)],
    pub(crate) set: &'static [&'static str],
    /// Further names by which it is called; each is a link.
    pub(crate) names: &'static [&'static str],
}

/// The part of `go mod download -json` that is looked at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Fetched {
    dir: Option<PathBuf>,
    sum: Option<String>,
    error: Option<String>,
}

impl Command {
    pub(super) async fn build(&self, task: &Task<'_>) -> Result<()> {
        fetch(task, self.module, self.version, self.sum).await?;
        let mut go = go(task.folder);
        go.args(["install", "-trimpath", "-ldflags", &flags(self.set)]);
        go.arg(format!("{}@{}", self.package, self.version)).env("GOBIN", task.folder.join("bin"));
        task.run(&format!("building {} {}", self.package, self.version), &mut go).await?;
        Ok(())
    }
}

impl Program {
    pub(super) async fn build(&self, task: &Task<'_>) -> Result<()> {
        let source = task.folder.join("source");
        std::fs::create_dir_all(&source)?;
        for (name, text) in self.files {
            std::fs::write(source.join(name), text)?;
        }
        let bin = task.folder.join("bin");
        std::fs::create_dir_all(&bin)?;
        let mut go = go(&source);
        go.args(["build", "-trimpath", "-mod=readonly", "-ldflags", &flags(self.set), "-o"]);
        go.arg(bin.join(task.name)).arg(".");
        task.run(&format!("building {}", self.what), &mut go).await?;
        for name in self.names {
            std::os::unix::fs::symlink(task.name, bin.join(name))?;
        }
        Ok(())
    }

    /// Changes with every byte that it is made of.
    pub(super) fn version(&self) -> String {
        // Not for security, `go.sum` is: it keeps another build apart from this one.
        let mut hasher = DefaultHasher::new();
        (self.files, self.set, self.names).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Fetches a module's source and gives its folder; one with another checksum than the pinned one is refused.
pub(super) async fn fetch(task: &Task<'_>, module: &str, version: &str, sum: &str) -> Result<PathBuf> {
    let mut go = go(task.folder);
    let what = format!("{module}@{version}");
    go.args(["mod", "download", "-json", &what]);
    let told = task.run(&format!("fetching {what}"), &mut go).await?;
    let refused = |reason: String| Error::Install { command: format!("go mod download {what}"), reason };
    let fetched: Fetched = serde_json::from_slice(&told).map_err(|error| refused(error.to_string()))?;
    match fetched {
        Fetched { sum: Some(found), dir: Some(dir), .. } if found == sum => Ok(dir),
        Fetched { sum: Some(found), .. } => Err(refused(format!("its checksum is {found} and not {sum}"))),
        Fetched { error, .. } => Err(refused(error.unwrap_or_else(|| "nothing came".to_owned()))),
    }
}

fn go(folder: &Path) -> tokio::process::Command {
    let mut go = tokio::process::Command::new("go");
    // Static, so that it runs wherever it is put; no newer Go than the one that is here.
    go.current_dir(folder)
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-buildvcs=false");
    go
}

fn flags(set: &[&str]) -> String {
    let set: String = set.iter().map(|pair| format!(" -X {pair}")).collect();
    format!("-s -w{set}")
}
