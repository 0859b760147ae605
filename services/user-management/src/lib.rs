//! Accounts, sessions and tokens of the shop.

pub mod domain;
pub mod hashing;
pub mod sealing;
