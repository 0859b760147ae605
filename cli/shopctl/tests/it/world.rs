//! A world for one run: its own home, no variable of the developer's shell, a folder with the files of the test.
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Three services, three environments, no mistake.
pub(crate) const FIXTURE: &str = include_str!("../../../platform/tests/fixtures/three-services.toml");

/// What stands before the services of a shop.toml that has one environment, dev.
const BEFORE_SERVICES: &str = r#"schema = 1
date = 2026-11-22
[defaults]
replicas = { min = 1, max = 1, target_cpu = "70%" }
cpu = { request = "100m", limit = "1" }
memory = { request = "64Mi", limit = "128Mi" }
shutdown = { pre_stop = "5s", drain = "20s", grace = "40s" }
objectives = { availability = "99.9%", p95 = "500ms" }
[environment.dev]
"#;

/// Cargo and the compiler, which a world has none of: variables that lead to the developer's.
pub(crate) fn of_the_developer() -> impl Iterator<Item = (&'static str, OsString)> {
    let names = ["HOME", "CARGO_HOME", "RUSTUP_HOME", "CARGO"];
    names.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)))
}

#[derive(Debug)]
pub(crate) struct World {
    folder: TempDir,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    /// Without a platform file.
    pub(crate) fn empty() -> Self {
        let world = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir(world.path("home")).expect("a home");
        fs::create_dir(world.path("work")).expect("a folder to work in");
        world
    }

    /// With this shop.toml.
    pub(crate) fn with(platform: &str) -> Self {
        let world = Self::empty();
        fs::write(world.path("work/shop.toml"), platform).expect("written");
        world
    }

    /// With a shop.toml of dev alone and these services.
    pub(crate) fn of_services(services: &str) -> Self {
        Self::with(&format!("{BEFORE_SERVICES}{services}"))
    }

    pub(crate) fn path(&self, inside: &str) -> std::path::PathBuf {
        self.folder.path().join(inside)
    }

    /// `shopctl` in the folder `work`, still to be given arguments.
    pub(crate) fn shopctl(&self) -> Command {
        self.in_folder(&self.path("work"))
    }

    pub(crate) fn in_folder(&self, folder: &Path) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("shopctl"));
        command
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PATH", std::env::var_os("PATH").expect("a PATH"));
        command.current_dir(folder).stdin(std::process::Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.shopctl().args(arguments))
    }

    /// The same on a terminal; what it shows comes out as stdout.
    pub(crate) fn run_on_a_terminal(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let program = assert_cmd::cargo::cargo_bin!("shopctl");
        let line = format!("{} {}", program.display(), arguments.join(" "));
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        command
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PATH", std::env::var_os("PATH").expect("a PATH"));
        command.env("TERM", "xterm").envs(variables.iter().copied()).current_dir(self.path("work"));
        ran(command.stdin(std::process::Stdio::null()))
    }
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("the output is text");
    Ran { code: status.code().expect("ends by itself"), stdout: text(stdout), stderr: text(stderr) }
}

impl Ran {
    /// The one document on stdout.
    pub(crate) fn json(&self) -> serde_json::Value {
        let document: serde_json::Value = serde_json::from_str(&self.stdout).expect("stdout is one document");
        assert_eq!(document["schema"], 1, "the document has a version");
        document
    }
}
