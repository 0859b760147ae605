//! A Redis server of our own from the program on this machine, behind a password. It keeps nothing on disk: what
//! lies in it (limits, cached answers) may be lost at any time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::component::{Account, Error, Report, Result, START_PATIENCE, Step, tail};
use crate::port;
use crate::process::{Proc, Stopped, marked, spawn};
use crate::state::{StateDir, read_or_create, write_private};

const NAME: &str = "Redis";
const STATE: &str = "running.json";
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Which server is wanted.
#[derive(Debug, Clone)]
pub struct RedisSpec {
    /// Its own folder. Made when absent.
    pub dir: PathBuf,
    /// `None`: the one it had last time if still free, else any free one.
    pub port: Option<u16>,
    /// Its program; `None`: look in PATH.
    pub program: Option<PathBuf>,
}

impl RedisSpec {
    /// A server in `dir` on any free port.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), port: None, program: None }
    }
}

/// A server that answers. Dropping it leaves the server running.
#[derive(Debug, Clone)]
pub struct Redis {
    known: Known,
    adopted: bool,
    dir: StateDir,
    password: secrecy::SecretString,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Known {
    proc: Proc,
    port: u16,
}

impl Redis {
    /// Adopts the server that runs in the folder, else starts one. Two callers at once get the same server.
    pub async fn start(spec: &RedisSpec, report: &Report) -> Result<Self> {
        let dir = StateDir::open(&spec.dir)?;
        let _lock = dir.lock("lock", LOCK_PATIENCE).await?;
        if let Some(running) = Self::find(&spec.dir).await? {
            if spec.port.is_none_or(|port| port == running.port()) {
                let Known { proc, port } = running.known;
                report.say(Step::Adopted { component: NAME, proc, port });
                return Ok(running);
            }
            running.stop().await?;
        }
        for orphan in marked(dir.path()) {
            // Started by a run that was killed before it could write down which port it chose.
            orphan.stop(Signal::TERM, STOP_PATIENCE).await?;
        }
        let program = find_program(spec.program.as_deref())?;
        report.say(Step::Found { component: NAME, program: program.clone() });
        Self::launch(dir, &program, spec.port, report).await
    }

    /// The server that runs in `dir`, if one does and answers. Starts nothing.
    pub async fn find(dir: &Path) -> Result<Option<Self>> {
        if !dir.exists() {
            return Ok(None);
        }
        let dir = StateDir::open(dir)?;
        let Some(known) = dir.read_json::<Known>(STATE)? else { return Ok(None) };
        if !known.proc.is_alive() {
            return Ok(None);
        }
        let found = Self::handle(dir, known, true)?;
        found.await_answer(Instant::now()).await?;
        Ok(Some(found))
    }

    fn handle(dir: StateDir, known: Known, adopted: bool) -> Result<Self> {
        let password = read_or_create(&dir.path().join("password"), crate::postgres::random_password)?.into();
        Ok(Self { known, adopted, dir, password })
    }

    async fn launch(dir: StateDir, program: &Path, wanted: Option<u16>, report: &Report) -> Result<Self> {
        let began = Instant::now();
        let last = dir.read_json::<Known>(STATE)?.map(|known| known.port);
        let port = port::choose(NAME, wanted, last)?;
        let mut command = Command::new(program);
        command.arg(write_settings(&dir, port)?);
        if let Some(account) = Account::for_servers()? {
            account.reaches(NAME, &dir.path().join("redis.conf"))?;
            account.own(&dir.path().join("redis.conf"))?;
            account.apply(&mut command);
        }
        let log = dir.path().join("redis.log");
        let known = Known { proc: spawn(command, dir.path(), &log)?, port };
        dir.write_json(STATE, &known)?;
        report.say(Step::Starting { component: NAME, proc: known.proc, port });
        let started = Self::handle(dir, known, false)?;
        started.await_answer(began).await?;
        report.say(Step::Ready { component: NAME, after: began.elapsed() });
        Ok(started)
    }

    async fn await_answer(&self, began: Instant) -> Result<()> {
        while self.ping().await.is_err() {
            let log = || tail(&self.log(), 20);
            if !self.known.proc.is_alive() {
                return Err(Error::Failed { component: NAME, doing: "its start".to_owned(), log: log() });
            }
            if began.elapsed() > START_PATIENCE {
                return Err(Error::Silent { component: NAME, waited: began.elapsed(), log: log() });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn ping(&self) -> std::io::Result<()> {
        use secrecy::ExposeSecret;
        let mut stream = TcpStream::connect(("127.0.0.1", self.known.port)).await?;
        let asked = format!("AUTH {}\r\nPING\r\n", self.password.expose_secret());
        stream.write_all(asked.as_bytes()).await?;
        let expected = b"+OK\r\n+PONG\r\n";
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        if &answer == expected { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
    }

    /// Its process.
    pub fn proc(&self) -> Proc {
        self.known.proc
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.known.port
    }

    /// Whether it ran before this handle was asked for.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// Its address, without the password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.known.port)
    }

    /// The password that every connection gives first.
    pub fn password(&self) -> &secrecy::SecretString {
        &self.password
    }

    /// The file with the password, readable by its owner alone.
    pub fn password_file(&self) -> PathBuf {
        self.dir.path().join("password")
    }

    /// What the server writes.
    pub fn log(&self) -> PathBuf {
        self.dir.path().join("redis.log")
    }

    /// Ends it; kills it when that takes too long.
    pub async fn stop(&self) -> Result<Stopped> {
        Ok(self.known.proc.stop(Signal::TERM, STOP_PATIENCE).await?)
    }
}

/// Whether a Redis takes commands there; one that wants the password first does.
pub(crate) async fn answers(address: std::net::SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    let is_redis = matches!(&answer, b"+PONG" | b"-NOAU");
    is_redis.then_some(()).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

fn find_program(named: Option<&Path>) -> Result<PathBuf> {
    let candidates: Vec<PathBuf> = match named {
        Some(program) => vec![program.to_owned()],
        None => std::env::var_os("PATH")
            .map(|path| std::env::split_paths(&path).map(|dir| dir.join("redis-server")).collect())
            .unwrap_or_default(),
    };
    candidates.into_iter().find(|program| program.is_file()).ok_or_else(|| Error::NotInstalled {
        program: "redis-server",
        looked: named.map_or_else(|| "PATH".to_owned(), |program| program.display().to_string()),
        install: "apt-get install redis-server",
    })
}

/// Settings lie in a file and not on the command line, which every account of the machine can read. The title stays
/// as it is because Redis would write it over the environment, and with it over the mark.
fn write_settings(dir: &StateDir, port: u16) -> Result<PathBuf> {
    let password = read_or_create(&dir.path().join("password"), crate::postgres::random_password)?;
    let file = dir.path().join("redis.conf");
    let text = format!(
        "bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave \"\"\nappendonly no\ndaemonize no\nset-proc-title no\nmaxmemory 256mb\nmaxmemory-policy allkeys-lru\n"
    );
    write_private(&file, text.as_bytes())?;
    Ok(file)
}
