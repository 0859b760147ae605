//! RabbitMQ: from the program on this machine, else through Docker. Knows no exchange and no queue.

use std::path::{Path, PathBuf};

use super::{Started, lacking, start_process};
use crate::docker::{self, Container};
use crate::environment::Variables;
use crate::events::Events;
use crate::port;
use crate::postgres::random_password;
use crate::process::Proc;
use crate::rabbitmq::{self, Node};
use crate::record::PartRecord;
use crate::stack::Stack;
use crate::state::read_or_create;
use crate::trouble::Result;

pub(super) const NAME: &str = "rabbitmq";
const WHAT: &str = "RabbitMQ (--with queue)";
const IMAGE: &str = "rabbitmq:4";
const USER: &str = "shop";

pub(super) async fn start(stack: &Stack, events: &Events) -> Result<Started> {
    let step = events.step(NAME, "starting");
    let started = match rabbitmq::program() {
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
    // The user of the first start is kept with the data: a new password file goes with new data.
    let settings = format!(
        "listeners.tcp.1 = 127.0.0.1:{port}\ndefault_user = {USER}\ndefault_pass = {password}\nloopback_users = none\n"
    );
    let (distribution, names) = (port::free()?, port::free()?);
    let node = Node { name: "shop", folder: folder.path(), distribution, names };
    let command = rabbitmq::command(program, node, &settings)?;
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
