//! `cargo xtask ci`: the whole gate, the same on a laptop and in CI. A list of steps, and a table of how they ended.
//! Must not know how a step works; each has its own module.
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;

use crate::repo::{Repo, run};
use crate::{failures, guards, sqlx, tidy, tools, ui};

#[derive(clap::Args)]
pub(crate) struct CiArgs {
    /// Run everything: every long test, every guard
    #[arg(long)]
    full: bool,
    /// Install what is missing (Debian packages, tools); CI=true means the same
    #[arg(long)]
    install: bool,
    /// The seed of what tests draw by chance; drawn from the clock and printed when not given
    #[arg(long)]
    seed: Option<u64>,
    /// Run only these steps
    #[arg(long, value_name = "STEP", value_delimiter = ',', value_parser = names())]
    only: Vec<String>,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(STEPS.iter().map(|step| step.name))
}

impl CiArgs {
    fn wants(&self, step: &Step) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == step.name)
    }

    /// Refuses a step by name that this tier leaves out: nothing would be run, and that would look passed.
    fn check(&self) -> Result<(), clap::Error> {
        let left_out =
            STEPS.iter().find(|step| step.full && !self.full && !self.only.is_empty() && self.wants(step));
        let Some(step) = left_out else { return Ok(()) };
        let text = format!("--only {}: this step is only in the full tier; add --full\n", step.name);
        Err(clap::Error::raw(ErrorKind::ArgumentConflict, text))
    }
}

/// What a step says when nothing went wrong: all that it does, or what of it could not be run here.
type Done = Option<String>;

struct Step {
    name: &'static str,
    /// Only in the full tier.
    full: bool,
    body: fn(&Gate<'_>) -> Result<Done>,
}

const STEPS: &[Step] = &[
    step("format", |gate| run(&mut gate.repo.cargo(&["fmt", "--all", "--check"])).map(|()| None)),
    step("tidy", |gate| tidy::check(&gate.repo.root).map(|()| None)),
    step("tools", |gate| tools::all(gate.repo, gate.install, gate.full).map(|()| None)),
    step("deny", |gate| tools::deny(gate.repo, gate.install)),
    step("testbed", |gate| gate.testbed_up().map(|()| None)),
    step("sqlx", |gate| sqlx::prepare(gate.repo, true).map(|()| None)),
    step("clippy", |gate| gate.clippy()),
    step(TEST, |gate| gate.test()),
    Step { name: "guards", full: true, body: |gate| guards::check(gate.repo, &[]).map(|()| None) },
];

/// The step that runs the tests.
const TEST: &str = "test";

/// The parts of the testbed that most tests share.
const EVERYDAY: &[&str] = &["postgres", "redis", "smtp"];
/// Those that a test starts for itself.
const PARTS: &[&str] = &["rabbitmq", "registry", "moto", "prometheus", "alertmanager"];
/// Those that only the full tier starts.
const PARTS_FULL: &[&str] = &["kubernetes"];

const fn step(name: &'static str, body: fn(&Gate<'_>) -> Result<Done>) -> Step {
    Step { name, full: false, body }
}

/// One run of the gate.
struct Gate<'a> {
    repo: &'a Repo,
    install: bool,
    full: bool,
    seed: u64,
    /// Where tests write what the short tier left out.
    left_out: PathBuf,
    /// Why tests failed, repeated at the end.
    failures: RefCell<Vec<String>>,
}

enum Outcome {
    Passed,
    NotRun(String),
    Failed(anyhow::Error),
}

pub(crate) fn main(args: &CiArgs, repo: &Repo) -> Result<ExitCode> {
    args.check().unwrap_or_else(|error| error.exit());
    let scratch = tempfile::tempdir().context("no folder for the results")?;
    let gate = Gate {
        repo,
        install: args.install || repo.ci,
        full: args.full,
        seed: args.seed.unwrap_or_else(seed_of_now),
        left_out: scratch.path().join("left-out"),
        failures: RefCell::default(),
    };
    let tier = if gate.full { "full" } else { "short" };
    ui::line(format_args!("gate: {tier} tier, seed {} (repeat with --seed {})", gate.seed, gate.seed));
    let mut rows = Vec::new();
    for step in STEPS {
        if !args.wants(step) {
            continue;
        }
        if step.full && !gate.full {
            rows.push((step.name, Duration::ZERO, Outcome::NotRun("only in the full tier".to_owned())));
            continue;
        }
        ui::line(format_args!("\n== {}", step.name));
        let start = Instant::now();
        let outcome = match (step.body)(&gate) {
            Ok(None) => Outcome::Passed,
            Ok(Some(not_run)) => Outcome::NotRun(not_run),
            Err(error) => {
                ui::error(&error);
                Outcome::Failed(error)
            }
        };
        rows.push((step.name, start.elapsed(), outcome));
    }
    if repo.ci {
        let down = ["run", "--quiet", "--package", "shop-testbed", "--", "down"];
        if let Err(error) = run(&mut repo.cargo(&down)) {
            ui::error(&error);
            rows.push(("testbed down", Duration::ZERO, Outcome::Failed(error)));
        }
    }
    Ok(gate.summary(&rows))
}

