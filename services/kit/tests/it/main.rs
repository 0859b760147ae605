//! The kit with real components: PostgreSQL, Redis, a mailbox, sockets.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod data;
mod http;
