//! Why the stack cannot do what was asked, and what to do next. Renders nothing: the caller chooses words' colours
//! and the exit code.

use std::io;
use std::path::PathBuf;

use time::OffsetDateTime;
use tokio_postgres::error::SqlState;

use crate::component;

/// Shorthand of the stack's functions.
pub type Result<T> = std::result::Result<T, Trouble>;

/// How a service tells of a schema that it can do nothing with (services/kit/src/boot.rs): only new data helps then.
const FOREIGN_SCHEMA: &str = "this version cannot live on the database's schema";
/// What was found of a database that is not there.
pub(crate) const NO_DATABASE: &str = "does not exist";

/// What went wrong. [`Trouble::next`] has the next step.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Another supervisor has the stack: its process, since when, and its command line.
    #[error("the stack {stack} is already up{}", held_by(.holder.as_deref()))]
    Held { stack: String, holder: Option<Box<(u32, OffsetDateTime, String)>> },
    /// Nothing of the stack runs, and the command needs it.
    #[error("the stack {0} is not up")]
    NotUp(String),
    /// The stack is on its way: its services are not built or not migrated yet.
    #[error("nothing of the stack {0} is ready to be seeded yet")]
    NothingToSeed(String),
    /// A port that shop.toml gives is in use.
    #[error("port {port} ({what}) is taken{}", by(.holder.as_ref()))]
    PortTaken { what: String, port: u16, holder: Option<String> },
    /// An option names a service that shop.toml lacks.
    #[error("no service {name} in shop.toml (it has {known})")]
    NoSuchService { name: String, known: String },
    /// An option's value makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Something of the machine is missing.
    #[error("{0}")]
    Environment(String),
    /// No PostgreSQL: what was tried, in the order it was tried.
    #[error("no PostgreSQL: {}", .tried.join("; "))]
    NoPostgres { tried: Vec<String> },
    /// The server of the URL does not answer, or refuses us.
    #[error("PostgreSQL at {address} cannot be used: {reason}")]
    Refused { address: String, reason: String },
    /// The server in the stack's own folder does not start on the data that is there, or can do nothing with it.
    #[error("the database server in {} cannot be used: {reason}", .folder.display())]
    OwnServer { folder: PathBuf, reason: String },
    /// A database that dev did not make for this stack.
    #[error("the database {database} at {address} {found}, so it is left alone")]
    Unmarked { database: String, address: String, found: String },
    /// A role that dev made for this stack, and why it cannot be dropped; `folder` is that of a server of our own.
    #[error("the role {role} at {address} cannot be dropped: {by}")]
    RoleNeeded { role: String, address: String, by: String, folder: Option<PathBuf> },
    /// A server that is not on this machine needs the database's name typed.
    #[error("{address} is not this machine: confirm with the name of its database")]
    Unconfirmed { address: String, database: String },
    /// The password that goes with the URL cannot be had.
    #[error("the password file {} cannot be read: {reason}", .file.display())]
    PasswordFile { file: PathBuf, reason: String },
    /// The stack's folder cannot be made or written to; `named` where a person chose it.
    #[error("the state folder cannot be used: {reason}")]
    StateFolder { named: bool, reason: String },
    /// A file in the stack's folder does not hold what was written there; the reason names it.
    #[error("a file of the stack cannot be read: {reason}")]
    Broken { reason: String, next: String },
    /// Servers that hold data of the stack, and why it cannot be dropped; `file` notes them.
    #[error("the data of this stack at {} cannot be dropped, so its keys and passwords are kept", .servers.join(", "))]
    DataLeft { servers: Vec<String>, file: PathBuf },
    /// The compiler said no; its words went out as events.
    #[error("the build of {packages} failed")]
    Build { packages: String },
    /// A service's own command (`migrate`, `seed`, `keys init`) failed.
    #[error("{service} {command} ended with {status}{}", last_lines(.lines))]
    Command { service: String, command: String, status: String, code: Option<i32>, lines: Vec<String> },
    /// Services that were started did not become ready.
    #[error("{} did not become ready", .services.join(", "))]
    NotReady { services: Vec<String> },
    /// Something that `--with` names cannot be had here.
    #[error("{what} cannot be started: {lacking}")]
    Extra { what: &'static str, lacking: String, next: String },
    /// An image that has to be fetched cannot be.
    #[error("the image {image} is not here, and Docker cannot fetch it: {reason}")]
    Image { image: String, reason: String },
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
    /// PostgreSQL, Redis or the mailbox.
    #[error(transparent)]
    Component(#[from] component::Error),
    /// A file or a process could not be handled.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Trouble {
    /// What the reader can do about it, if that is known.
    pub fn next(&self) -> Option<String> {
        Some(match self {
            Self::Held { .. } => "look with `shopctl dev status`, stop it with `shopctl dev down`".into(),
            Self::NotUp(_) => "start it with `shopctl dev up`".into(),
            Self::NothingToSeed(_) => {
                "wait until `shopctl dev status` names its services, then run it again".into()
            }
            Self::PortTaken { .. } => {
                "end that process, or let free ports be chosen with --ports auto".into()
            }
            Self::NoSuchService { .. } => {
                "give --replicas one of these names, as in --replicas name=2".into()
            }
            Self::StateFolder { .. } => "name a folder that you can write to with SHOP_DEV_STATE".into(),
            Self::Broken { next, .. } => next.clone(),
            Self::DataLeft { file, .. } => format!(
                "bring it back and repeat this (with --database-password-file where its password has moved); if that \
                 data is gone for good, delete {} first",
                file.display()
            ),
            Self::Build { .. } => "mend what the compiler names above, then run it again".into(),
            Self::Command { service, code, lines, .. } => next_of_command(service, *code, lines),
            Self::NotReady { services } => {
                format!("read `shopctl dev logs {}`", services.first().map_or("", String::as_str))
            }
            Self::Extra { next, .. } => next.clone(),
            Self::Image { image, .. } => {
                format!(
                    "let the Docker daemon reach the registry (network, proxy, log-in) until `docker pull {image}` \
                     works, or bring the image as a file with `docker load`"
                )
            }
            _ => return self.next_of_server(),
        })
    }

    /// The same for what has to do with a database server.
    fn next_of_server(&self) -> Option<String> {
        Some(match self {
            Self::NoPostgres { .. } => {
                "install it (`apt-get install postgresql`), start Docker, or name a server with --database-url \
                 postgres://user@host/postgres"
                    .into()
            }
            Self::Refused { .. } => {
                "check the address, the user, and the password in the file that DATABASE_PASSWORD_FILE names".into()
            }
            Self::OwnServer { folder, .. } => format!(
                "mend what it says; or, if its data may go, delete {} and run this again",
                folder.display()
            ),
            Self::Unmarked { found, .. } if found == NO_DATABASE => {
                "`shopctl dev down` and `shopctl dev up` make it anew".into()
            }
            Self::Unmarked { .. } => {
                "give a server of its own with --database-url, or drop that database yourself".into()
            }
            Self::RoleNeeded { folder: Some(folder), .. } => {
                format!("delete {} if nothing that its server holds is worth keeping", folder.display())
            }
            Self::RoleNeeded { role, .. } => format!(
                "drop that database yourself, or connect to it and free the role with \
                 `reassign owned by \"{role}\" to current_user; drop owned by \"{role}\"`, then run this again"
            ),
            Self::Unconfirmed { database, .. } => format!("give --confirm {database}"),
            Self::PasswordFile { .. } => {
                "name a file that holds the password and that you can read, with --database-password-file or \
                 DATABASE_PASSWORD_FILE, or bring this one back"
                    .into()
            }
            Self::Component(component::Error::Database(error))
                if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) =>
            {
                "the user needs CREATEDB and CREATEROLE: let a superuser of that server give them with `alter role \
                 <user> createdb createrole`, or name another user in the URL"
                    .into()
            }
            _ => return None,
        })
    }
}

