//! A mailbox that outlives the command that started it, for programs that run beside each other. A test opens one of
//! its own instead ([`crate::mailbox()`]).

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use shop_devstack::component::START_PATIENCE;
use shop_devstack::mailbox::{Mailbox, MailboxSpec};
use shop_devstack::process::{Proc, marked, spawn};
use shop_devstack::state::StateDir;

use crate::part::{Origin, Part, Running};
use crate::{Bed, Error, Result};

const NAME: &str = "smtp";
const STATE: &str = "running.json";
const PATIENCE: Duration = Duration::from_secs(5);

/// The mail sink.
#[derive(Debug, Clone, Copy)]
pub struct Smtp;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Known {
    proc: Proc,
    port: u16,
}

#[async_trait]
impl Part for Smtp {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn find(&self, bed: &Bed) -> Result<Option<Running>> {
        let known = known(&bed.folder(NAME))?;
        Ok(known.map(|known| running(known, Origin::Found)))
    }

    async fn start(&self, bed: &Bed) -> Result<Running> {
        let dir = StateDir::open(bed.folder(NAME))?;
        let _lock = dir.lock("lock", START_PATIENCE).await?;
        if let Some(known) = known(dir.path())? {
            return Ok(running(known, Origin::Found));
        }
        let program = bed.program.as_ref().ok_or_else(|| {
            let text = "the smtp part is a program: start it with `cargo xtask testbed up smtp`";
            Error::Io(std::io::Error::new(std::io::ErrorKind::Unsupported, text))
        })?;
        let mut command = Command::new(program);
        command.arg("run-smtp").arg(dir.path());
        let proc = spawn(command, dir.path(), &dir.path().join("smtp.log"))?;
        let written = async {
            loop {
                match known(dir.path()) {
                    Ok(None) if proc.is_alive() => tokio::time::sleep(Duration::from_millis(10)).await,
                    other => return other,
                }
            }
        };
        let known =
            tokio::time::timeout(START_PATIENCE, written).await.map_err(|_| std::io::ErrorKind::TimedOut);
        let ended =
            || std::io::Error::other(format!("the mailbox ended; see {}/smtp.log", dir.path().display()));
        Ok(running(known.map_err(std::io::Error::from)??.ok_or_else(ended)?, Origin::Started))
    }

    async fn stop(&self, bed: &Bed) -> Result<bool> {
        let mut stopped = false;
        for proc in marked(&bed.folder(NAME)) {
            proc.stop(Signal::TERM, PATIENCE).await?;
            stopped = true;
        }
        Ok(stopped)
    }
}

/// The body of the started program: a mailbox with its files in `dir`, until a signal ends it.
pub async fn run_smtp(dir: &Path) -> Result<()> {
    let state = StateDir::open(dir)?;
    let spec = MailboxSpec { dir: Some(state.path().join("mail")), ..MailboxSpec::default() };
    let mailbox = Mailbox::start(spec).await?;
    let proc =
        Proc::of(std::process::id()).ok_or(std::io::ErrorKind::NotFound).map_err(std::io::Error::from)?;
    state.write_json(STATE, &Known { proc, port: mailbox.address().port() })?;
    let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    end.recv().await;
    Ok(())
}

fn known(dir: &Path) -> Result<Option<Known>> {
    if !dir.exists() {
        return Ok(None);
    }
    let known = StateDir::open(dir)?.read_json::<Known>(STATE)?;
    Ok(known.filter(|known| {
        known.proc.is_alive() && TcpStream::connect((Ipv4Addr::LOCALHOST, known.port)).is_ok()
    }))
}

fn running(known: Known, origin: Origin) -> Running {
    let url = format!("smtp://127.0.0.1:{}", known.port);
    Running { part: NAME, origin, url, secret_file: None, pid: Some(known.proc.pid) }
}
