//! Builds the services with cargo and learns from it where the executables are. Knows no target folder and no layout
//! of the workspace: cargo says both.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::events::{Event, Events, Step};
use crate::process::MARK;
use crate::trouble::{Result, Trouble};

/// What is built.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    /// The workspace.
    pub(crate) root: PathBuf,
    pub(crate) packages: BTreeSet<String>,
    pub(crate) release: bool,
    pub(crate) target_dir: Option<PathBuf>,
    pub(crate) mark: PathBuf,
    /// Whether the compiler's words have colours.
    pub(crate) colors: bool,
}

/// The executable of each package: the one that has the package's name, else its only one.
pub(crate) type Programs = BTreeMap<String, PathBuf>;

#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    target: Option<Target>,
    package_id: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

impl Build {
    /// Runs cargo; what it compiles and what it complains about go out as events.
    pub(crate) async fn run(&self, events: &Events) -> Result<Programs> {
        let packages = self.packages.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let step = events.step("build", packages.clone());
        let mut child = self.command().spawn().map_err(|error| {
            Trouble::Environment(format!("cargo cannot be started ({error}): it builds the services"))
        })?;
        let programs = self.listen(&mut child, events, &step).await?;
        if !child.wait().await?.success() {
            return Err(Trouble::Build { packages });
        }
        self.check(&programs)?;
        step.done(packages);
        Ok(programs)
    }

    fn command(&self) -> Command {
        // Under `cargo run` this is the very cargo that built us.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        let color = if self.colors { "--color=always" } else { "--color=never" };
        command.args(["build", "--message-format=json-render-diagnostics", color]);
        if self.release {
            command.arg("--release");
        }
        if let Some(folder) = &self.target_dir {
            command.arg("--target-dir").arg(folder);
        }
        for package in &self.packages {
            command.args(["--package", package]);
        }
        // What cargo set for us, when it started us, would make it build everything anew.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_"))
        {
            command.env_remove(name);
        }
        command
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("CARGO_MANIFEST_PATH")
            .env(MARK, &self.mark)
            .current_dir(&self.root)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    async fn listen(&self, child: &mut Child, events: &Events, step: &Step) -> Result<Programs> {
        let missing = || io::Error::other("cargo's output was not piped");
        let mut messages = BufReader::new(child.stdout.take().ok_or_else(missing)?).lines();
        let mut words = BufReader::new(child.stderr.take().ok_or_else(missing)?).lines();
        let mut programs = Programs::new();
        let (mut reading, mut hearing) = (true, true);
        while reading || hearing {
            tokio::select! {
                line = messages.next_line(), if reading => match line? {
                    Some(line) => self.note(&line, &mut programs),
                    None => reading = false,
                },
                line = words.next_line(), if hearing => match line? {
                    Some(line) if is_progress(&plain(&line)) => step.doing(plain(&line).trim()),
                    Some(line) => events.say(Event::Compiler { line }),
                    None => hearing = false,
                },
            }
        }
        Ok(programs)
    }

    fn note(&self, line: &str, programs: &mut Programs) {
        let Ok(message) = serde_json::from_str::<Message>(line) else { return };
        let (Some(program), Some(target), Some(id)) =
            (message.executable, message.target, message.package_id)
        else {
            return;
        };
        if message.reason != "compiler-artifact" {
            return;
        }
        let Some(package) = self.packages.iter().find(|package| names(&id, package)) else { return };
        if target.name == *package || !programs.contains_key(package) {
            programs.insert(package.clone(), program);
        }
    }

    fn check(&self, programs: &Programs) -> Result<()> {
        match self.packages.iter().find(|package| !programs.contains_key(*package)) {
            Some(package) => Err(Trouble::Usage(format!("the package {package} has no executable to start"))),
            None => Ok(()),
        }
    }
}

/// Whether a package id (`path+file:///…/user-management#0.1.0`, `path+file:///…/x#user-management@0.1.0`) is of this
/// package.
fn names(id: &str, package: &str) -> bool {
    let Some((path, fragment)) = id.rsplit_once('#') else { return false };
    match fragment.split_once('@') {
        Some((name, _)) => name == package,
        None => Path::new(path).file_name().is_some_and(|name| name == package),
    }
}

/// The line without its colours.
fn plain(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

/// Cargo's own words on how far it is (`   Compiling serde v1`), as against what the compiler says.
fn is_progress(line: &str) -> bool {
    const WORDS: [&str; 12] = [
        "Compiling",
        "Checking",
        "Building",
        "Finished",
        "Fresh",
        "Downloading",
        "Downloaded",
        "Blocking",
        "Locking",
        "Updating",
        "Dirty",
        "Adding",
    ];
    let indented = line.starts_with("   ");
    indented && line.split_whitespace().next().is_some_and(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_package_id_are_read() {
        assert!(names("path+file:///w/services/user-management#0.1.0", "user-management"));
        assert!(names("path+file:///w/services/users#user-management@0.1.0", "user-management"));
        assert!(!names("path+file:///w/services/user-management#other@0.1.0", "user-management"));
        assert!(!names("path+file:///w/services/management#0.1.0", "user-management"));
    }

    #[test]
    fn cargo_is_told_apart_from_the_compiler() {
        assert!(is_progress("   Compiling serde v1.0.0"));
        assert!(is_progress("    Finished `dev` profile in 0.3s"));
        assert!(!is_progress("error[E0425]: cannot find value `x`"));
        assert!(!is_progress("   | Compiling"));
        assert!(is_progress(&plain("\u{1b}[1m\u{1b}[92m   Compiling\u{1b}[0m serde v1.0.0")));
    }
}
