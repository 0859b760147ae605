//! Where things lie, and how other programs are started from here.
//! Must not print; the programs that it starts do.
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The checkout and the surroundings that decide how its gate runs.
pub(crate) struct Repo {
    pub(crate) root: PathBuf,
    /// Tools and build results that outlive a checkout: `$SHOP_CACHE`, else `~/.cache/shop-testbed`.
    pub(crate) cache: PathBuf,
    /// Set by CI systems: nobody is there to answer, and installing is allowed.
    pub(crate) ci: bool,
}

impl Repo {
    pub(crate) fn here() -> Result<Self> {
        // Cargo sets it for what it runs. The one of compiling may be another checkout's that shares the target folder.
        let xtask = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
        let root = Path::new(&xtask).parent().context("xtask lies in the root")?.to_path_buf();
        let cache = match std::env::var_os("SHOP_CACHE") {
            Some(cache) => PathBuf::from(cache),
            None => {
                let home = std::env::var_os("HOME").context("HOME is not set: set it, or SHOP_CACHE")?;
                Path::new(&home).join(".cache/shop-testbed")
            }
        };
        let ci = std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1");
        Ok(Self { root, cache, ci })
    }

    /// `cargo` in the root. In CI it builds outside the checkout, so that the next clean checkout starts warm.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments);
        if self.ci && std::env::var_os("CARGO_TARGET_DIR").is_none() {
            command.env("CARGO_TARGET_DIR", self.cache.join("target"));
        }
        command
    }

    pub(crate) fn program(&self, name: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(name);
        command.current_dir(&self.root).stdin(Stdio::null());
        // Cargo sets these for xtask itself; nested builds must not inherit them.
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION", "RUSTFLAGS_XTASK"] {
            command.env_remove(name);
        }
        command
    }

    /// The services: folders under `services/` that have migrations of their own, but for the kit.
    pub(crate) fn services(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.root.join("services")).context("services/ cannot be read")? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().join("migrations").is_dir() && name != "kit" {
                found.push(name);
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Runs a command to its end and fails if it did, naming it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{} cannot be started", name_of(command)))?;
    ensure!(status.success(), "`{}` failed ({status})", line_of(command));
    Ok(())
}

/// Runs a command and gives what it wrote to stdout.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} cannot be started", name_of(command)))?;
    if !output.status.success() {
        bail!("`{}` failed ({})", line_of(command), output.status);
    }
    String::from_utf8(output.stdout).context("its output is not UTF-8")
}

fn name_of(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// The command as a person would type it.
fn line_of(command: &Command) -> String {
    let name =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ")
}
