//! The platform on one machine, as processes: finds, starts, adopts and stops what the services need. Prints nothing;
//! what happens goes through the channels its callers give.

pub mod component;
pub mod mailbox;
pub mod port;
pub mod postgres;
pub mod process;
pub mod redis;
pub mod state;
