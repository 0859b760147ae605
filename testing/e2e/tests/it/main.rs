//! The whole road, run as a user runs it.
mod documented;
mod shell;
