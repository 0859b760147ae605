//! Which PostgreSQL the stack uses: a URL given, programs on this machine, Docker, or programs fetched into the cache,
//! in this order, and why. Makes no database and no role.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::{Client, Config};

use crate::address::ServerUrl;
use crate::component::{self, Report, Step, innermost};
use crate::docker;
use crate::download;
use crate::events::Events;
use crate::postgres::{Binaries, Postgres, PostgresSpec};
use crate::record::{POSTGRES, PartState, PostgresRecord, Source};
use crate::stack::Stack;
use crate::tend::{Again, Life, Tended};
use crate::tls;
use crate::trouble::{Result, Trouble};

/// Which way to a server is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The first that works.
    #[default]
    Auto,
    Only(Source),
}

impl Choice {
    fn why(self, otherwise: &str) -> &str {
        if matches!(self, Self::Auto) { otherwise } else { "as asked" }
    }
}

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct ServerSpec {
    pub choice: Choice,
    /// `DATABASE_URL` or `--database-url`: a server where we may make databases and roles.
    pub url: Option<String>,
    /// The file with the password that goes with it.
    pub password_file: Option<PathBuf>,
    /// The name of the URL's database, typed by a person who means that machine.
    pub confirm: Option<String>,
}

impl ServerSpec {
    /// Fails on a URL that is none, holds a password, or is of another machine and not confirmed, and on a password
    /// that cannot be read. Connects to nothing.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(url) = &self.url else { return Ok(()) };
        let url = ServerUrl::parse(url)?;
        let database = url.database().to_owned();
        if !url.is_local() && self.confirm.as_deref() != Some(database.as_str()) {
            return Err(Trouble::Unconfirmed { address: url.address(), database });
        }
        if let Some(file) = &self.password_file {
            let reason = |error: std::io::Error| error.to_string();
            let unreadable = |reason| Trouble::PasswordFile { file: file.clone(), reason };
            std::fs::File::open(file)
                .and_then(std::io::read_to_string)
                .map_err(reason)
                .map_err(unreadable)?;
        }
        Ok(())
    }
}

/// A server that answers.
#[derive(Debug, Clone)]
pub struct Server {
    record: PostgresRecord,
    /// Of a role that may make databases and roles.
    config: Config,
    url: ServerUrl,
    ours: Ours,
}

#[derive(Debug, Clone)]
enum Ours {
    No,
    /// With what starts it again where it was.
    Process(Box<Postgres>, Box<PostgresSpec>),
    Container(Box<Stack>, String),
}

/// A container that was just made initialises its data first.
const CONTAINER_PATIENCE: Duration = Duration::from_secs(60);

impl Server {
    /// Finds or starts the server and says which it took and why.
    pub(crate) async fn start(stack: &Stack, spec: &ServerSpec, events: &Events) -> Result<Self> {
        let mut tried = Vec::new();
        for source in [Source::Url, Source::Local, Source::Docker, Source::Download] {
            if !matches!(spec.choice, Choice::Auto) && spec.choice != Choice::Only(source) {
                continue;
            }
            match source {
                Source::Url => match &spec.url {
                    Some(url) => return Self::given(url, spec).await,
                    None => tried.push("no DATABASE_URL or --database-url is given".to_owned()),
                },
                Source::Local => match Binaries::find(None) {
                    Ok(found) => return Self::local(stack, &found, events).await,
                    Err(_) => tried.push(
                        "no server programs (looked with pg_config, in /usr/lib/postgresql/*/bin and in PATH)".into(),
                    ),
                },
                Source::Docker => match docker::available().await {
                    Ok(()) => match Self::container(stack, spec.choice, events).await {
                        Ok(server) => return Ok(server),
                        Err(error) if !matches!(spec.choice, Choice::Auto) => return Err(error),
                        Err(error) => tried.push(format!("Docker cannot ({error})")),
                    },
                    Err(lacking) => tried.push(format!("no Docker ({lacking})")),
                },
                Source::Download => match download::postgres(stack, events).await {
                    Ok(bin) => return Self::downloaded(stack, bin, spec.choice, tried.last(), events).await,
                    Err(error) => tried.push(format!("no download ({error})")),
                },
            }
        }
        Err(Trouble::NoPostgres { tried })
    }

