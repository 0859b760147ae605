//! Every real component that tests need: found when it runs, started when it does not, installed when it may be.
//! Shared by all test binaries of this machine. Knows no service and makes no assertion.

mod background;
mod bed;
mod databases;
mod docker;
mod encrypted;
mod error;
mod install;
mod kubernetes;
mod part;
pub mod parts;
mod pins;
mod private;
mod rabbitmq;
pub mod tier;
mod tool;

pub use shop_devstack::{mailbox, process};

pub use self::background::Background;
pub use self::bed::Bed;
pub use self::databases::{PREFIX, Server};
pub use self::docker::PrivateDocker;
pub use self::encrypted::EncryptedRedis;
pub use self::error::{Error, Result};
pub use self::install::packages as install_packages;
pub use self::kubernetes::Kubernetes;
pub use self::part::{Origin, PARTS, Part, Running, down, find, up};
pub use self::private::PrivatePostgres;
pub use self::rabbitmq::PrivateRabbitMq;

/// The PostgreSQL of this machine's tests: `DATABASE_URL` if set, else our own, started when it is not up.
pub async fn postgres() -> Result<Server> {
    let bed = Bed::from_env()?;
    up(&parts::Postgres, &bed).await?;
    parts::Postgres::server(&bed).await
}

/// The Redis of this machine's tests, as a URL with its password: `REDIS_URL` if set, else our own, started when it
/// is not up. Shared: a test uses keys of its own.
pub async fn redis() -> Result<url::Url> {
    let bed = Bed::from_env()?;
    up(&parts::Redis, &bed).await?;
    parts::Redis::address(&bed).await
}

/// The RabbitMQ of this machine's tests: `AMQP_URL` if set, else our own, started when it is not up. Shared: a test reads
/// from a queue of its own.
pub async fn rabbitmq() -> Result<Running> {
    up(&parts::RABBITMQ, &Bed::from_env()?).await
}

/// Ends the [`PrivatePostgres`] of tests that were killed before they could.
pub async fn sweep(bed: &Bed) -> Result<()> {
    private::sweep(bed).await
}

/// A mailbox for one test, inside its process.
pub async fn mailbox() -> Result<mailbox::Mailbox> {
    Ok(mailbox::Mailbox::start(mailbox::MailboxSpec::default()).await?)
}
