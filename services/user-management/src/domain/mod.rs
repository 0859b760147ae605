//! The nouns and rules of accounts, pure: no HTTP, no SQL, no runtime and no clock in here.

pub mod email;
pub mod password;
pub mod throttle;
pub mod token;
pub mod totp;
