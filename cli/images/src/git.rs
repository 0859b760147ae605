//! What git knows of the checkout. Must not change anything in it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::{Error, Result};

/// What `git` with these arguments writes to stdout.
///
/// # Errors
/// [`Error::Git`] with what it says itself.
pub(crate) fn git<A: AsRef<OsStr>>(root: &Path, arguments: impl IntoIterator<Item = A>) -> Result<String> {
    // Nothing of the user's configuration may change what is read, and no lock is taken: two builds run side by side.
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["--no-optional-locks", "-c", "core.quotePath=false"])
        .args(arguments)
        .output()
        .map_err(|error| Error::Git { said: format!("git cannot be started: {error}") })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Git { said: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}
