//! A folder that holds what has to outlive this process: small JSON files that are replaced whole, and locks that the
//! system releases when their holder dies. Knows nothing of what is written.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::process::Proc;

/// A state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
}

/// A lock on a state folder; released when dropped or when the process dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Writes this process's number into it, for [`StateDir::holder`]. Where it cannot be written none is there: the lock
    /// holds all the same, and a wrong number would name a stranger.
    pub fn sign(&self) {
        let text = format!("{}\n", std::process::id());
        let signed = self.file.set_len(0).and_then(|()| self.file.write_all_at(text.as_bytes(), 0));
        if signed.is_err() {
            let _none = self.file.set_len(0);
        }
    }
}

impl StateDir {
    /// The folder at `path`, made when absent.
    ///
    /// Made folders can be entered by every account (a database server runs under another one) but listed only by
    /// their owner; what is secret inside has its own mode.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        DirBuilder::new().recursive(true).mode(0o711).create(&path).map_err(|error| name(&error, &path))?;
        Ok(Self { path: fs::canonicalize(path)? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder inside, made when absent.
    pub fn folder(&self, folder: &str) -> io::Result<Self> {
        Self::open(self.path.join(folder))
    }

    /// Fails, and names it, unless files can be made in it now.
    pub fn require_writable(&self) -> io::Result<()> {
        let file = self.path.join(format!("writable-{}", std::process::id()));
        let made = File::create(&file).and_then(|_| fs::remove_file(&file));
        made.map_err(|error| name(&error, &self.path))
    }

    /// Replaces the file `file` as a whole: a reader sees the old text or the new one.
    pub fn write_json<T: Serialize>(&self, file: &str, value: &T) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(value)?;
        write_private(&self.path.join(file), &text)
    }

    /// What [`StateDir::write_json`] wrote; `None` when nothing was written. A file that cannot be read as `T` is an
    /// error that names it.
    pub fn read_json<T: DeserializeOwned>(&self, file: &str) -> io::Result<Option<T>> {
        let path = self.path.join(file);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(
                serde_json::from_slice(&bytes).map_err(|error| name(&io::Error::from(error), &path))?,
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(name(&error, &path)),
        }
    }

    /// Removes a file; one that is absent is no error.
    pub fn remove(&self, file: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes the lock `file` if nobody has it.
    pub fn try_lock(&self, file: &str) -> io::Result<Option<Lock>> {
        let path = self.path.join(file);
        let held = File::options().create(true).truncate(false).write(true).open(&path);
        let held = held.map_err(|error| name(&error, &path))?;
        match held.try_lock() {
            Ok(()) => Ok(Some(Lock { file: held })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// The process that has the lock `file` now, where it has signed it.
    pub fn holder(&self, file: &str) -> Option<Proc> {
        let text = fs::read_to_string(self.path.join(file)).ok()?;
        let signed = Proc::of(text.trim().parse().ok()?)?;
        // Whoever has released it has left its number behind.
        matches!(self.try_lock(file), Ok(None)).then_some(signed)
    }

    /// Takes the lock `file`, waiting for whoever has it for at most `patience`.
    pub async fn lock(&self, file: &str, patience: Duration) -> io::Result<Lock> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            if let Some(lock) = self.try_lock(file)? {
                return Ok(lock);
            }
            if tokio::time::Instant::now() >= deadline {
                let place = self.path.join(file);
                let text =
                    format!("{} is held by another process for {} s", place.display(), patience.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Replaces the file at `path` as a whole, readable by its owner alone.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let written = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(|error| name(&error, path))
}

/// The file's text, or the one that `make` gives, kept for the next time. Readable by its owner alone.
pub fn read_or_create(path: &Path, make: impl FnOnce() -> String) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim_end().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = make();
            write_private(path, text.as_bytes())?;
            Ok(text)
        }
        Err(error) => Err(name(&error, path)),
    }
}

fn name(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
