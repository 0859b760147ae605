//! Accounts, sessions and tokens of the shop: registration, signing in, second factor, profiles, administration.

mod commands;
pub mod config;
pub mod db;
pub mod domain;
mod error;
pub mod events;
pub mod hashing;
mod http;
pub mod keys;
pub mod sealing;
pub mod seed;
pub mod service;
pub mod signed_in;
pub mod state;
pub mod workers;

pub use service::UserManagement;
