//! The parts, one file each.

mod postgres;
mod redis;
mod smtp;

pub use self::postgres::Postgres;
pub(crate) use self::postgres::server_of;
pub use self::redis::Redis;
pub use self::smtp::{Smtp, run_smtp};
