//! Compiles the program of an image: static, for the architecture of the images, the same bytes wherever the checkout and
//! Cargo's own folder lie. Must not decide what goes into the image beside it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::error::at;
use crate::{Error, Inputs, Result};

/// What the images run on, as Rust calls it.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// One program to compile.
#[derive(Debug, Clone)]
pub struct Compile {
    /// The workspace.
    pub root: PathBuf,
    pub package: String,
    /// Where Cargo builds. Kept: a second compile starts from the first.
    pub target: PathBuf,
    /// Gets everything that Cargo and the compiler say.
    pub log: PathBuf,
}

impl Compile {
    /// Runs Cargo to its end and answers where the program is. `hear` gets each line as it comes.
    ///
    /// Dropping the future ends Cargo and every compiler that it has started.
    ///
    /// # Errors
    /// [`Error::Compile`] with the first lines of the first error, when it does not compile; [`Error::Workspace`] when it is
    /// made of something that its inputs do not name.
    pub async fn run(&self, inputs: &Inputs, mut hear: impl FnMut(&str)) -> Result<PathBuf> {
        let mut log = File::create(&self.log).await.map_err(at(&self.log))?;
        let mut running = Running(self.command().spawn().map_err(at(Path::new("cargo")))?);
        let mut first_error = FirstError::default();
        if let Some(words) = running.0.stderr.take() {
            let mut words = BufReader::new(words).lines();
            while let Some(line) = words.next_line().await.map_err(at(&self.log))? {
                log.write_all(line.as_bytes()).await.map_err(at(&self.log))?;
                log.write_all(b"\n").await.map_err(at(&self.log))?;
                first_error.hear(&line);
                hear(&line);
            }
        }
        log.flush().await.map_err(at(&self.log))?;
        let ended = running.0.wait().await.map_err(at(Path::new("cargo")))?;
        if !ended.success() {
            return Err(Error::Compile {
                package: self.package.clone(),
                said: first_error.lines.join("\n"),
                log: self.log.clone(),
            });
        }
        let program = self.target.join(TARGET).join("release").join(&self.package);
        self.check_inputs(&program, inputs)?;
        Ok(program)
    }

    fn command(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args(["build", "--release", "--locked", "--color=never", "--target", TARGET])
            .args(["--package", &self.package, "--bin", &self.package, "--target-dir"])
            .arg(&self.target);
        // What Cargo has set for us, when it started us, would change what is compiled.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_PROFILE_") || text == "RUSTFLAGS" {
                command.env_remove(name);
            }
        }
        let (compiler, c_compiler) = self.flags();
        command
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("CARGO_MANIFEST_PATH")
            .env("CARGO_ENCODED_RUSTFLAGS", compiler.join("\u{1f}"))
            .env("CFLAGS", c_compiler.join(" "))
            .current_dir(&self.root)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Flags of the Rust compiler and of the C compiler: static, and no folder of this machine in the program.
    fn flags(&self) -> (Vec<String>, Vec<String>) {
        let cargo = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
        // The last that fits wins.
        let renamed = [
            Some((self.root.clone(), "/src")),
            Some((self.target.clone(), "/target")),
            cargo.map(|cargo| (cargo, "/cargo")),
        ];
        let renamed: Vec<_> =
            renamed.into_iter().flatten().map(|(from, to)| format!("{}={to}", from.display())).collect();
        let mut compiler = vec!["-Ctarget-feature=+crt-static".to_owned()];
        compiler.extend(renamed.iter().map(|rename| format!("--remap-path-prefix={rename}")));
        (compiler, renamed.iter().map(|rename| format!("-ffile-prefix-map={rename}")).collect())
    }

    /// Cargo lists what it has read: every file of the checkout must be one of the inputs, or the same tag could name two
    /// programs.
    fn check_inputs(&self, program: &Path, inputs: &Inputs) -> Result<()> {
        let root = std::fs::canonicalize(&self.root).map_err(at(&self.root))?;
        let target = std::fs::canonicalize(&self.target).map_err(at(&self.target))?;
        let list = program.with_extension("d");
        let text = std::fs::read_to_string(&list).map_err(at(&list))?;
        let read = text.split_once(": ").map_or("", |(_, read)| read).replace("\\ ", "\0");
        for file in read.split_whitespace().map(|file| PathBuf::from(file.replace('\0', " "))) {
            // Without its `..`, by which an include leaves its crate.
            let file = std::fs::canonicalize(&file).map_err(at(&file))?;
            let Ok(below) = file.strip_prefix(&root) else { continue };
            if !file.starts_with(&target) && !inputs.hold(below) {
                return Err(Error::Workspace {
                    said: format!(
                        "{} is compiled from {}, which lies in none of its crates",
                        self.package,
                        below.display()
                    ),
                });
            }
        }
        Ok(())
    }
}

/// Cargo, with the compilers that it has started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Its number is that of its group; none once it was waited for.
        let pid = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // Gone by now is as good.
            let _ended = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// The first error of a compiler, for the screen.
#[derive(Debug, Default)]
struct FirstError {
    lines: Vec<String>,
    over: bool,
}

impl FirstError {
    /// As many lines as a screen has room for beside those of the other services.
    const MOST: usize = 12;

    fn hear(&mut self, line: &str) {
        let begins = self.lines.is_empty() && line.starts_with("error");
        let goes_on = !self.lines.is_empty() && !self.over && self.lines.len() < Self::MOST;
        if goes_on && line.is_empty() {
            self.over = true;
        } else if begins || goes_on {
            self.lines.push(line.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_ends_at_the_first_empty_line() {
        let mut first = FirstError::default();
        for line in [
            "   Compiling a",
            "warning: unused",
            "",
            "error[E0425]: no x",
            "  --> a.rs:1:1",
            "",
            "error: another",
        ] {
            first.hear(line);
        }
        assert_eq!(first.lines, ["error[E0425]: no x", "  --> a.rs:1:1"]);
    }
}
