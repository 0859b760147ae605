//! What runs beside the services and PostgreSQL: the mailbox always, and what `--with` names. Each part says how it is
//! reached as variables for the services; none knows a service.

mod elasticsearch;
mod prometheus;
mod rabbitmq;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::task::AbortHandle;

use crate::board::Board;
use crate::component::{Report, START_PATIENCE, tail};
use crate::docker;
use crate::environment::Variables;
use crate::events::{Event, Events};
use crate::logs;
use crate::mailbox::{Mailbox, MailboxSpec};
use crate::options::{Extra, UpOptions};
use crate::plan::Plan;
use crate::process::{Proc, spawn};
use crate::record::PartRecord;
use crate::redis::{Redis, RedisSpec};
use crate::stack::Stack;
use crate::trouble::{Result, Trouble};

const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// The parts that run.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    running: Vec<Part>,
    variables: Variables,
}

#[derive(Debug)]
enum Part {
    /// Ends when it is dropped.
    Mailbox {
        _held: Mailbox,
        telling: AbortHandle,
    },
    Redis(Redis),
    Process(Proc),
    Container(String),
}

/// A part that was started, for the record and for the services.
#[derive(Debug)]
struct Started {
    part: Part,
    record: PartRecord,
    variables: Variables,
}

impl Parts {
    /// Starts the mailbox and what was asked for; keeps what runs even if a later one fails.
    pub(crate) async fn start(
        &mut self,
        stack: &Stack,
        options: &UpOptions,
        plan: &Plan,
        board: &Board,
    ) -> Result<()> {
        self.keep(mailbox(stack, board.events()).await?, board);
        let mut wanted = options.with.clone();
        wanted.sort();
        wanted.dedup();
        for extra in wanted {
            let events = board.events();
            match extra {
                Extra::Cache => self.keep(redis(stack, events).await?, board),
                Extra::Search => {
                    let home = options.elasticsearch_home.as_deref();
                    self.keep(elasticsearch::start(stack, home, events).await?, board);
                }
                Extra::Queue => self.keep(rabbitmq::start(stack, events).await?, board),
                Extra::Monitoring => {
                    let (prometheus, port) = prometheus::start(stack, plan, events).await?;
                    self.keep(prometheus, board);
                    if let Some(grafana) = prometheus::grafana(stack, port, events).await? {
                        self.keep(grafana, board);
                    }
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, started: Started, board: &Board) {
        let Started { part, record, variables } = started;
        board.change(|known| {
            known.parts.push(record);
        });
        self.running.push(part);
        self.variables.extend(variables);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// How the services reach the parts.
    pub(crate) fn variables(&self) -> Variables {
        self.variables.clone()
    }

    /// Ends all, the last started first.
    pub(crate) async fn end(&mut self, stack: &Stack) -> Result<()> {
        let mut outcome = Ok(());
        while let Some(part) = self.running.pop() {
            let ended = match part {
                Part::Mailbox { telling, .. } => {
                    telling.abort();
                    Ok(())
                }
                Part::Redis(redis) => redis.stop().await.map(drop).map_err(Trouble::from),
                Part::Process(proc) => {
                    proc.stop(Signal::TERM, STOP_PATIENCE).await.map(drop).map_err(Trouble::from)
                }
                Part::Container(name) => docker::stop(stack, &name).await.map(drop),
            };
            outcome = outcome.and(ended);
        }
        outcome
    }
}

/// Where the mailbox keeps its mails.
pub fn mail_folder(stack: &Stack) -> PathBuf {
    stack.path("mail")
}

async fn mailbox(stack: &Stack, events: &Events) -> Result<Started> {
    let folder = stack.folder().folder("mail")?.path().to_owned();
    let mailbox = Mailbox::start(MailboxSpec { dir: Some(folder), ..MailboxSpec::default() }).await?;
    let telling = tell_arrivals(mailbox.clone(), events.clone());
    let record = PartRecord {
        name: "mail".into(),
        address: mailbox.address().to_string(),
        note: "takes every mail, delivers none: shopctl dev mail".into(),
        proc: None,
        log: None,
    };
    let variables = vec![("SMTP_URL".into(), mailbox.url())];
    Ok(Started { part: Part::Mailbox { _held: mailbox, telling }, record, variables })
}

/// Says each new mail once.
fn tell_arrivals(mailbox: Mailbox, events: Events) -> AbortHandle {
    let mut last = mailbox.list().last().map(|mail| mail.id);
    let telling = tokio::spawn(async move {
        loop {
            let newer = |mail: &crate::mailbox::Mail| last.is_none_or(|last| mail.id > last);
            if let Some(mail) = mailbox.wait_for(newer, Duration::from_secs(3600)).await {
                last = Some(mail.id);
                events.say(Event::Mail { subject: mail.subject });
            }
        }
    });
    telling.abort_handle()
}

async fn redis(stack: &Stack, events: &Events) -> Result<Started> {
    let step = events.step("redis", "starting");
    let lacking = |error: crate::component::Error| match error {
        crate::component::Error::NotInstalled { .. } => {
            lacking("Redis (--with cache)", error.to_string(), "install it, or leave out --with cache")
        }
        error => error.into(),
    };
    let redis =
        Redis::start(&RedisSpec::new(stack.path("redis")), &Report::silent()).await.map_err(lacking)?;
    let record = PartRecord {
        name: "redis".into(),
        address: format!("127.0.0.1:{}", redis.port()),
        note: "caches and rate limits that replicas share".into(),
        proc: Some(redis.proc()),
        log: Some(redis.log()),
    };
    let variables = vec![
        ("REDIS_URL".into(), redis.url()),
        ("REDIS_PASSWORD_FILE".into(), redis.password_file().display().to_string()),
    ];
    step.done(&record.address);
    Ok(Started { part: Part::Redis(redis), record, variables })
}

fn lacking(what: &'static str, lacking: impl Into<String>, next: impl Into<String>) -> Trouble {
    Trouble::Extra { what, lacking: lacking.into(), next: next.into() }
}

/// The first program of this name in the folders, then in PATH.
fn program(name: &str, folders: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.iter().map(PathBuf::from).chain(std::env::split_paths(&path));
    all.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Starts a program of a part in the background, its words in `logs/<name>.log`, marked as the stack's.
fn start_process(stack: &Stack, name: &str, mut command: Command, folder: &Path) -> Result<(Proc, PathBuf)> {
    let log = logs::folder(stack)?.join(format!("{name}.log"));
    logs::rotate(&log)?;
    command.current_dir(folder);
    let mark = stack.folder().folder("services")?;
    Ok((spawn(command, mark.path(), &log)?, log))
}

/// What runs while it is waited for.
#[derive(Debug, Clone, Copy)]
enum Waited<'a> {
    Process(Proc, &'a Path),
    Container(&'a str),
}

impl Waited<'_> {
    async fn runs(self) -> bool {
        match self {
            Self::Process(proc, _) => proc.is_alive(),
            Self::Container(name) => docker::is_running(name).await,
        }
    }

    async fn last_words(self) -> String {
        match self {
            Self::Process(_, log) => tail(log, 12),
            Self::Container(name) => docker::last_words(name).await,
        }
    }
}

/// Returns once `answers`; fails with its last lines when it ends first or the time is up.
async fn until<F: Future<Output = bool>>(
    what: &'static str,
    waited: Waited<'_>,
    answers: impl Fn() -> F,
) -> Result<()> {
    let began = Instant::now();
    while !answers().await {
        if !waited.runs().await {
            let words = waited.last_words().await;
            return Err(lacking(
                what,
                format!("it ended at once; its last lines:\n{words}"),
                "mend what it says",
            ));
        }
        if began.elapsed() > START_PATIENCE * 2 {
            let (seconds, words) = (began.elapsed().as_secs(), waited.last_words().await);
            let text = format!("it did not answer within {seconds} s; its last lines:\n{words}");
            return Err(lacking(what, text, "read its log"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
