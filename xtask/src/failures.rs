//! Runs tests, shows what they print as they print it, and keeps why the failed ones failed: the end of a long log is
//! what people and CI systems look at first.
//! Must not judge: whether the tests passed is said by their exit code alone.
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use crate::ui;

/// As many lines of one test are kept; a panic's message comes first.
const KEPT_LINES: usize = 12;

/// Runs `command`, whose output is libtest's.
///
/// # Errors
/// When it cannot be started or read. That tests failed is no error here.
pub(crate) fn watch(command: &mut Command) -> Result<(ExitStatus, Vec<String>)> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("the tests cannot be started")?;
    let stdout = child.stdout.take().context("a pipe was asked for")?;
    let mut kept = Kept::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("the output of the tests cannot be read")?;
        let line = String::from_utf8_lossy(&line);
        ui::line(&line);
        kept.see(&line);
    }
    Ok((child.wait().context("the tests cannot be waited for")?, kept.lines))
}

/// What was kept of a stream of lines.
#[derive(Default)]
struct Kept {
    lines: Vec<String>,
    /// How many more lines of the failed test whose output is passing by are kept.
    left: usize,
}

impl Kept {
    fn see(&mut self, line: &str) {
        let title = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(test) = title {
            self.lines.push(format!("{test}:"));
            self.left = KEPT_LINES;
        } else if line == "failures:" || line.starts_with("stack backtrace:") {
            self.left = 0;
        } else if self.left > 0 && !line.trim().is_empty() {
            self.left -= 1;
            self.lines.push(format!("  {line}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_test_failed_is_kept_without_its_backtrace() {
        let mut kept = Kept::default();
        let output = "test a::b ... FAILED\n\nfailures:\n\n---- a::b stdout ----\n\nthread 'a::b' panicked at x.rs:1:2:\n\
                      no socket\nstack backtrace:\n   0: begin\n\n---- a::c stdout ----\nwrong\n\nfailures:\n    a::b\n    a::c\n";
        output.lines().for_each(|line| kept.see(line));
        assert_eq!(
            kept.lines,
            ["a::b:", "  thread 'a::b' panicked at x.rs:1:2:", "  no socket", "a::c:", "  wrong"]
        );
    }

    #[test]
    fn a_test_that_prints_without_an_end_is_cut() {
        let mut kept = Kept::default();
        kept.see("---- a stdout ----");
        (0..1_000).for_each(|n| kept.see(&format!("line {n}")));
        assert_eq!(kept.lines.len(), 1 + KEPT_LINES);
    }

    #[test]
    fn how_it_ended_is_handed_on() {
        let (status, kept) =
            watch(Command::new("sh").args(["-c", "echo '---- a stdout ----'; echo why; exit 101"]))
                .expect("sh");
        assert_eq!((status.code(), kept), (Some(101), vec!["a:".to_owned(), "  why".to_owned()]));
    }
}
