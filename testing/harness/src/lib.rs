//! What a test of a service starts from: a fresh database, a client for each role, the service as a process, a
//! mailbox. Knows no service and nothing of what one means; a failed expectation panics with all that was seen.
#![expect(clippy::missing_panics_doc, reason = "a panic is how a test fails")]

mod client;
mod database;
mod issuer;
mod process;
mod sweep;
mod template;
mod tool;
mod until;

pub use shop_testbed::mailbox::{Mail, Mailbox, MailboxSpec};
pub use shop_testbed::{PrivatePostgres, Server, mailbox, postgres, rabbitmq, redis, tier};

pub use self::client::{Answer, Client, Request};
pub use self::database::TestDb;
pub use self::issuer::{Admin, As, Customer, HasRole, Issuer, Service, Support, Token};
pub use self::process::{Ended, ServiceProcess, ServiceProgram};
pub use self::tool::{cache, tool};
pub use self::until::{until, until_some};

/// How long a test waits for what should be there at once: long enough for a machine that is busy with other tests.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
