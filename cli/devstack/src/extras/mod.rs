//! What runs beside the services and PostgreSQL: the mailbox always, and what `--with` names. Each part says how it is
//! reached as variables for the services; none knows a service.

mod elasticsearch;
mod prometheus;
mod rabbitmq;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};

pub use self::elasticsearch::LOG as ELASTICSEARCH_LOG;

use crate::backoff::Patience;
use crate::board::Board;
use crate::component::{Report, START_PATIENCE};
use crate::docker;
use crate::environment::Variables;
use crate::events::{Event, Events};
use crate::logs;
use crate::mailbox::{Mailbox, MailboxSpec};
use crate::options::{Extra, UpOptions};
use crate::plan::Plan;
use crate::probe;
use crate::process::{Proc, spawn};
use crate::record::{PartRecord, PartState};
use crate::redis::{Redis, RedisSpec};
use crate::stack::Stack;
use crate::tend::{Again, Life, Tended, tend};
use crate::trouble::{Result, Trouble};

const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// The parts that run.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// With their names in the record.
    running: Vec<(String, Part)>,
    variables: Variables,
    /// Dropped with the parts, they stop watching; what runs stays for the next `up` to end.
    tending: JoinSet<()>,
}

#[derive(Debug)]
enum Part {
    /// Ends when it is dropped.
    Mailbox {
        _held: Mailbox,
        telling: AbortHandle,
    },
    /// The record knows which process it is by now.
    Process,
    Container(String),
}

