//! The programs of parts that a machine may lack: which, at which version, from where. All pins stand in `pins.rs`.
//! Fetches nothing unless the bed may install.

pub(crate) mod go;
pub(crate) mod maven;
pub(crate) mod python;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use shop_devstack::component::{program, tail};
use shop_devstack::state::StateDir;
use tokio::process::Command;

use crate::{Bed, Error, Result, install};

/// Another test may be building the same: the slowest build takes some five minutes on two cores.
const PATIENCE: Duration = Duration::from_secs(1800);
/// A long step says that it goes on.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Written last: the folder holds all of the tool.
const WHOLE: &str = "whole";

/// A program, or a folder of them, at one version.
#[derive(Debug)]
pub(crate) struct Tool {
    /// What it is called, on the command line and in messages.
    pub(crate) name: &'static str,
    /// Where it comes from.
    pub(crate) source: Source,
}

/// Where a program comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Debian's packages, whose program lies in PATH or one of the folders. Debian signs what it gives.
    Debian { packages: &'static [&'static str], folders: &'static [&'static str] },
    /// A command of a Go module, compiled here.
    Go(go::Command),
    /// A program of ours in Go that holds those of others, with its own `go.mod` and `go.sum`.
    GoProgram(go::Program),
    /// A Python package with all it needs, each with its checksum, in an environment of its own.
    Python(python::Locked),
    /// An archive of Maven Central, unpacked.
    Maven(maven::Archive),
}

impl Tool {
    /// Where it is, if it is here.
    pub(crate) fn find(&self, bed: &Bed) -> Option<PathBuf> {
        let path = match &self.source {
            Source::Debian { folders, .. } => return program(self.name, folders),
            Source::Go(_) | Source::GoProgram(_) | Source::Python(_) => {
                self.folder(bed).join("bin").join(self.name)
            }
            Source::Maven(archive) => self.folder(bed).join(archive.root),
        };
        self.folder(bed).join(WHOLE).exists().then_some(path)
    }

    /// Where it is, after it was brought if it was absent.
    ///
    /// # Errors
    /// [`Error::Absent`] when it is not here and the bed may not install; [`Error::Install`] when it could not be
    /// brought.
    pub(crate) async fn require(&self, part: &'static str, bed: &Bed) -> Result<PathBuf> {
        if let Some(found) = self.find(bed) {
            return Ok(found);
        }
        if !bed.install {
            return Err(Error::Absent { part, how: self.by_hand() });
        }
        self.bring(bed).await?;
        let nothing =
            || Error::Install { command: self.by_hand(), reason: format!("it brought no {}", self.name) };
        self.find(bed).ok_or_else(nothing)
    }

    async fn bring(&self, bed: &Bed) -> Result<()> {
        if let Source::Debian { packages, .. } = &self.source {
            (bed.tell)(&format!("{}: installing {}", self.name, packages.join(" ")));
            return install::packages(bed, packages).await;
        }
        let all = StateDir::open(&bed.tools)?;
        let _lock = all.lock(&format!("{}-lock", self.name), PATIENCE).await?;
        if self.find(bed).is_some() {
            return Ok(());
        }
        let folder = self.folder(bed);
        if folder.exists() {
            // What was begun and not finished.
            std::fs::remove_dir_all(&folder)?;
        }
        let folder = all.folder(&folder.file_name().unwrap_or_default().to_string_lossy())?;
        let task = Task { name: self.name, folder: folder.path(), bed };
        match &self.source {
            Source::Go(command) => command.build(&task).await?,
            Source::GoProgram(program) => program.build(&task).await?,
            Source::Python(locked) => locked.install(&task).await?,
            Source::Maven(archive) => archive.unpack(&task).await?,
            Source::Debian { .. } => {}
        }
        Ok(std::fs::write(folder.path().join(WHOLE), "")?)
    }

    /// Named by all that decides what is in it, so that another version is another folder.
    fn folder(&self, bed: &Bed) -> PathBuf {
        let version = match &self.source {
            Source::Debian { .. } => "debian".to_owned(),
            Source::Go(command) => command.version.to_owned(),
            Source::GoProgram(program) => program.version(),
            Source::Python(locked) => locked.version.to_owned(),
            Source::Maven(archive) => archive.version.to_owned(),
        };
        bed.tools.join(format!("{}-{version}", self.name))
    }

    fn by_hand(&self) -> String {
        match &self.source {
            Source::Debian { packages, .. } => format!("`apt-get install {}`", packages.join(" ")),
            Source::Go(command) => format!("a build of {} {} with Go", command.package, command.version),
            Source::GoProgram(program) => format!("a build of {} with Go", program.what),
            Source::Python(locked) => format!("{} {} from PyPI", locked.package, locked.version),
            Source::Maven(archive) => format!("{} from Maven Central", archive.coordinates()),
        }
    }
}

/// The making of one tool.
pub(crate) struct Task<'a> {
    name: &'static str,
    /// The tool's own, empty at first.
    folder: &'a Path,
    bed: &'a Bed,
}

impl Task<'_> {
    /// Runs a command to its end; says every now and then that it still runs. Its words are kept for the error.
    async fn run(&self, doing: &str, command: &mut Command) -> Result<Vec<u8>> {
        let log = self.folder.join("log");
        let errors = std::fs::File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stderr(errors).kill_on_drop(true);
        let words = format!("{:?}", command.as_std());
        let failed = |reason: String| Error::Install { command: words.clone(), reason };
        (self.bed.tell)(&format!("{}: {doing}", self.name));
        let began = Instant::now();
        let output = command.output();
        tokio::pin!(output);
        let output = loop {
            match tokio::time::timeout(HEARTBEAT, &mut output).await {
                Ok(output) => break output.map_err(|error| failed(error.to_string()))?,
                Err(_) => {
                    let seconds = began.elapsed().as_secs();
                    (self.bed.tell)(&format!("{}: {doing}, {seconds} s", self.name));
                }
            }
        };
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(failed(tail(&log, 12)))
    }
}
