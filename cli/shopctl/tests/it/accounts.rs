//! `shopctl dev` as root and not as root: under either, the database server runs under an account that is not root's.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use shop_devstack::process::Proc;
use shop_testbed::tier;

use crate::dev::Checkout;
use crate::world::{Ran, ran};

/// `nobody`, on every Linux.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `shopctl dev` as somebody who is not root. Root's toolchain lies where only root may look, so looking there is the
/// one right of root's that is left.
fn as_nobody(checkout: &Checkout, arguments: &[&str]) -> Command {
    let shopctl = checkout.command(arguments);
    if !is_root() {
        return shopctl;
    }
    let mut command = Command::new("setpriv");
    command
        .args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"])
        .args(["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--"])
        .arg(shopctl.get_program())
        .args(shopctl.get_args());
    surround(&mut command, &shopctl);
    let home = checkout.path("home");
    command.env("HOME", &home).env("CARGO_HOME", home.join(".cargo")).env("RUSTUP_HOME", rustup());
    command
}

/// The same folder and the same variables as `shopctl` has.
fn surround(command: &mut Command, shopctl: &Command) {
    let variables = shopctl.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let toolchain = std::env::var_os("RUSTUP_TOOLCHAIN").map(|name| ("RUSTUP_TOOLCHAIN", name));
    command.env_clear().envs(variables).envs(toolchain).stdin(std::process::Stdio::null());
    command.current_dir(shopctl.get_current_dir().unwrap());
}

/// Linked by root: the linker asks by `access`, which does not know the right to look.
fn build(checkout: &Checkout) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap());
    surround(cargo.args(["build", "--quiet"]), &checkout.command(&[]));
    assert!(cargo.status().unwrap().success());
}

fn rustup() -> PathBuf {
    let named = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    named.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".rustup"))
}

fn give(folder: &Path, account: u32) {
    chown(folder, Some(account), Some(account)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => give(&entry, account),
            false => chown(&entry, Some(account), Some(account)).unwrap(),
        }
    }
}

fn owner(proc: &serde_json::Value) -> u32 {
    let proc: Proc = serde_json::from_value(proc.clone()).unwrap();
    std::fs::metadata(format!("/proc/{}", proc.pid)).unwrap().uid()
}

/// A stack comes up, is told of, and goes with its data; answers the accounts of the supervisor, of a service and of
/// PostgreSQL.
fn lives(checkout: &Checkout, run: impl Fn(&[&str]) -> Ran) -> [u32; 3] {
    let up = run(&["up", "--detach", "--postgres", "local"]);
    assert_eq!(up.code, 0, "{}", up.stderr);
    let status = run(&["status", "--output", "json"]).json();
    assert_eq!(status["ready"], true, "{status}");
    let service = &status["services"][0]["replicas"][0]["proc"];
    let owners = [&status["supervisor"], service, &status["postgres"]["proc"]].map(owner);
    let down = run(&["down"]);
    assert_eq!(down.code, 0, "{}", down.stderr);
    assert_eq!(checkout.living(), []);
    let reset = run(&["reset", "--yes", "--output", "json"]);
    assert_eq!(reset.json()["databases"], serde_json::json!(["tiny"]), "{reset:?}");
    owners
}

#[test]
fn not_as_root_everything_runs_as_who_started_it() {
    let checkout = Checkout::new();
    let me = if is_root() { NOBODY } else { rustix::process::geteuid().as_raw() };
    if is_root() {
        build(&checkout);
        give(&checkout.path(""), me);
    }
    let owners = lives(&checkout, |arguments| ran(&mut as_nobody(&checkout, arguments)));
    assert_eq!(owners, [me; 3]);
}

#[test]
fn as_root_the_database_server_runs_under_another_account() {
    if !is_root() {
        return tier::left_out("`dev up` as root: these tests run as somebody else");
    }
    let checkout = Checkout::new();
    let [supervisor, service, server] = lives(&checkout, |arguments| ran(&mut checkout.command(arguments)));
    assert_eq!((supervisor, service), (0, 0));
    assert_ne!(server, 0, "PostgreSQL refuses to run as root");
}
