//! The harness on itself: databases, clients, processes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod client;
mod database;
mod issuer;
mod process;
