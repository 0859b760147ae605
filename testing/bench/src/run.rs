//! One run from the first check to the exit code: what is needed is there, the ground is laid, the cases take their
//! turn, the result is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Args;
use crate::case::{Bench, Name, Plan};
use crate::install::{Consent, TASKSET, WRK};
use crate::machine::{self, Machine};
use crate::ours::{self, Service};
use crate::peers::Peer;
use crate::pin::Layout;
use crate::report;
use crate::result::{Run, Settings};
use crate::server::{Recipe, Server, free_address};
use crate::stats::Answer;
use crate::ui::Ui;
use crate::world::{Size, World};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// A target is not met, and that was asked.
    Missed,
    /// That was asked, and a comparison cannot tell: no pass.
    Unclear,
    /// Numbers that must not be used.
    Invalid,
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl End {
    /// Of a run with these answers: the worst of them where that was asked.
    fn of(answers: &[Answer], is_invalid: bool, is_checked: bool) -> Self {
        let there_is = |wanted| is_checked && answers.contains(&wanted);
        match is_invalid {
            true => Self::Invalid,
            false if there_is(Answer::NotMet) => Self::Missed,
            false if there_is(Answer::CannotTell) => Self::Unclear,
            false => Self::Done,
        }
    }
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Done => Self::SUCCESS,
            End::Missed => Self::from(3),
            End::Unclear => Self::from(11),
            End::Invalid => Self::from(13),
            End::Interrupted => Self::from(130),
            End::Terminated => Self::from(143),
        }
    }
}

/// Runs the cases that the command line names.
pub(crate) async fn run(args: Args, ui: Ui) -> Result<End> {
    let consent = Consent::from(args.install);
    WRK.require(consent, &ui).await?;
    if args.layout == Layout::Split {
        TASKSET.require(consent, &ui).await?;
    }
    for peer in args.peers() {
        peer.build(consent, &ui).await?;
    }
    let program = match &args.program {
        Some(program) => program.clone(),
        None => {
            ui.says("building user-management");
            ours::build("user-management", &args.profile).await?
        }
    };

    let (plan, size) = scale(&args);
    ui.says(&format!("seeding {} accounts", size.users));
    let world = World::start(size, args.layout, args.socket).await?;
    // What is dropped half-way ends what it has started; the database's server has no owner that would.
    let outcome = tokio::select! {
        outcome = measure(&args, program, &world, plan, ui) => outcome.map(Ok),
        end = wished() => Ok(Err(end)),
    };
    world.postgres.stop().await?;
    let run = match outcome? {
        Ok(run) => run,
        Err(end) => return Ok(end),
    };

    ui.shows(&report::verdicts_text(run.verdicts()));
    if let Some(dir) = out(&args) {
        report::write(&run, &dir)?;
        ui.says(&format!("written to {}", dir.display()));
    }
    let is_invalid = run.cases.iter().any(|case| case.invalid.is_some());
    let answers: Vec<Answer> = run.verdicts().map(|verdict| verdict.answer).collect();
    Ok(End::of(&answers, is_invalid, args.check))
}

/// Returns once somebody wishes the end.
async fn wished() -> End {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return std::future::pending().await };
    tokio::select! {
        _ = interrupt.recv() => End::Interrupted,
        _ = terminate.recv() => End::Terminated,
    }
}

fn scale(args: &Args) -> (Plan, Size) {
    let (plan, users) = if args.quick {
        (
            Plan {
                quick: true,
                rounds: 1,
                seconds: 2,
                starts: 2,
                warm_up: 0,
                patience: Duration::ZERO,
                settle: Duration::from_secs(1),
            },
            2_000,
        )
    } else {
        (
            Plan {
                quick: false,
                rounds: 5,
                seconds: 8,
                starts: 25,
                warm_up: 6,
                patience: Duration::from_secs(2),
                settle: Duration::from_secs(7),
            },
            100_000,
        )
    };
    let plan = Plan {
        rounds: args.rounds.unwrap_or(plan.rounds).max(1),
        seconds: args.seconds.unwrap_or(plan.seconds).max(1),
        ..plan
    };
    let users = args.users.unwrap_or(users).max(1);
    (plan, Size { users, sessions: users.min(10_000) })
}

