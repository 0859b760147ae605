//! Brings missing programs from Debian's packages. Only called by somebody who may.

use std::process::Stdio;
use std::time::Duration;

use shop_devstack::state::StateDir;
use tokio::process::Command;

use crate::{Bed, Error, Result};

/// Another test binary may be installing just now; a slow mirror needs minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// Installs the packages, one caller at a time.
pub async fn packages(bed: &Bed, names: &[&str]) -> Result<()> {
    let _lock = StateDir::open(&bed.servers)?.lock("install-lock", PATIENCE).await?;
    if apt(&with_names(names)).await.is_ok() {
        return Ok(());
    }
    // The lists of a fresh machine are empty or old.
    apt(&["update"]).await?;
    apt(&with_names(names)).await
}

fn with_names<'a>(names: &[&'a str]) -> Vec<&'a str> {
    [&["install", "--yes", "--no-install-recommends"], names].concat()
}

async fn apt(arguments: &[&str]) -> Result<()> {
    let words: Vec<&str> = if rustix::process::geteuid().is_root() {
        [&["apt-get"], arguments].concat()
    } else {
        [&["sudo", "--non-interactive", "apt-get"], arguments].concat()
    };
    let failed = |reason: String| Error::Install { command: words.join(" "), reason };
    let output = Command::new(words[0])
        .args(&words[1..])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
