//! A part that is one background program: what tells it from the others is data. Knows none of them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use shop_devstack::daemon::{Began, Daemon, Known};
use shop_devstack::state::{StateDir, read_or_create};

use crate::part::{Origin, Part, Running};
use crate::tool::Tool;
use crate::{Bed, Result};

/// A part that is one program.
#[derive(Debug)]
pub struct Background {
    pub(crate) name: &'static str,
    /// The variable by which the environment names a server to be used instead.
    pub(crate) variable: Option<&'static str>,
    pub(crate) tool: &'static Tool,
    /// What its ports are called.
    pub(crate) ports: &'static [&'static str],
    /// Whether it gets a password, in a file of its folder.
    pub(crate) password: bool,
    /// How long it may take to answer, and to end.
    pub(crate) patience: Duration,
    pub(crate) command: fn(&Start<'_>) -> Result<Command>,
    pub(crate) answers: fn(Known) -> BoxFuture<'static, bool>,
    pub(crate) url: fn(&Known) -> String,
}

/// What a program is started with.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// Where the tool is.
    pub(crate) tool: &'a Path,
    /// Its own folder, which exists.
    pub(crate) folder: &'a Path,
    pub(crate) known: &'a Known,
    /// Empty where it has none.
    pub(crate) password: &'a str,
}

const PASSWORD: &str = "password";

impl Background {
    fn daemon(&self, bed: &Bed) -> Daemon {
        Daemon::new(self.name, bed.folder(self.name), self.patience)
    }

    fn running(&self, bed: &Bed, known: &Known, origin: Origin) -> Running {
        let secret_file = self.password.then(|| bed.folder(self.name).join(PASSWORD));
        Running { part: self.name, origin, url: (self.url)(known), secret_file, pid: Some(known.proc.pid) }
    }
}

#[async_trait]
impl Part for Background {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn bring(&self, bed: &Bed) -> Result<()> {
        self.tool.require(self.name, bed).await.map(drop)
    }

    async fn find(&self, bed: &Bed) -> Result<Option<Running>> {
        if let Some(given) = self.variable.and_then(|variable| bed.given(variable)) {
            return Ok(Some(Running::given(
                self.name,
                given.parse().map_err(|error: url::ParseError| crate::Error::Given {
                    variable: self.variable.unwrap_or_default(),
                    reason: error.to_string(),
                })?,
            )));
        }
        let Some(known) = self.daemon(bed).find()? else { return Ok(None) };
        let answers = (self.answers)(known.clone()).await;
        Ok(answers.then(|| self.running(bed, &known, Origin::Found)))
    }

    async fn start(&self, bed: &Bed) -> Result<Running> {
        let tool = self.tool.require(self.name, bed).await?;
        let daemon = self.daemon(bed);
        let folder = StateDir::open(daemon.dir())?;
        let password = match self.password {
            true => read_or_create(&folder.path().join(PASSWORD), random)?,
            false => String::new(),
        };
        let command = |known: &Known| {
            let start = Start { tool: &tool, folder: folder.path(), known, password: &password };
            (self.command)(&start).map_err(|error| match error {
                crate::Error::Component(error) => error,
                other => std::io::Error::other(other).into(),
            })
        };
        let (known, began) = daemon.start(self.ports, command, self.answers).await?;
        let origin = if began == Began::Now { Origin::Started } else { Origin::Found };
        Ok(self.running(bed, &known, origin))
    }

    async fn stop(&self, bed: &Bed) -> Result<bool> {
        Ok(self.daemon(bed).stop().await?)
    }
}

fn random() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Whether `path` on a port of the loopback answers 200.
pub(crate) async fn is_ok(port: u16, path: &'static str) -> bool {
    let address = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
    matches!(shop_devstack::http_status(address, path).await, Ok(200))
}
