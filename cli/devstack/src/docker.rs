//! What the stack does through the `docker` client: is there a daemon, fetch an image, run a container, end it, and
//! know what of the stack is there, even after this process was killed. Builds no image.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::port;
use crate::postgres::random_password;
use crate::stack::Stack;
use crate::state::read_or_create;
use crate::trouble::{Result, Trouble};

/// The image of the database server.
pub(crate) const POSTGRES: &str = "postgres:17";

const LEFT: &str = "docker.json";
const ANSWER: Duration = Duration::from_secs(10);
/// Creating a container copies nothing, but a busy machine may take its time.
const RUN: Duration = Duration::from_secs(60);
const PULL: Duration = Duration::from_secs(1800);
const LAST_LINES: &str = "12";

/// What of the stack is with Docker, written before it is made: whoever comes later finds it, however this process
/// ended.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Left {
    containers: BTreeSet<String>,
    volumes: BTreeSet<String>,
}

/// Whether the client is here and a daemon answers; otherwise what is lacking.
pub(crate) async fn available() -> std::result::Result<(), String> {
    match docker(&["version", "--format", "{{.Server.Version}}"], &[], ANSWER).await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(reason(&output)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("no docker client in PATH".into()),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            Err(format!("its daemon did not answer within {} s", ANSWER.as_secs()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The name of a container of this stack. A checkout with two state folders has two stacks, so their ids tell them
/// apart.
pub(crate) fn name(stack: &Stack, part: &str) -> String {
    let id: String = stack.id().chars().take(8).collect();
    format!("shop-dev-{}-{id}-{part}", stack.name())
}

/// What runs in a container.
#[derive(Debug, Default)]
pub(crate) struct Container<'a> {
    pub(crate) image: &'a str,
    /// Published on a free port of the loopback; `None`: it uses the host's network and knows its port.
    pub(crate) port: Option<u16>,
    /// Passed to `docker run` before the image.
    pub(crate) options: Vec<String>,
    /// Variables that must not stand on a command line.
    pub(crate) secrets: Vec<(&'static str, String)>,
    /// Passed to the container's program.
    pub(crate) arguments: Vec<String>,
}

/// Runs the container, or adopts the one of this name that still runs; answers its port on the loopback. One in the
/// host's network is made anew: what it knows is in its arguments.
pub(crate) async fn run(stack: &Stack, name: &str, container: &Container<'_>) -> Result<u16> {
    if let Some(port) = container.port
        && is_running(name).await
    {
        return published(name, port).await;
    }
    fetch(container.image).await?;
    note(stack, |left| left.containers.insert(name.to_owned()))?;
    remove(name).await?;
    // Chosen here: one that Docker chooses would be another one when the container is started again.
    let publish = match container.port {
        Some(port) => Some(format!("127.0.0.1:{}:{port}", port::free()?)),
        None => None,
    };
    let mut words = vec!["run", "--detach", "--pull", "never", "--name", name];
    match &publish {
        Some(publish) => words.extend(["--publish", publish]),
        None => words.extend(["--network", "host"]),
    }
    words.extend(container.secrets.iter().flat_map(|(variable, _)| ["--env", variable]));
    words.extend(container.options.iter().map(String::as_str));
    words.push(container.image);
    words.extend(container.arguments.iter().map(String::as_str));
    succeed(&words, &container.secrets, RUN).await?;
    match container.port {
        Some(port) => published(name, port).await,
        None => Ok(0),
    }
}

/// PostgreSQL with its data in a volume of the stack: the container's name, its port, the file with its password.
pub(crate) async fn postgres(stack: &Stack) -> Result<(String, u16, PathBuf)> {
    let name = name(stack, "postgres");
    let password_file = stack.folder().folder("secrets")?.path().join("postgres-docker");
    read_or_create(&password_file, random_password)?;
    fetch(POSTGRES).await?;
    note(stack, |left| left.volumes.insert(name.clone()))?;
    let options = vec![
        "--volume".into(),
        format!("{name}:/var/lib/postgresql/data"),
        "--mount".into(),
        format!("type=bind,readonly,source={},target=/run/secrets/password", password_file.display()),
        "--env".into(),
        "POSTGRES_PASSWORD_FILE=/run/secrets/password".into(),
    ];
    let container = Container { image: POSTGRES, port: Some(5432), options, ..Container::default() };
    let port = run(stack, &name, &container).await?;
    Ok((name, port, password_file))
}

/// What `ask` answers once it succeeds; fails with the container's last lines when that ends or the time is up.
pub(crate) async fn until<T, F: Future<Output = Result<T>>>(
    name: &str,
    patience: Duration,
    ask: impl Fn() -> F,
) -> Result<T> {
    let began = Instant::now();
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let what = if !is_running(name).await {
            "ended".to_owned()
        } else if began.elapsed() > patience {
            format!("did not answer within {} s ({})", patience.as_secs(), crate::server::reason(&error))
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let words = last_words(name).await;
        return Err(Trouble::Environment(format!("the container {name} {what}; its last lines:\n{words}")));
    }
}

/// Ends a container and removes it; says whether it was there.
pub(crate) async fn stop(stack: &Stack, name: &str) -> Result<bool> {
    // Not in the options' long form, whose name differs between versions.
    let output = docker(&["stop", "-t", "15", name], &[], Duration::from_secs(30)).await?;
    let there = output.status.success();
    if !there && !reason(&output).contains("No such container") {
        return Err(Trouble::Environment(format!("docker stop {name}: {}", reason(&output))));
    }
    remove(name).await?;
    note(stack, |left| left.containers.remove(name))?;
    Ok(there)
}

/// Ends every container of the stack. Answers how many there were.
pub(crate) async fn end_all(stack: &Stack) -> Result<usize> {
    let mut count = 0;
    for name in left(stack)?.containers {
        count += usize::from(stop(stack, &name).await?);
    }
    Ok(count)
}

/// Ends every container of the stack without another word.
pub(crate) async fn kill_all(stack: &Stack) -> Result<()> {
    for name in left(stack)?.containers {
        remove(&name).await?;
        note(stack, |left| left.containers.remove(&name))?;
    }
    Ok(())
}

/// Removes the data that containers of the stack have left.
pub(crate) async fn remove_volumes(stack: &Stack) -> Result<()> {
    for name in left(stack)?.volumes {
        succeed(&["volume", "rm", "--force", &name], &[], ANSWER).await?;
        note(stack, |left| left.volumes.remove(&name))?;
    }
    Ok(())
}

fn left(stack: &Stack) -> Result<Left> {
    let next = format!(
        "delete {}, and whatever `docker ps --all` and `docker volume ls` show of {}",
        stack.path(LEFT).display(),
        name(stack, "*")
    );
    Ok(stack.read(LEFT, next)?.unwrap_or_default())
}

fn note(stack: &Stack, change: impl FnOnce(&mut Left) -> bool) -> Result<()> {
    let mut left = left(stack)?;
    if change(&mut left) {
        stack.folder().write_json(LEFT, &left)?;
    }
    Ok(())
}

/// Makes sure that the image is here.
async fn fetch(image: &str) -> Result<()> {
    let here = docker(&["image", "inspect", "--format", "{{.Id}}", image], &[], ANSWER).await?;
    if here.status.success() {
        return Ok(());
    }
    let lacking = |reason| Trouble::Image { image: image.to_owned(), reason };
    match docker(&["pull", "--quiet", image], &[], PULL).await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(lacking(reason(&output))),
        Err(error) => Err(lacking(error.to_string())),
    }
}

/// Removes a container with its unnamed volumes; one that is gone is no error.
async fn remove(name: &str) -> Result<()> {
    let output = docker(&["rm", "--force", "--volumes", name], &[], ANSWER).await?;
    if output.status.success() || reason(&output).contains("No such container") {
        return Ok(());
    }
    Err(Trouble::Environment(format!("docker rm {name}: {}", reason(&output))))
}

pub(crate) async fn is_running(name: &str) -> bool {
    let told = succeed(&["inspect", "--format", "{{.State.Running}}", name], &[], ANSWER).await;
    told.is_ok_and(|told| told.trim() == "true")
}

/// Whether the container has ended or is gone; not when the daemon just does not say.
pub(crate) async fn has_ended(name: &str) -> bool {
    match docker(&["inspect", "--format", "{{.State.Running}}", name], &[], ANSWER).await {
        Ok(told) if told.status.success() => String::from_utf8_lossy(&told.stdout).trim() != "true",
        Ok(told) => reason(&told).contains("No such"),
        Err(_) => false,
    }
}

/// Starts a container that has ended, with the data and the port that it had.
pub(crate) async fn again(name: &str) -> Result<()> {
    succeed(&["start", name], &[], RUN).await.map(drop)
}

/// What the container wrote last.
pub(crate) async fn last_words(name: &str) -> String {
    let Ok(output) = docker(&["logs", "--tail", LAST_LINES, name], &[], ANSWER).await else {
        return String::new();
    };
    let both = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&both).trim_end().to_owned()
}

async fn published(name: &str, port: u16) -> Result<u16> {
    let told = succeed(&["port", name, &format!("{port}/tcp")], &[], ANSWER).await;
    let Ok(told) = told else {
        let words = last_words(name).await;
        return Err(Trouble::Environment(format!("the container {name} ended; its last lines:\n{words}")));
    };
    let port = told.lines().next().and_then(|line| line.rsplit(':').next()?.trim().parse().ok());
    port.ok_or_else(|| Trouble::Environment(format!("docker port {name} answered {told:?}")))
}

async fn succeed(
    arguments: &[&str],
    secrets: &[(&'static str, String)],
    patience: Duration,
) -> Result<String> {
    let output = docker(arguments, secrets, patience).await?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let verb = arguments.first().copied().unwrap_or_default();
    Err(Trouble::Environment(format!("docker {verb}: {}", reason(&output))))
}

async fn docker(
    arguments: &[&str],
    secrets: &[(&'static str, String)],
    patience: Duration,
) -> io::Result<Output> {
    let mut command = Command::new("docker");
    command.args(arguments).envs(secrets.iter().map(|(name, value)| (name, value)));
    command.kill_on_drop(true).stdin(std::process::Stdio::null());
    tokio::time::timeout(patience, command.output())
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// The last line that says something: the client ends with a pointer to its own help.
fn reason(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let says = |line: &&str| {
        !line.trim().is_empty() && !line.starts_with("Run 'docker") && !line.starts_with("See 'docker")
    };
    let line = text.lines().rfind(says).unwrap_or("no reason given").trim();
    let line = line.strip_prefix("docker: ").unwrap_or(line);
    line.strip_prefix("Error response from daemon: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn the_reason_is_what_the_daemon_said() {
        let text = "Unable to find image 'x:1' locally\ndocker: Error response from daemon: no such host.\n\nRun 'docker run --help' for more information\n";
        let output = Output { status: ExitStatus::from_raw(256), stdout: Vec::new(), stderr: text.into() };
        assert_eq!(reason(&output), "no such host.");
        let output = Output { stderr: b"\n".into(), ..output };
        assert_eq!(reason(&output), "no reason given");
    }
}
