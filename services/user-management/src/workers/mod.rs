//! What runs beside the requests: writing letters, and throwing away what is over. No request waits for any of it.

pub mod mail;
pub mod sweep;
