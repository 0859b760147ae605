//! The load generators: `wrk` over HTTP and `pgbench` straight at PostgreSQL. Runs one for a while and reads what it
//! counted; judges nothing.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::process::Child;

use crate::pin::Pin;

/// The script that `wrk` runs, kept in a file of its own so that an editor knows its language.
pub(crate) const WRK_SCRIPT: &str = include_str!("../wrk/requests.lua");

/// A generator, ready to run.
#[derive(Debug, Clone)]
pub(crate) enum Generator {
    /// Closed loop over `connections` connections; the file's requests in turn.
    Wrk { url: String, script: PathBuf, requests: PathBuf, connections: usize, pin: Pin },
    /// One statement prepared once a client.
    Pgbench { program: PathBuf, url: String, password: String, script: PathBuf, clients: usize, pin: Pin },
}

/// What a generator counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) errors: u64,
}

impl Generator {
    /// Runs for `time` and returns what was counted.
    pub(crate) async fn run(&self, time: Duration) -> Result<Outcome> {
        self.start(time)?.outcome().await
    }

    /// Starts to run for `time`.
    pub(crate) fn start(&self, time: Duration) -> Result<Running> {
        let seconds = time.as_secs().max(1).to_string();
        let mut command = match self {
            Self::Wrk { url, script, requests, connections, pin } => {
                let mut command = pin.command("wrk");
                command.args([
                    "-t1",
                    "--timeout",
                    "30s",
                    "-c",
                    &connections.to_string(),
                    "-d",
                    &seconds,
                    "-s",
                ]);
                command.arg(script).arg(url).arg("--").arg(requests).arg(std::process::id().to_string());
                command
            }
            Self::Pgbench { program, url, password, script, clients, pin } => {
                let mut command = pin.command(program);
                command.args([
                    "--no-vacuum",
                    "--protocol=prepared",
                    "--client",
                    &clients.to_string(),
                    "--jobs=2",
                ]);
                command.args(["--time", &seconds, "--define=fresh=1", "--file"]).arg(script).arg(url);
                command.env("PGPASSWORD", password);
                command
            }
        };
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let child = child.spawn().with_context(|| format!("{} could not be started", self.program()))?;
        Ok(Running { child, generator: self.clone() })
    }

    fn program(&self) -> &'static str {
        match self {
            Self::Wrk { .. } => "wrk",
            Self::Pgbench { .. } => "pgbench",
        }
    }
}

/// A generator at work.
pub(crate) struct Running {
    child: Child,
    generator: Generator,
}

impl Running {
    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) async fn outcome(self) -> Result<Outcome> {
        let program = self.generator.program();
        let output = self.child.wait_with_output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let outcome = match self.generator {
            Generator::Wrk { .. } => parse_wrk(&text),
            Generator::Pgbench { .. } => parse_pgbench(&text),
        };
        outcome.with_context(|| format!("{program} printed no result: {text}"))
    }
}

#[derive(Deserialize)]
struct WrkResult {
    requests: u64,
    micros: u64,
    p50_us: u64,
    p99_us: u64,
    connect: u64,
    read: u64,
    write: u64,
    timeout: u64,
    status: u64,
}

fn parse_wrk(text: &str) -> Option<Outcome> {
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "))?;
    let seen: WrkResult = serde_json::from_str(line).ok()?;
    Some(Outcome {
        requests: seen.requests,
        seconds: seen.micros as f64 / 1e6,
        p50_ms: Some(seen.p50_us as f64 / 1e3),
        p99_ms: Some(seen.p99_us as f64 / 1e3),
        errors: seen.connect + seen.read + seen.write + seen.timeout + seen.status,
    })
}

fn parse_pgbench(text: &str) -> Option<Outcome> {
    let after = |label: &str| text.lines().find_map(|line| line.strip_prefix(label)).map(str::trim);
    let requests: u64 = after("number of transactions actually processed:")?.parse().ok()?;
    let per_second: f64 = after("tps =")?.split(' ').next()?.parse().ok()?;
    let failed =
        after("number of failed transactions:").and_then(|rest| rest.split(' ').next()?.parse().ok());
    Some(Outcome {
        requests,
        seconds: requests as f64 / per_second,
        p50_ms: None,
        p99_ms: None,
        errors: failed.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_counts_every_kind_of_error() {
        let text = "Running 1s test\n\nRESULT {\"requests\":10,\"micros\":2000000,\"p50_us\":1500,\"p90_us\":1,\"p99_us\":9000,\"max_us\":1,\"connect\":1,\"read\":2,\"write\":3,\"timeout\":4,\"status\":5}\n";
        let seen = parse_wrk(text).unwrap();
        assert_eq!((seen.requests, seen.seconds, seen.errors), (10, 2.0, 15));
        assert_eq!((seen.p50_ms, seen.p99_ms), (Some(1.5), Some(9.0)));
    }

    #[test]
    fn pgbench_is_read() {
        let text = "number of transactions actually processed: 5000\nnumber of failed transactions: 2 (0.040%)\nlatency average = 0.4 ms\ninitial connection time = 9 ms\ntps = 2500.5 (without initial connection time)\n";
        let seen = parse_pgbench(text).unwrap();
        assert_eq!((seen.requests, seen.errors), (5000, 2));
        assert!((seen.seconds - 5000.0 / 2500.5).abs() < 1e-9);
    }

    #[test]
    fn noise_is_no_result() {
        assert_eq!(parse_wrk("unable to connect"), None);
        assert_eq!(parse_pgbench("pgbench: error"), None);
    }
}
