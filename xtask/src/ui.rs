//! All that xtask prints. Results go to stdout, complaints to stderr.
//! Must not decide anything.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this module is the only one that prints")]

/// Prints one line of a result.
pub(crate) fn line(text: impl std::fmt::Display) {
    println!("{text}");
}

/// Prints an error with the chain of its causes.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
