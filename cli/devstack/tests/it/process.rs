//! Processes known by number and start time.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use shop_devstack::process::{Proc, Stopped, marked, spawn};

fn shell(dir: &tempfile::TempDir, script: &str) -> Proc {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    spawn(command, dir.path(), &dir.path().join("log")).unwrap()
}

async fn logged(dir: &tempfile::TempDir, text: &str) {
    let log = dir.path().join("log");
    let seen = async {
        while !std::fs::read_to_string(&log).unwrap_or_default().contains(text) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
}

#[tokio::test]
async fn a_number_given_to_somebody_else_is_not_signalled() {
    let dir = super::folder();
    let real = shell(&dir, "sleep 60");
    let recycled = Proc { started: real.started - 1, ..real };
    assert!(!recycled.is_alive());
    assert!(!recycled.signal(Signal::KILL).unwrap());
    assert_eq!(recycled.stop(Signal::TERM, Duration::ZERO).await.unwrap(), Stopped::Already);
    assert!(real.is_alive());
    assert_eq!(real.stop(Signal::TERM, Duration::from_secs(10)).await.unwrap(), Stopped::Politely);
    assert!(!real.is_alive());
}

#[tokio::test]
async fn one_that_will_not_go_is_killed() {
    let dir = super::folder();
    let stubborn = shell(&dir, "trap '' TERM; echo deaf; while true; do sleep 0.01; done");
    logged(&dir, "deaf").await;
    assert_eq!(stubborn.stop(Signal::TERM, Duration::from_millis(100)).await.unwrap(), Stopped::Killed);
    assert!(!stubborn.is_alive());
}

#[tokio::test]
async fn one_that_ends_while_it_is_signalled_is_gone_and_no_error() {
    let dir = super::folder();
    for _ in 0..300 {
        // Its parent reads its exit status at the moment when we signal.
        let Ok(short) = spawn(Command::new("true"), dir.path(), &dir.path().join("log")) else { continue };
        while short.signal(Signal::KILL).unwrap() {}
        assert!(!short.is_alive());
    }
}

#[tokio::test]
async fn its_output_is_in_the_log_and_its_mark_finds_it() {
    let dir = super::folder();
    let proc = shell(&dir, "sleep 60 & echo out; echo err >&2; wait");
    logged(&dir, "out\nerr").await;
    let found = marked(dir.path());
    assert!(found.contains(&proc));
    assert_eq!(found.len(), 2, "the child bears the mark as well");
    for proc in found {
        proc.stop(Signal::KILL, Duration::from_secs(10)).await.unwrap();
    }
    assert_eq!(marked(dir.path()), []);
}

/// Between two programs a process has for a moment no environment that could be read.
#[tokio::test]
async fn its_mark_finds_it_while_it_becomes_another_program() {
    let dir = super::folder();
    let restless = dir.path().join("restless.sh");
    std::fs::write(&restless, "exec sh restless.sh").unwrap();
    let proc = shell(&dir, "exec sh restless.sh");
    let missed = (0..2_000).filter(|_| marked(dir.path()) != [proc]).count();
    proc.stop(Signal::KILL, Duration::from_secs(10)).await.unwrap();
    assert_eq!(missed, 0, "of 2000 looks");
}
