//! The tests of user-management, through its real binary.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod addresses;
mod admin;
mod audit;
mod broker;
mod commands;
mod draining;
mod elsewhere;
mod enumeration;
mod forgotten;
mod guessing;
mod hostile;
mod leaks;
mod openapi;
mod outage;
mod overtaken;
mod pages;
mod plans;
mod profile;
mod refreshing;
mod schema;
mod schemathesis;
mod second_factor;
mod seed;
mod services;
mod signing_in;
mod signing_up;
mod starting;
mod storm;
mod sweeping;
mod tokens;
mod visitor;
mod world;