async fn measure(args: &Args, program: PathBuf, world: &World, plan: Plan, ui: Ui) -> Result<Run> {
    let service = Service::prepare(program, world).await?;
    let mut peers = BTreeMap::new();
    if !args.peers().is_empty() {
        world.seed_peers().await?;
        for peer in args.peers().iter().copied() {
            peers.insert(peer, peer.start(world).await?);
        }
    }
    let servers = (service.start().await?, start_limit(world).await?, peers);
    let bench = Bench::new(world, &service, servers, plan, ui)?;
    let mut cases = Vec::new();
    for name in chosen(args) {
        ui.says(&format!(
            "case {}",
            name.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
        ));
        let case = bench.run(name).await?;
        ui.shows(&report::case_text(&case));
        cases.push(case);
    }
    bench.stop().await?;
    Ok(Run {
        at: OffsetDateTime::now_utc().replace_nanosecond(0)?.format(&Rfc3339)?,
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::read(),
        postgres: world.postgres_version().await?,
        settings: Settings {
            rounds: plan.rounds,
            seconds: plan.seconds,
            users: world.size.users,
            layout: args.layout,
            socket: args.socket,
            profile: args.profile.clone(),
        },
        cases,
    })
}

fn chosen(args: &Args) -> Vec<Name> {
    if args.cases.is_empty() { Name::value_variants().to_vec() } else { args.cases.clone() }
}

/// Only a whole run, measured as the targets mean it, replaces what is committed.
fn out(args: &Args) -> Option<PathBuf> {
    let all = args.cases.is_empty() && args.peers().len() == Peer::value_variants().len();
    let otherwise = args.quick
        || args.socket
        || args.layout != Layout::Shared
        || args.profile != "release"
        || args.program.is_some()
        || args.rounds.is_some()
        || args.seconds.is_some()
        || args.users.is_some();
    let whole = all && !otherwise;
    let generated = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/generated");
    args.out.clone().or_else(|| whole.then_some(generated))
}

async fn start_limit(world: &World) -> Result<Server> {
    let address = free_address()?;
    let mut command = world.layout.servers().command(std::env::current_exe()?);
    command.args(["limit", "serve", "--address", &address.to_string()]);
    command.args(["--threads", &machine::cores().to_string()]);
    let log = world.path().join("limit.log");
    let recipe =
        Recipe { name: "limit", command, address, ready_address: address, ready_path: "/static", log };
    Server::start(recipe).await
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn only_a_whole_run_replaces_what_is_committed() {
        let of = |arguments: &[&str]| out(&Args::parse_from([&["bench"], arguments].concat()));
        assert!(of(&[]).unwrap().ends_with("docs/generated"));
        for partly in [
            &["me"][..],
            &["--quick"],
            &["--no-peers"],
            &["--peers", "gin"],
            &["--rounds", "1"],
            &["--seconds", "1"],
            &["--users", "1"],
            &["--socket"],
            &["--layout", "split"],
            &["--profile", "dev"],
            &["--program", "x"],
        ] {
            assert_eq!(of(partly), None, "{partly:?}");
        }
        assert_eq!(of(&["me", "--out", "here"]), Some(PathBuf::from("here")));
    }

    #[test]
    fn a_check_passes_only_when_every_target_is_met() {
        use Answer::{CannotTell, Met, NotMet};
        for (answers, is_invalid, end) in [
            (&[Met, Met][..], false, End::Done),
            (&[Met, CannotTell, Met], false, End::Unclear),
            (&[NotMet, CannotTell], false, End::Missed),
            (&[CannotTell, NotMet], false, End::Missed),
            (&[NotMet], true, End::Invalid),
        ] {
            assert_eq!(End::of(answers, is_invalid, true), end, "{answers:?}");
            let unchecked = if is_invalid { End::Invalid } else { End::Done };
            assert_eq!(End::of(answers, is_invalid, false), unchecked, "{answers:?}");
        }
    }
}
