//! RabbitMQ: from the program on this machine, else through Docker. Knows no exchange and no queue.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Started, lacking, program, start_process};
use crate::docker::{self, Container};
use crate::environment::Variables;
use crate::events::Events;
use crate::port;
use crate::postgres::random_password;
use crate::process::Proc;
use crate::record::PartRecord;
use crate::stack::Stack;
use crate::state::{read_or_create, write_private};
use crate::trouble::Result;

pub(super) const NAME: &str = "rabbitmq";
const WHAT: &str = "RabbitMQ (--with queue)";
const IMAGE: &str = "rabbitmq:4";
const USER: &str = "shop";

pub(super) async fn start(stack: &Stack, events: &Events) -> Result<Started> {
    let step = events.step(NAME, "starting");
    // The script itself and not Debian's wrapper, which wants to change the account.
    let started = match program("rabbitmq-server", &["/usr/lib/rabbitmq/bin"]) {
        Some(program) => {
            let (port, password_file) = (port::free()?, password_file(stack)?);
            let known = (record(port), variables(port, &password_file));
            super::process(WHAT, stack, (&program, port), local, known).await?
        }
        None => match docker::available().await {
            Ok(()) => container(stack).await?,
            Err(why) => {
                let text = format!("no rabbitmq-server on this machine and no Docker ({why})");
                return Err(lacking(
                    WHAT,
                    text,
                    "`apt-get install rabbitmq-server`, or leave out --with queue",
                ));
            }
        },
    };
    step.done(&started.record.address);
    Ok(started)
}

fn password_file(stack: &Stack) -> Result<PathBuf> {
    Ok(stack.folder().folder("parts")?.folder(NAME)?.path().join("password"))
}

fn local(stack: &Stack, program: &Path, port: u16) -> Result<(Proc, PathBuf)> {
    let folder = stack.folder().folder("parts")?.folder(NAME)?;
    let password = read_or_create(&password_file(stack)?, random_password)?;
    let config = folder.path().join("rabbitmq.conf");
    let text = format!(
        "listeners.tcp.1 = 127.0.0.1:{port}\ndefault_user = {USER}\ndefault_pass = {password}\nloopback_users = none\n"
    );
    write_private(&config, text.as_bytes())?;
    // The user of the first start is kept with the data: a new password file goes with new data.
    let mut command = Command::new(program);
    command
        .env("HOME", folder.path())
        .env("RABBITMQ_NODENAME", "shop@localhost")
        .env("RABBITMQ_MNESIA_BASE", folder.path().join("data"))
        .env("RABBITMQ_LOG_BASE", folder.path().join("log"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_CONFIG_FILE", &config)
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.path().join("plugins"))
        .env("RABBITMQ_PID_FILE", folder.path().join("pid"))
        .env("RABBITMQ_DIST_PORT", port::free()?.to_string())
        // A name server of its own, so that none stays behind and stacks do not meet.
        .env("ERL_EPMD_PORT", port::free()?.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1");
    start_process(stack, NAME, command, folder.path())
}

async fn container(stack: &Stack) -> Result<Started> {
    let name = docker::name(stack, NAME);
    let password_file = password_file(stack)?;
    let password = read_or_create(&password_file, random_password)?;
    // The image's server runs under an account that could not read a file of ours.
    let secrets = vec![("RABBITMQ_DEFAULT_USER", USER.to_owned()), ("RABBITMQ_DEFAULT_PASS", password)];
    let container = Container { image: IMAGE, port: Some(5672), secrets, ..Container::default() };
    let port = docker::run(stack, &name, &container).await?;
    super::container(WHAT, name, (record(port), variables(port, &password_file))).await
}

fn record(port: u16) -> PartRecord {
    super::record(NAME, format!("127.0.0.1:{port}"), "events between the services")
}

fn variables(port: u16, password_file: &Path) -> Variables {
    vec![
        ("AMQP_URL".into(), format!("amqp://{USER}@127.0.0.1:{port}/%2f")),
        ("AMQP_PASSWORD_FILE".into(), password_file.display().to_string()),
    ]
}

/// Whether the protocol's header gets an answer.
pub(super) async fn speaks_amqp(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
        stream.read_u8().await
    };
    tokio::time::timeout(std::time::Duration::from_secs(2), ask).await.is_ok_and(|answer| answer.is_ok())
}
