//! The whole road, run as a user runs it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod documented;
mod images;
mod older;
mod second;
mod shell;
mod signing_in;
