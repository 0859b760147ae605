//! What the benchmark says: progress to standard error, results to standard output. The only module here that prints.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is where the benchmark prints")]

use std::io::{BufRead, Write};

use anyhow::Result;

/// The screen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    pub(crate) quiet: bool,
}

impl Ui {
    /// A line of progress.
    pub(crate) fn says(&self, text: &str) {
        if !self.quiet {
            eprintln!("bench: {text}");
        }
    }

    /// A part of the result.
    #[expect(clippy::unused_self, reason = "results are printed through the screen, also when it is quiet")]
    pub(crate) fn shows(&self, text: &str) {
        println!("{text}");
    }

    /// What went wrong, with its causes.
    #[expect(clippy::unused_self, reason = "errors are shown also when the screen is quiet")]
    pub(crate) fn fails(&self, error: &anyhow::Error) {
        eprintln!("error: {error:#}");
    }

    /// A question whose answer may be yes.
    #[expect(clippy::unused_self, reason = "a question is asked also when the screen is quiet")]
    pub(crate) fn asks(&self, question: &str) -> Result<bool> {
        eprint!("{question} [y/N] ");
        std::io::stderr().flush()?;
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        Ok(matches!(line.trim(), "y" | "Y" | "yes"))
    }
}
