//! All that `shop-testbed` writes: data to stdout, the rest to stderr.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the one place of this crate that prints")]

use std::io::{BufRead, IsTerminal};

use serde::Serialize;
use shop_testbed::{Origin, Running};

/// One part in a table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    part: &'static str,
    state: &'static str,
    #[serde(flatten)]
    running: Option<Running>,
}

impl Row {
    pub(crate) fn up(running: Running) -> Self {
        let state = match running.origin {
            Origin::Given => "given",
            Origin::Found => "running",
            Origin::Started => "started",
            Origin::Installed => "installed",
        };
        Self { part: running.part, state, running: Some(running) }
    }

    pub(crate) fn down(part: &'static str) -> Self {
        Self { part, state: "down", running: None }
    }
}

pub(crate) fn table(rows: &[Row]) {
    println!("{:<14} {:<9} {:>8}  {:<50} PASSWORD OR KUBECONFIG", "PART", "STATE", "PID", "ADDRESS");
    for row in rows {
        let running = row.running.as_ref();
        let pid = running.and_then(|part| part.pid).map(|pid| pid.to_string()).unwrap_or_default();
        let url = running.map(|part| part.url.as_str()).unwrap_or_default();
        let file = running.and_then(|part| part.secret_file.as_ref());
        let file = file.map(|file| file.display().to_string()).unwrap_or_default();
        println!("{}", format!("{:<14} {:<9} {pid:>8}  {url:<50} {file}", row.part, row.state).trim_end());
    }
}

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// What a long step says while it goes on.
pub(crate) fn progress(words: &str) {
    eprintln!("{words}");
}

pub(crate) fn stopped(part: &str, stopped: bool) {
    eprintln!("{part}: {}", if stopped { "stopped" } else { "nothing of ours runs" });
}

pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// Asks on a terminal; elsewhere the answer is no.
pub(crate) fn confirm(question: &str) -> bool {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return false;
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}
