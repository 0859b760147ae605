//! RabbitMQ as a program of this machine: where it is, how a broker is started, whether one answers. Starts none itself.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::component;
use crate::state::write_private;

const ANSWER: Duration = Duration::from_secs(2);

/// A broker that keeps all it has in one folder.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// Unique among those of one name server.
    pub name: &'a str,
    /// Its own; it exists.
    pub folder: &'a Path,
    /// The port by which nodes speak to each other.
    pub distribution: u16,
    /// The port of its own name server, so that none stays behind and brokers do not meet.
    pub names: u16,
}

/// The script itself and not Debian's wrapper, which wants to change the account.
pub fn program() -> Option<PathBuf> {
    component::program("rabbitmq-server", &["/usr/lib/rabbitmq/bin"])
}

/// What starts `node` with these settings, which may hold a password: they go into a file of their owner's alone.
///
/// # Errors
/// When that file cannot be written.
pub fn command(program: &Path, node: Node<'_>, settings: &str) -> io::Result<Command> {
    let Node { name, folder, distribution, names } = node;
    let config = folder.join("rabbitmq.conf");
    write_private(&config, settings.as_bytes())?;
    let mut command = Command::new(program);
    command
        .env("HOME", folder)
        .env("RABBITMQ_NODENAME", format!("{name}@localhost"))
        .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
        .env("RABBITMQ_LOG_BASE", folder.join("logs"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_CONFIG_FILE", config)
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
        .env("RABBITMQ_PID_FILE", folder.join("pid"))
        .env("RABBITMQ_DIST_PORT", distribution.to_string())
        // Nodes trust each other with everything, and listen everywhere where nothing is said.
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
        .env("ERL_EPMD_PORT", names.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1");
    Ok(command)
}

/// Whether the protocol's header gets an answer.
pub async fn speaks_amqp(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
        stream.read_u8().await
    };
    tokio::time::timeout(ANSWER, ask).await.is_ok_and(|answer| answer.is_ok())
}