    /// The server that runs for this stack already, whoever started it.
    pub(crate) async fn running(stack: &Stack, record: &PostgresRecord) -> Result<Self> {
        let refused = |reason| Trouble::Refused { address: record.address.clone(), reason };
        let folder = match record.source {
            Source::Url | Source::Docker => {
                let url = ServerUrl::parse(&record.url)?;
                let config = url.config(record.password_file.as_deref())?;
                let ours = match record.source {
                    Source::Docker => {
                        Ours::Container(Box::new(stack.clone()), docker::name(stack, "postgres"))
                    }
                    _ => Ours::No,
                };
                let server = Self { record: record.clone(), config, url, ours };
                server.connect("").await.map_err(|error| refused(reason(&error)))?;
                return Ok(server);
            }
            Source::Local => stack.path(LOCAL),
            Source::Download => stack.path(DOWNLOADED),
        };
        let found =
            Postgres::find(&folder).await?.ok_or_else(|| refused("it does not run just now".into()))?;
        Self::of_process(found, PostgresSpec::new(folder), record.source, record.why.clone())
    }

    async fn given(url: &str, spec: &ServerSpec) -> Result<Self> {
        spec.check()?;
        let url = ServerUrl::parse(url)?;
        let address = url.address();
        let config = url.config(spec.password_file.as_deref())?;
        let record = PostgresRecord {
            source: Source::Url,
            why: "its address was given".into(),
            version: String::new(),
            address: address.clone(),
            url: url.to_string(),
            password_file: spec.password_file.clone(),
            proc: None,
            state: PartState::Ready,
            restarts: 0,
        };
        let server = Self { record, config, url, ours: Ours::No };
        server.with_version().await.map_err(|error| Trouble::Refused { address, reason: reason(&error) })
    }

    async fn local(stack: &Stack, found: &Binaries, events: &Events) -> Result<Self> {
        let bin = found.program("postgres").parent().map(Path::to_owned).unwrap_or_default();
        let why = format!("server programs in {}", bin.display());
        Self::process(stack, LOCAL, bin, Source::Local, why, events).await
    }

    async fn downloaded(
        stack: &Stack,
        bin: PathBuf,
        choice: Choice,
        before: Option<&String>,
        events: &Events,
    ) -> Result<Self> {
        let docker =
            before.filter(|tried| tried.starts_with("no ")).map_or("Docker cannot help", |tried| tried);
        let lacking = format!("since no server programs are here and {docker}");
        let why = format!("{}, {}", download::WHAT, choice.why(&lacking));
        Self::process(stack, DOWNLOADED, bin, Source::Download, why, events).await
    }

    async fn process(
        stack: &Stack,
        folder: &str,
        bin: PathBuf,
        source: Source,
        why: String,
        events: &Events,
    ) -> Result<Self> {
        let step = events.step("postgres", why.clone());
        let mut spec = PostgresSpec::new(stack.path(folder));
        spec.binaries = Some(bin);
        let (report, mut steps) = tokio::sync::mpsc::unbounded_channel();
        let started = Postgres::start(&spec, &Report::to(report)).await;
        let started = started.map_err(|error| unusable(error, &spec.dir))?;
        let mut how = "started";
        while let Ok(said) = steps.try_recv() {
            match said {
                Step::Adopted { .. } => how = "adopted",
                Step::Creating { .. } => how = "made and started",
                _ => {}
            }
        }
        if how == "made and started" {
            tell_of_other_data(stack, folder, events);
        }
        let server = Self::of_process(started, spec, source, why)?.with_version().await?;
        let PostgresRecord { version, address, why, .. } = &server.record;
        step.done(format!("{version} at {address}, {how} ({why})"));
        Ok(server)
    }

    fn of_process(postgres: Postgres, spec: PostgresSpec, source: Source, why: String) -> Result<Self> {
        let url = ServerUrl::parse(&postgres.url("postgres"))?;
        let record = PostgresRecord {
            source,
            why,
            version: String::new(),
            address: url.address(),
            url: url.to_string(),
            password_file: Some(postgres.password_file()),
            proc: Some(postgres.proc()),
            state: PartState::Ready,
            restarts: 0,
        };
        let config = url.config(record.password_file.as_deref())?;
        let again = PostgresSpec { port: Some(postgres.port()), ..spec };
        Ok(Self { record, config, url, ours: Ours::Process(Box::new(postgres), Box::new(again)) })
    }

    async fn container(stack: &Stack, choice: Choice, events: &Events) -> Result<Self> {
        let step = events.step("postgres", format!("Docker, image {}", docker::POSTGRES));
        let started = match docker::postgres(stack).await {
            Ok((name, port, password)) => Self::contained(stack, choice, name, port, password).await,
            Err(error) => Err(error),
        };
        match started {
            Ok(server) => {
                let PostgresRecord { version, address, why, .. } = &server.record;
                step.done(format!("{version} at {address} ({why})"));
                Ok(server)
            }
            Err(error) => {
                // Where nothing else is tried, the error itself says it.
                if choice == Choice::Auto {
                    step.failed(error.to_string());
                }
                // Whatever comes next, a container that is of no use does not stay.
                docker::end_all(stack).await?;
                Err(error)
            }
        }
    }

