//! From `shopctl dev up` to everything ready, after the build and with its data there: what a developer waits for each
//! morning. The developer's own profile, a state folder of its own, free ports.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Result, bail};
use tokio::process::Command;

use super::Bench;
use crate::machine;
use crate::ours;
use crate::result::{Case, Figure, Role, Verdict};

const TARGET_S: f64 = 3.0;

/// What `cargo build` and `cargo run` take when nobody says otherwise.
const PROFILE: &str = "dev";

pub(super) async fn run(bench: &Bench<'_>) -> Result<Case> {
    let shopctl = ours::build("shopctl", PROFILE).await?;
    let state = tempfile::Builder::new().prefix("shop-bench-dev-").tempdir()?;
    // As root the database server runs under another account, which has to pass through.
    std::fs::set_permissions(state.path(), std::fs::Permissions::from_mode(0o711))?;
    let dev = Dev { shopctl: &shopctl, state: state.path() };

    let mut first =
        Figure { name: "the first start".to_owned(), role: Role::Ours, unit: "s", values: vec![] };
    first.values.push(dev.start_and_end().await?);
    let mut warm = Figure { name: "a later start".to_owned(), ..first.clone() };
    warm.values.clear();
    for _ in 0..bench.plan.rounds {
        machine::wait_for_calm(bench.plan.patience).await;
        warm.values.push(dev.start_and_end().await?);
    }
    let verdicts = vec![Verdict::of_figure("warm start of dev up", &warm, TARGET_S)];
    let figures = vec![warm, first];
    Ok(Case {
        id: "dev-up",
        title: "`shopctl dev up` to ready",
        rows: vec![],
        figures,
        verdicts,
        invalid: None,
    })
}

/// Down when dropped: what `up --detach` leaves in the background has no other owner.
struct Dev<'a> {
    shopctl: &'a Path,
    state: &'a Path,
}

impl Dev<'_> {
    /// Seconds until it returned because all was ready; then it is ended.
    async fn start_and_end(&self) -> Result<f64> {
        let began = Instant::now();
        let started = self.run(&["up", "--detach", "--ports", "auto", "--postgres", "local"]).await;
        let took = began.elapsed().as_secs_f64();
        let ended = self.run(&["down"]).await;
        started.and(ended).map(|()| took)
    }

    async fn run(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::from(self.command(arguments)).kill_on_drop(true).output().await?;
        if !output.status.success() {
            let text = [output.stdout, output.stderr].concat();
            bail!("shopctl dev {} failed:\n{}", arguments.join(" "), String::from_utf8_lossy(&text).trim());
        }
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(self.shopctl);
        command.arg("dev").args(arguments).env("SHOP_DEV_STATE", self.state).stdin(Stdio::null());
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    }
}

impl Drop for Dev<'_> {
    fn drop(&mut self) {
        let mut down = self.command(&["down"]);
        // Nobody is left to be told.
        let _ended = down.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
