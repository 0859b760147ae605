//! The harness itself, run as a user runs it: every case once, for two seconds, with the service's dev build. What the
//! numbers are is not looked at; that they are there, and that hardly an answer was an error, is.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const CASES: [&str; 10] =
    ["static", "me", "log-in", "register", "token", "start", "memory", "size", "storm", "dev-up"];
const TARGETS: [&str; 7] = [
    "GET /users/me / pgbench, same statement",
    "log in / bare hash on as many threads",
    "start to ready",
    "idle memory",
    "size of the program",
    "p99 in a log-in storm / beside as many busy threads",
    "warm start of dev up",
];

/// A quick run with the service's dev build, and what it wrote into `out`.
fn run(arguments: &[&str], out: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_shop-bench"))
        .args(arguments)
        .args(["--quick", "--profile", "dev", "--out"])
        .arg(out)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    // 13: an unoptimised service on a busy machine may have to send one or two log-ins away.
    assert!(matches!(output.status.code(), Some(0 | 13)), "{said}");
    let text = std::fs::read_to_string(out.join("bench.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_case_runs_and_every_target_is_judged() {
    let out = tempfile::tempdir().unwrap();
    let run = run(&["--no-peers"], out.path());
    let cases = run["cases"].as_array().unwrap();
    let ids: Vec<&str> = cases.iter().map(|case| case["id"].as_str().unwrap()).collect();
    assert_eq!(ids, CASES);
    for row in cases.iter().flat_map(|case| case["rows"].as_array().unwrap()) {
        for round in row["rounds"].as_array().unwrap() {
            let [requests, errors] = ["requests", "errors"].map(|field| round[field].as_u64().unwrap());
            assert!(requests > 0 && errors * 10 <= requests, "{row}");
        }
    }
    let verdicts = cases.iter().flat_map(|case| case["verdicts"].as_array().unwrap());
    let judged: Vec<&str> = verdicts.map(|verdict| verdict["what"].as_str().unwrap()).collect();
    assert_eq!(judged, TARGETS);

    let page = std::fs::read_to_string(out.path().join("bench.md")).unwrap();
    assert!(TARGETS.iter().all(|target| page.contains(target)), "{page}");
    let chart = std::fs::read_to_string(out.path().join("bench.svg")).unwrap();
    assert!(chart.starts_with("<svg") && chart.contains("pgbench") && chart.contains("bare axum"), "{chart}");
}

#[test]
fn every_peer_is_measured_beside_ours() {
    if !shop_testbed::tier::full_only("Gin, FastAPI and Spring Boot beside ours") {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let run = run(&["me", "log-in"], out.path());
    for case in run["cases"].as_array().unwrap() {
        for peer in ["Gin", "FastAPI", "Spring Boot"] {
            let mut rows = case["rows"].as_array().unwrap().iter();
            let row = rows.find(|row| row["name"] == peer).unwrap_or_else(|| panic!("no {peer} in {case}"));
            for round in row["rounds"].as_array().unwrap() {
                assert!(round["requests"].as_u64() > Some(0) && round["errors"] == 0, "{row}");
            }
        }
    }
}

#[test]
fn an_unknown_case_is_a_usage_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_shop-bench")).arg("nonsense").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("nonsense") && said.contains("log-in"), "{said}");
}

/// Ctrl-C while the load is on: nothing that was started stays behind, PostgreSQL included.
#[test]
fn an_interrupt_leaves_no_process() {
    let out = tempfile::tempdir().unwrap();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_shop-bench"))
        .args(["me", "--quick", "--profile", "dev", "--no-peers", "--out"])
        .arg(out.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(bench.stderr.take().unwrap());
    // The first line of a round is said when its first measurement is over, and the next has begun.
    let began = said.lines().map_while(Result::ok).any(|line| line.contains("round 1: "));
    assert!(began, "it ended before it had begun");
    let started = below(bench.id());
    assert!(started.len() >= 2, "PostgreSQL and a server at least: {started:?}");
    let pid = rustix::process::Pid::from_child(&bench);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(130));
    // Killed children of children are gone a moment later.
    let patience = Instant::now();
    while started.iter().any(is_alive) {
        assert!(patience.elapsed() < Duration::from_secs(10), "{started:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process by its number and the moment of its start, so that another with its number is none.
type Started = (u32, String);

/// The processes below this one.
fn below(parent: u32) -> Vec<Started> {
    let numbers = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let children = numbers.filter_map(|pid| {
        let (of, started) = parent_and_start(pid)?;
        (of == parent).then_some((pid, started))
    });
    children.flat_map(|child| [vec![child.clone()], below(child.0)].concat()).collect()
}

fn is_alive((pid, started): &Started) -> bool {
    parent_and_start(*pid).is_some_and(|(_, now)| now == *started)
}

/// Fields 4 and 22 of /proc/<pid>/stat; none of a process that has ended and is not waited for.
fn parent_and_start(pid: u32) -> Option<(u32, String)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    (fields[0] != "Z").then_some((fields[1].parse().ok()?, fields[19].to_owned()))
}