/// What to do about a service's own command that failed.
fn next_of_command(service: &str, code: Option<i32>, lines: &[String]) -> String {
    match code {
        _ if lines.iter().any(|line| line.contains(FOREIGN_SCHEMA)) => {
            "build the version that made that schema, or start with an empty database by `shopctl dev reset`"
                .into()
        }
        Some(2) => "mend what its sentence above names, then run this again".into(),
        Some(9) => {
            "see what became of PostgreSQL with `shopctl dev logs postgres` (one of a URL or a container has \
             its own log), then run this again: what was done stays"
                .into()
        }
        _ => format!("read `shopctl dev logs {service}-commands`, then run this again"),
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Component(error.into())
    }
}

/// A path in an error of the system, which does not name it.
pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> Trouble {
    let path: PathBuf = path.to_owned();
    move |error| Trouble::Io(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn held_by(holder: Option<&(u32, OffsetDateTime, String)>) -> String {
    holder
        .map(|(pid, since, command)| format!(": `{command}` (pid {pid}) has it since {}", clock(*since)))
        .unwrap_or_default()
}

/// `2026-11-22 19:01:02 UTC`: exact enough to tell two starts apart.
fn clock(at: OffsetDateTime) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    at.to_offset(time::UtcOffset::UTC).format(&format).unwrap_or_default()
}

fn by(holder: Option<&String>) -> String {
    holder.map(|holder| format!(" by {holder}")).unwrap_or_default()
}

fn last_lines(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("; its last lines:\n{}", lines.join("\n")) }
}