/// A part that was started, for the record and for the services.
struct Started {
    part: Part,
    record: PartRecord,
    variables: Variables,
    /// `None`: it lives as long as we do.
    again: Option<Again>,
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
        let patience = options.patience;
        self.keep(mailbox(stack, board.events()).await?, board, patience);
        let mut wanted = options.with.clone();
        wanted.sort();
        wanted.dedup();
        for extra in wanted {
            let events = board.events();
            match extra {
                Extra::Cache => self.keep(redis(stack, events).await?, board, patience),
                Extra::Search => {
                    let home = options.elasticsearch_home.as_deref();
                    self.keep(elasticsearch::start(stack, home, events).await?, board, patience);
                }
                Extra::Queue => self.keep(rabbitmq::start(stack, events).await?, board, patience),
                Extra::Monitoring => {
                    let (prometheus, port) = prometheus::start(stack, plan, events).await?;
                    self.keep(prometheus, board, patience);
                    if let Some(grafana) = prometheus::grafana(stack, port, events).await? {
                        self.keep(grafana, board, patience);
                    }
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, started: Started, board: &Board, patience: Patience) {
        let Started { part, record, variables, again } = started;
        let name = record.name.clone();
        let life = match &part {
            Part::Container(name) => Some(Life::Container(name.clone())),
            _ => record.proc.zip(record.log.clone()).map(|(proc, log)| Life::Process(proc, log)),
        };
        board.change(|known| {
            known.parts.push(record);
        });
        if let (Some(life), Some(again)) = (life, again) {
            self.tend(Tended { name: name.clone(), life, again }, board, patience);
        }
        self.running.push((name, part));
        self.variables.extend(variables);
    }

    /// Starts it again whenever it ends.
    pub(crate) fn tend(&mut self, tended: Tended, board: &Board, patience: Patience) {
        self.tending.spawn(tend(tended, board.clone(), patience));
    }

    /// What ends from now on stays down.
    pub(crate) async fn let_go(&mut self) {
        self.tending.shutdown().await;
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
        self.let_go().await;
        let known = stack.record().ok().flatten().map(|record| record.parts).unwrap_or_default();
        let mut outcome = Ok(());
        while let Some((name, part)) = self.running.pop() {
            let proc = known.iter().find(|part| part.name == name).and_then(|part| part.proc);
            let ended = match (part, proc) {
                (Part::Mailbox { telling, .. }, _) => {
                    telling.abort();
                    Ok(())
                }
                (Part::Process, Some(proc)) => {
                    proc.stop(Signal::TERM, STOP_PATIENCE).await.map(drop).map_err(Trouble::from)
                }
                (Part::Process, None) => Ok(()),
                (Part::Container(name), _) => docker::stop(stack, &name).await.map(drop),
            };
            outcome = outcome.and(ended);
        }
        outcome
    }
}

/// Whether the part of this name answers at its address.
pub(crate) async fn answers(part: &str, address: &str) -> bool {
    let Ok(address) = address.trim_start_matches("http://").parse::<SocketAddr>() else { return false };
    let http = async |path| matches!(probe::status(address, path).await, Ok(200));
    match part {
        MAIL => is_greeted(address).await.is_ok(),
        REDIS => crate::redis::answers(address).await.is_ok(),
        rabbitmq::NAME => crate::rabbitmq::speaks_amqp(address).await,
        elasticsearch::NAME => http("/_cluster/health").await,
        prometheus::NAME => http("/-/ready").await,
        prometheus::GRAFANA => http("/api/health").await,
        _ => false,
    }
}

/// SMTP begins with a word of the server.
async fn is_greeted(address: SocketAddr) -> std::io::Result<u8> {
    TcpStream::connect(address).await?.read_u8().await
}

const MAIL: &str = "mail";
const REDIS: &str = "redis";

fn record(name: &str, address: String, note: &str) -> PartRecord {
    PartRecord {
        name: name.into(),
        address,
        note: note.into(),
        proc: None,
        log: None,
        state: PartState::Ready,
        restarts: 0,
    }
}

/// Starts the program of a part on a port and says where its words go.
type Begin = fn(&Stack, &Path, u16) -> Result<(Proc, PathBuf)>;

/// A part from a program on this machine, once it answers.
async fn process(
    what: &'static str,
    stack: &Stack,
    (program, port): (&Path, u16),
    begin: Begin,
    (record, variables): (PartRecord, Variables),
) -> Result<Started> {
    let (stack, program) = (stack.clone(), program.to_owned());
    let (name, address) = (record.name.clone(), record.address.clone());
    let once = move || {
        let (stack, program, name, address) = (stack.clone(), program.clone(), name.clone(), address.clone());
        async move {
            let (proc, log) = begin(&stack, &program, port)?;
            let life = Life::Process(proc, log.clone());
            let answered = until(what, &life, || answers(&name, &address)).await;
            answered.inspect_err(|_| life.end_the_rest()).map(|()| (proc, log))
        }
    };
    let (proc, log) = once().await?;
    let again: Again = Box::new(move || {
        let started = once();
        Box::pin(async move { started.await.map(|(proc, _)| Some(proc)) })
    });
    let record = PartRecord { proc: Some(proc), log: Some(log), ..record };
    Ok(Started { part: Part::Process, record, variables, again: Some(again) })
}

/// A part in a container that was just run, once it answers.
async fn container(
    what: &'static str,
    container: String,
    (record, variables): (PartRecord, Variables),
) -> Result<Started> {
    let wait = {
        let (container, name, address) = (container.clone(), record.name.clone(), record.address.clone());
        move || {
            let (container, name, address) = (container.clone(), name.clone(), address.clone());
            async move { until(what, &Life::Container(container), || answers(&name, &address)).await }
        }
    };
    wait().await?;
    let part = Part::Container(container.clone());
    let again: Again = Box::new(move || {
        let (container, waited) = (container.clone(), wait());
        Box::pin(async move {
            docker::again(&container).await?;
            waited.await.map(|()| None)
        })
    });
    Ok(Started { part, record, variables, again: Some(again) })
}

/// Where the mailbox keeps its mails.
pub fn mail_folder(stack: &Stack) -> PathBuf {
    stack.path("mail")
}

async fn mailbox(stack: &Stack, events: &Events) -> Result<Started> {
    let folder = stack.folder().folder("mail")?.path().to_owned();
    let mailbox = Mailbox::start(MailboxSpec { dir: Some(folder), ..MailboxSpec::default() }).await?;
    for broken in mailbox.broken() {
        events.warn(format!("{broken}: delete that file, or `shopctl dev mail` cannot show the others"));
    }
    let telling = tell_arrivals(mailbox.clone(), events.clone());
    let note = "takes every mail, delivers none: `shopctl dev mail`";
    let record = record(MAIL, mailbox.address().to_string(), note);
    let variables = vec![("SMTP_URL".into(), mailbox.url())];
    Ok(Started { part: Part::Mailbox { _held: mailbox, telling }, record, variables, again: None })
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
    let address = format!("127.0.0.1:{}", redis.port());
    let record = PartRecord {
        proc: Some(redis.proc()),
        log: Some(redis.log()),
        ..record(REDIS, address, "caches and rate limits that replicas share")
    };
    let variables = vec![
        ("REDIS_URL".into(), redis.url()),
        ("REDIS_PASSWORD_FILE".into(), redis.password_file().display().to_string()),
    ];
    step.done(&record.address);
    let spec = RedisSpec { port: Some(redis.port()), ..RedisSpec::new(stack.path("redis")) };
    let again: Again = Box::new(move || {
        let spec = spec.clone();
        Box::pin(async move { Ok(Some(Redis::start(&spec, &Report::silent()).await?.proc())) })
    });
    Ok(Started { part: Part::Process, record, variables, again: Some(again) })
}

fn lacking(what: &'static str, lacking: impl Into<String>, next: impl Into<String>) -> Trouble {
    Trouble::Extra { what, lacking: lacking.into(), next: next.into() }
}

/// Starts a program of a part in the background, its words in `logs/<name>.log`, marked as the stack's.
fn start_process(stack: &Stack, name: &str, mut command: Command, folder: &Path) -> Result<(Proc, PathBuf)> {
    let log = logs::folder(stack)?.join(format!("{name}.log"));
    logs::rotate(&log)?;
    command.current_dir(folder);
    let mark = stack.folder().folder("services")?;
    Ok((spawn(command, mark.path(), &log)?, log))
}

/// Returns once `answers`; fails with its last lines when it ends first or the time is up.
async fn until<F: Future<Output = bool>>(
    what: &'static str,
    waited: &Life,
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
