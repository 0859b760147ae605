//! The wire types as others see them: names and numbers that must not change by accident.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod ids;
mod money;
mod problems;