    /// Waits for the server in a container: one that was just made initialises its data first.
    async fn contained(
        stack: &Stack,
        choice: Choice,
        container: String,
        port: u16,
        password_file: PathBuf,
    ) -> Result<Self> {
        let url = ServerUrl::parse(&format!("postgres://postgres@127.0.0.1:{port}/postgres"))?;
        let record = PostgresRecord {
            source: Source::Docker,
            why: format!("a container, {}", choice.why("since no server programs are here")),
            version: String::new(),
            address: url.address(),
            url: url.to_string(),
            password_file: Some(password_file.clone()),
            proc: None,
            state: PartState::Ready,
            restarts: 0,
        };
        let config = url.config(Some(&password_file))?;
        let ours = Ours::Container(Box::new(stack.clone()), container.clone());
        let server = Self { record, config, url, ours };
        docker::until(&container, CONTAINER_PATIENCE, || server.clone().with_version()).await
    }

    async fn with_version(mut self) -> Result<Self> {
        let client = self.connect("").await?;
        let row = client.query_one("select current_setting('server_version')", &[]).await?;
        let version: String = row.get(0);
        let number = version.split(' ').next().unwrap_or_default();
        self.record.version = format!("PostgreSQL {number}");
        Ok(self)
    }

    /// What `status` tells of it.
    pub fn record(&self) -> &PostgresRecord {
        &self.record
    }

    /// A connection to one of its databases; to the one of the URL when `database` is empty.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        let mut config = self.config.clone();
        if !database.is_empty() {
            config.dbname(database);
        }
        tls::connect(&config, &self.url).await
    }

    /// Its address, from which those of the services are made.
    pub(crate) fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// How it is watched and started again, if it is ours.
    pub(crate) fn tended(&self) -> Option<Tended> {
        let (life, again): (Life, Again) = match &self.ours {
            Ours::No => return None,
            Ours::Process(postgres, spec) => {
                let spec = spec.clone();
                let again: Again = Box::new(move || {
                    let spec = spec.clone();
                    Box::pin(async move { Ok(Some(Postgres::start(&spec, &Report::silent()).await?.proc())) })
                });
                (Life::Process(postgres.proc(), postgres.log()), again)
            }
            Ours::Container(_, name) => {
                let (server, container) = (self.clone(), name.clone());
                let again: Again = Box::new(move || {
                    let (server, container) = (server.clone(), container.clone());
                    Box::pin(async move {
                        docker::again(&container).await?;
                        docker::until(&container, CONTAINER_PATIENCE, || server.connect("")).await?;
                        Ok(None)
                    })
                });
                (Life::Container(name.clone()), again)
            }
        };
        Some(Tended { name: POSTGRES.to_owned(), life, again })
    }

    /// Ends it, if it is ours.
    pub(crate) async fn stop(&self) -> Result<()> {
        match &self.ours {
            Ours::No => {}
            Ours::Process(postgres, _) => {
                postgres.stop().await?;
            }
            Ours::Container(stack, name) => {
                docker::stop(stack, name).await?;
            }
        }
        Ok(())
    }
}

/// The folder of a server from the programs on this machine.
pub(crate) const LOCAL: &str = "postgres";
/// Data of one major version is of no use to another, so programs from elsewhere have a folder of their own.
pub(crate) const DOWNLOADED: &str = "postgres-download";

/// What keeps our own server in `folder` from its data, where the error has no next step of its own.
pub(crate) fn unusable(error: component::Error, folder: &Path) -> Trouble {
    use component::Error::{Database, Failed, Io, Silent};
    match error {
        Failed { .. } | Silent { .. } | Database(_) | Io(_) if folder.join("data").exists() => {
            Trouble::OwnServer { folder: folder.to_owned(), reason: error.to_string() }
        }
        error => error.into(),
    }
}

/// Says where the data of an earlier run lies, when it is not looked for there any more.
fn tell_of_other_data(stack: &Stack, folder: &str, events: &Events) {
    let other = [(LOCAL, "local"), (DOWNLOADED, "download")].into_iter().find(|(other, _)| *other != folder);
    if let Some((other, choice)) = other.filter(|(other, _)| stack.path(other).join("data").exists()) {
        let place = stack.path(other);
        events.warn(format!(
            "this is a new, empty server; the data of before stays in {}, for `--postgres {choice}`",
            place.display()
        ));
    }
}

/// What PostgreSQL itself says, which its error type keeps one level down.
pub(crate) fn reason(error: &Trouble) -> String {
    innermost(error)
}