impl Gate<'_> {
    /// Starts what most tests use, and brings the programs of the other parts, which tests start themselves.
    fn testbed_up(&self) -> Result<()> {
        let testbed = |arguments: &[&str]| {
            let program = ["run", "--package", "shop-testbed", "--"];
            run(&mut self.repo.cargo(&[&program, arguments].concat()))
        };
        if self.install {
            let more: &[&str] = if self.full { PARTS_FULL } else { &[] };
            testbed(&[&["install"], EVERYDAY, PARTS, more].concat())?;
        }
        let install: &[&str] = if self.install { &["--install"] } else { &[] };
        testbed(&[&["up"], EVERYDAY, install].concat())
    }

    fn clippy(&self) -> Result<Done> {
        // Not quiet, as nothing here that compiles for minutes: silence would look like a hang.
        run(&mut self.repo.cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]))?;
        Ok(None)
    }

    fn test(&self) -> Result<Done> {
        let mut command = self.tests(&["test", "--workspace", "--locked", "--no-fail-fast"]);
        let (status, why) = failures::watch(&mut command)?;
        self.failures.replace(why);
        ensure!(status.success(), "`cargo test` failed ({status})");
        Ok(None)
    }

    fn tests(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.repo.cargo(arguments);
        command
            .env("SHOP_TEST_TIER", if self.full { "full" } else { "short" })
            .env("SHOP_TEST_SEED", self.seed.to_string())
            .env("SHOP_TEST_LEFT_OUT", &self.left_out);
        command
    }

    fn summary(&self, rows: &[(&str, Duration, Outcome)]) -> ExitCode {
        let left_out = std::fs::read_to_string(&self.left_out).unwrap_or_default();
        let left_out: BTreeSet<&str> = left_out.lines().collect();
        ui::line("\nstep       seconds  outcome");
        for (name, time, outcome) in rows {
            let outcome = told(name, outcome, left_out.len());
            ui::line(format_args!("{name:<10} {:>7.1}  {outcome}", time.as_secs_f64()));
        }
        if !left_out.is_empty() {
            ui::line(left_out_by(self.full));
            left_out.iter().for_each(|line| ui::line(format_args!("  {line}")));
        }
        let failures = self.failures.borrow();
        if !failures.is_empty() {
            ui::line("\nwhy tests failed:");
            failures.iter().for_each(|line| ui::line(format_args!("  {line}")));
        }
        let count = |wanted: fn(&Outcome) -> bool| rows.iter().filter(|row| wanted(&row.2)).count();
        let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let passed = count(|outcome| matches!(outcome, Outcome::Passed));
        let not_run = count(|outcome| matches!(outcome, Outcome::NotRun(_)));
        ui::line(format_args!("\nsteps: {passed} passed, {failed} failed, {not_run} not run"));
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// How a step ended, in its row. The step `test` passes with tests left out too, which its row must not hide.
fn told(step: &str, outcome: &Outcome, left_out: usize) -> String {
    match outcome {
        Outcome::Passed if step == TEST && left_out > 0 => format!("passed, {left_out} left out"),
        Outcome::Passed => "passed".to_owned(),
        Outcome::NotRun(why) => format!("NOT RUN: {why}"),
        Outcome::Failed(error) => format!("FAILED: {error:#}"),
    }
}

/// The title of what tests left out. The full tier leaves out only what cannot be run on this machine.
fn left_out_by(full: bool) -> &'static str {
    match full {
        true => "\nleft out here, by the full tier too:",
        false => "\nleft out by the short tier (cargo xtask ci --full runs what this machine can):",
    }
}

fn seed_of_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        ci: CiArgs,
    }

    fn parse(words: &[&str]) -> Result<CiArgs, clap::Error> {
        let line = Line::try_parse_from([&["ci"], words].concat())?;
        line.ci.check().map(|()| line.ci)
    }

    #[test]
    fn a_step_that_would_not_run_is_a_usage_error() {
        let refused = |words| parse(words).err().map(|error| (error.exit_code(), error.to_string()));
        for words in [&["--only", "tset"][..], &["--only", "format,nonsense"]] {
            let (code, text) = refused(words).expect("no such step");
            assert!(code == 2 && STEPS.iter().all(|step| text.contains(step.name)), "{text}");
        }
        let (code, text) = refused(&["--only", "guards"]).expect("not in the short tier");
        assert!(code == 2 && text.contains("--full"), "{text}");
    }

    #[test]
    fn only_the_steps_that_are_named_run() {
        let ran = |words: &[&str]| {
            let args = parse(words).expect("a usage");
            STEPS.iter().filter(|step| args.wants(step)).map(|step| step.name).collect::<Vec<_>>()
        };
        assert_eq!(ran(&["--only", "tidy,format"]), ["format", "tidy"]);
        assert_eq!(ran(&["--full", "--only", "guards"]), ["guards"]);
        assert_eq!(ran(&[]).len(), STEPS.len());
    }

    #[test]
    fn the_row_of_the_tests_says_how_many_were_left_out() {
        assert_eq!(told(TEST, &Outcome::Passed, 3), "passed, 3 left out");
        assert_eq!(told(TEST, &Outcome::Passed, 0), "passed");
        assert_eq!(told("tidy", &Outcome::Passed, 3), "passed");
        assert!(told(TEST, &Outcome::Failed(anyhow::anyhow!("red")), 3).starts_with("FAILED: red"));
    }

    #[test]
    fn what_is_left_out_is_not_promised_of_the_tier_that_left_it_out() {
        assert!(left_out_by(false).contains("ci --full runs what"));
        assert!(!left_out_by(true).contains("--full"));
    }
}
