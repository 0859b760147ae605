//! What the stack does through the `docker` client: is there a daemon, run a container, stop it. Builds no image.

use std::io;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use tokio::process::Command;

use crate::postgres::random_password;
use crate::stack::Stack;
use crate::state::read_or_create;
use crate::trouble::{Result, Trouble};

/// The image of the database server.
pub(crate) const POSTGRES: &str = "postgres:17";

const ANSWER: Duration = Duration::from_secs(10);
/// An image may have to be pulled first.
const RUN: Duration = Duration::from_secs(600);

/// Whether the client is here and a daemon answers; otherwise what is lacking.
pub(crate) async fn available() -> std::result::Result<(), String> {
    match docker(&["version", "--format", "{{.Server.Version}}"], ANSWER).await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(last_line(&output)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("no docker client in PATH".into()),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            Err(format!("its daemon did not answer within {} s", ANSWER.as_secs()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The name of a container of this stack.
pub(crate) fn name(stack: &Stack, part: &str) -> String {
    format!("shop-dev-{}-{part}", stack.name())
}

/// A container that listens on one port, published on a free port of the loopback.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    pub(crate) image: &'a str,
    pub(crate) port: u16,
    /// Passed to `docker run` before the image.
    pub(crate) options: Vec<String>,
    /// Passed to the container's program.
    pub(crate) arguments: Vec<String>,
}

/// Runs the container, or adopts the one of this name that still runs; answers the port on the loopback.
pub(crate) async fn run(name: &str, container: &Container<'_>) -> Result<u16> {
    let exposed = format!("{}/tcp", container.port);
    if let Ok(port) = published(name, &exposed).await {
        return Ok(port);
    }
    let publish = format!("127.0.0.1::{}", container.port);
    let mut arguments = vec!["run", "--detach", "--rm", "--name", name, "--publish", &publish];
    arguments.extend(container.options.iter().map(String::as_str));
    arguments.push(container.image);
    arguments.extend(container.arguments.iter().map(String::as_str));
    succeed(&arguments, RUN).await?;
    published(name, &exposed).await
}

/// Runs a container in the host's network, anew: what it knows is in its arguments.
pub(crate) async fn run_on_host(
    name: &str,
    image: &str,
    options: &[String],
    arguments: &[String],
) -> Result<()> {
    stop(name).await?;
    let mut words = vec!["run", "--detach", "--rm", "--network", "host", "--name", name];
    words.extend(options.iter().map(String::as_str));
    words.push(image);
    words.extend(arguments.iter().map(String::as_str));
    succeed(&words, RUN).await.map(drop)
}

/// PostgreSQL with its data in a volume of the stack: the container's name, its port, the file with its password.
pub(crate) async fn postgres(stack: &Stack) -> Result<(String, u16, PathBuf)> {
    let name = name(stack, "postgres");
    let password_file = stack.folder().folder("secrets")?.path().join("postgres-docker");
    read_or_create(&password_file, random_password)?;
    let options = vec![
        "--volume".into(),
        format!("{name}:/var/lib/postgresql/data"),
        "--mount".into(),
        format!("type=bind,readonly,source={},target=/run/secrets/password", password_file.display()),
        "--env".into(),
        "POSTGRES_PASSWORD_FILE=/run/secrets/password".into(),
    ];
    let container = Container { image: POSTGRES, port: 5432, options, arguments: Vec::new() };
    let port = run(&name, &container).await?;
    Ok((name, port, password_file))
}

/// Ends a container; one that is gone is no error.
pub(crate) async fn stop(name: &str) -> Result<()> {
    let output = docker(&["stop", "--time", "15", name], Duration::from_secs(30)).await?;
    if output.status.success() || last_line(&output).contains("No such container") {
        return Ok(());
    }
    Err(Trouble::Environment(format!("docker stop {name}: {}", last_line(&output))))
}

async fn published(name: &str, exposed: &str) -> Result<u16> {
    let told = succeed(&["port", name, exposed], ANSWER).await?;
    let port = told.lines().next().and_then(|line| line.rsplit(':').next()?.trim().parse().ok());
    port.ok_or_else(|| Trouble::Environment(format!("docker port {name} answered {told:?}")))
}

async fn succeed(arguments: &[&str], patience: Duration) -> Result<String> {
    let output = docker(arguments, patience).await?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let verb = arguments.first().copied().unwrap_or_default();
    Err(Trouble::Environment(format!("docker {verb}: {}", last_line(&output))))
}

async fn docker(arguments: &[&str], patience: Duration) -> io::Result<Output> {
    let mut command = Command::new("docker");
    command.args(arguments).kill_on_drop(true).stdin(std::process::Stdio::null());
    tokio::time::timeout(patience, command.output())
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn last_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason given").trim().to_owned()
}
