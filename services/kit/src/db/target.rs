//! Which database, as whom, and how safely: read from the configuration and turned into the options of both
//! drivers, so that the two can never disagree. It opens no connection.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

use crate::config::{read_file, read_text};
use crate::schema::SchemaError;
use crate::tls;

/// Twice the cores of a small replica with some room; more never helped (research perf.md §2).
const CONNECTIONS: u32 = 8;
const STATEMENT_TIMEOUT_MS: u64 = 5000;
/// Short: while PostgreSQL is away, waiting would only pile up requests.
const ACQUIRE_TIMEOUT_MS: u64 = 1000;

/// PostgreSQL as the service is told of it.
#[derive(Debug, Clone, clap::Args)]
pub struct DbConfig {
    /// PostgreSQL: postgres://user@host:5432/name, or postgres://user@localhost/name?host=/folder/of/the/socket; no password inside
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// File with the password of that user; read again when it changes
    #[arg(long, env = "DATABASE_PASSWORD_FILE", value_name = "FILE")]
    pub database_password_file: Option<PathBuf>,
    /// PEM file with the authorities that may sign PostgreSQL's certificate; TLS is then used and verified in full
    #[arg(long, env = "DATABASE_CA_FILE", value_name = "FILE")]
    pub database_ca_file: Option<PathBuf>,
    /// Most connections of the pool
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value_t = CONNECTIONS, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_connections: u32,
    /// Milliseconds after which PostgreSQL ends a statement
    #[arg(long, env = "DATABASE_STATEMENT_TIMEOUT_MS", default_value_t = STATEMENT_TIMEOUT_MS, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub database_statement_timeout_ms: u64,
    /// Milliseconds that a request waits for a connection before it is answered 503
    #[arg(long, env = "DATABASE_ACQUIRE_TIMEOUT_MS", default_value_t = ACQUIRE_TIMEOUT_MS, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub database_acquire_timeout_ms: u64,
    /// Who `migrate` connects as, when the serving user may not alter the schema
    #[arg(long, env = "MIGRATE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub migrate_database_url: Option<String>,
    /// File with the password of that user
    #[arg(long, env = "MIGRATE_DATABASE_PASSWORD_FILE", value_name = "FILE")]
    pub migrate_database_password_file: Option<PathBuf>,
}

impl Default for DbConfig {
    fn default() -> Self {
        Self {
            database_url: None,
            database_password_file: None,
            database_ca_file: None,
            database_connections: CONNECTIONS,
            database_statement_timeout_ms: STATEMENT_TIMEOUT_MS,
            database_acquire_timeout_ms: ACQUIRE_TIMEOUT_MS,
            migrate_database_url: None,
            migrate_database_password_file: None,
        }
    }
}

/// What is wrong with the configuration of the database. The text never holds the URL: it could hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum DbConfigError {
    /// No URL.
    #[error("{0} is not set: give PostgreSQL as postgres://user@host:5432/name")]
    Missing(&'static str),
    /// Not a URL of PostgreSQL.
    #[error("{0} is not postgres://user@host:5432/name: {1}")]
    Malformed(&'static str, String),
    /// A password in the URL would show in process lists and logs.
    #[error("{0} holds a password: put it in a file and name that file in {1}")]
    PasswordInside(&'static str, &'static str),
    /// A protected environment without verified TLS.
    #[error("{0} must use verified TLS in a protected environment: {1}")]
    Unprotected(&'static str, &'static str),
    /// A file that the configuration names.
    #[error("cannot read {what} {path}: {source}")]
    File {
        /// What the file is.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The authorities are not usable.
    #[error("{0} holds no usable PEM certificate")]
    Authorities(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Tcp(String),
    Socket(PathBuf),
}

/// One database with everything that is needed to connect to it.
#[derive(Debug, Clone)]
pub struct Target {
    place: Place,
    port: u16,
    user: String,
    name: String,
    password_file: Option<PathBuf>,
    /// `Some` means TLS, verified in full against these authorities.
    ca_file: Option<PathBuf>,
    connections: u32,
    statement_timeout: Duration,
    acquire_timeout: Duration,
    application: String,
}

impl DbConfig {
    /// The database to serve from. `protected` demands verified TLS.
    ///
    /// # Errors
    /// When the URL is missing, malformed, holds a password, or is not safe enough.
    pub fn serve_target(&self, application: &str, protected: bool) -> Result<Target, DbConfigError> {
        let url = self.database_url.as_deref();
        self.target(Names::SERVE, url, self.database_password_file.as_deref(), application, protected)
    }

    /// The same database as the user who may alter its schema.
    ///
    /// # Errors
    /// As [`DbConfig::serve_target`].
    pub fn migrate_target(&self, application: &str, protected: bool) -> Result<Target, DbConfigError> {
        let Some(url) = self.migrate_database_url.as_deref() else {
            return self.serve_target(application, protected);
        };
        let file = self.migrate_database_password_file.as_deref();
        self.target(Names::MIGRATE, Some(url), file, application, protected)
    }

    fn target(
        &self,
        names: Names,
        url: Option<&str>,
        password_file: Option<&Path>,
        application: &str,
        protected: bool,
    ) -> Result<Target, DbConfigError> {
        let malformed = |why: &str| DbConfigError::Malformed(names.url, why.to_owned());
        let url = Url::parse(url.ok_or(DbConfigError::Missing(names.url))?)
            .map_err(|e| malformed(&e.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(malformed("the scheme must be postgres"));
        }
        if url.password().is_some() {
            return Err(DbConfigError::PasswordInside(names.url, names.password_file));
        }
        let name = decoded(url.path().trim_start_matches('/'));
        if url.username().is_empty() || name.is_empty() {
            return Err(malformed("it must name a user and a database"));
        }
        let (mut place, mut disabled) = (url.host_str().filter(|h| !h.is_empty()).map(host_of), false);
        for (key, value) in url.query_pairs() {
            match (&*key, &*value) {
                ("host", folder) if folder.starts_with('/') => place = Some(Place::Socket(folder.into())),
                ("host", host) => place = Some(Place::Tcp(host.to_owned())),
                ("sslmode", "disable") => disabled = true,
                ("sslmode", "verify-full") => {}
                ("password", _) => return Err(DbConfigError::PasswordInside(names.url, names.password_file)),
                ("sslmode", _) => return Err(malformed("sslmode must be verify-full or disable")),
                _ => return Err(malformed("only `host` and `sslmode` may follow the question mark")),
            }
        }
        let place =
            place.ok_or_else(|| malformed("it must name a host, or a socket folder by ?host=/folder"))?;
        self.safe_enough(names, &place, disabled, protected)?;
        Ok(Target {
            port: url.port().unwrap_or(5432),
            user: decoded(url.username()),
            name,
            password_file: password_file.map(Path::to_owned),
            ca_file: self.database_ca_file.clone().filter(|_| !disabled && matches!(place, Place::Tcp(_))),
            place,
            connections: self.database_connections,
            statement_timeout: Duration::from_millis(self.database_statement_timeout_ms),
            acquire_timeout: Duration::from_millis(self.database_acquire_timeout_ms),
            application: application.to_owned(),
        })
    }

    /// Verified TLS, or a place from where nobody else listens, or an outspoken `sslmode=disable`.
    fn safe_enough(
        &self,
        names: Names,
        at: &Place,
        disabled: bool,
        protected: bool,
    ) -> Result<(), DbConfigError> {
        let trusted = self.database_ca_file.is_some();
        let refused = |why| Err(DbConfigError::Unprotected(names.url, why));
        match at {
            _ if !protected && disabled => Ok(()),
            Place::Socket(_) if protected => {
                refused("a Unix socket has no certificate to verify; name a host")
            }
            _ if protected && disabled => refused("take sslmode=disable out"),
            Place::Tcp(_) if protected && !trusted => refused("name its authorities in DATABASE_CA_FILE"),
            Place::Tcp(host) if !trusted && !is_loopback(host) => {
                let why = "name the authorities of its certificate in DATABASE_CA_FILE, or, where the network is yours alone, add ?sslmode=disable";
                Err(DbConfigError::Malformed(names.url, why.to_owned()))
            }
            Place::Tcp(_) | Place::Socket(_) => Ok(()),
        }
    }
}

#[derive(Clone, Copy)]
struct Names {
    url: &'static str,
    password_file: &'static str,
}

impl Names {
    const SERVE: Self = Self { url: "DATABASE_URL", password_file: "DATABASE_PASSWORD_FILE" };
    const MIGRATE: Self =
        Self { url: "MIGRATE_DATABASE_URL", password_file: "MIGRATE_DATABASE_PASSWORD_FILE" };
}

impl Target {
    /// The user of the database.
    pub fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn connections(&self) -> u32 {
        self.connections
    }

    pub(super) fn acquire_timeout(&self) -> Duration {
        self.acquire_timeout
    }

    pub(super) fn statement_timeout(&self) -> Duration {
        self.statement_timeout
    }

    /// The password as the file holds it now; one newline at its end is not part of it.
    pub(super) fn password(&self) -> Result<Option<String>, DbConfigError> {
        let Some(path) = &self.password_file else { return Ok(None) };
        let text = read_text(path).map_err(|source| file("the database password", path, source))?;
        Ok(Some(text.strip_suffix('\n').unwrap_or(&text).trim_end_matches('\r').to_owned()))
    }

    /// One connection for migrations: they may take long, but must not queue behind a reader and stop all others.
    pub(crate) async fn migrate_connection(&self) -> Result<sqlx::PgConnection, SchemaError> {
        let limits = [("statement_timeout", "0"), ("lock_timeout", "10000")];
        Ok(self.pool_options()?.options(limits).connect().await?)
    }

    /// For sqlx.
    pub(super) fn pool_options(&self) -> Result<PgConnectOptions, DbConfigError> {
        let options = PgConnectOptions::new_without_pgpass()
            .port(self.port)
            .username(&self.user)
            .database(&self.name)
            .password(self.password()?.as_deref().unwrap_or_default())
            .application_name(&self.application)
            .options(self.session_options(self.statement_timeout));
        let options = match &self.place {
            Place::Tcp(host) => options.host(host),
            Place::Socket(folder) => options.host("localhost").socket(folder),
        };
        Ok(match &self.ca_file {
            Some(ca) => options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(ca),
            None => options.ssl_mode(PgSslMode::Disable),
        })
    }

    /// For tokio-postgres; `statement_timeout` is shorter there.
    pub(super) fn hot_config(
        &self,
        statement_timeout: Duration,
    ) -> Result<tokio_postgres::Config, DbConfigError> {
        let mut config = tokio_postgres::Config::new();
        config
            .port(self.port)
            .user(&self.user)
            .dbname(&self.name)
            .application_name(format!("{} hot", self.application))
            .connect_timeout(Duration::from_secs(1))
            .keepalives_idle(Duration::from_secs(15))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(2)
            .tcp_user_timeout(Duration::from_secs(10));
        match &self.place {
            Place::Tcp(host) => config.host(host),
            Place::Socket(folder) => config.host_path(folder),
        };
        if let Some(password) = self.password()? {
            config.password(password);
        }
        config.ssl_mode(match self.ca_file {
            Some(_) => tokio_postgres::config::SslMode::Require,
            None => tokio_postgres::config::SslMode::Disable,
        });
        let options: Vec<_> = self
            .session_options(statement_timeout)
            .iter()
            .map(|(key, value)| format!("-c {key}={value}"))
            .collect();
        config.options(options.join(" "));
        Ok(config)
    }

    /// The verifier of the server's certificate. Without authorities it trusts nobody, and is not asked.
    pub(super) fn tls(&self) -> Result<MakeRustlsConnect, DbConfigError> {
        let roots = match &self.ca_file {
            None => rustls::RootCertStore::empty(),
            Some(path) => {
                let pem = read_file(path)
                    .map_err(|source| file("the authorities of the database", path, source))?;
                tls::authorities(&pem).map_err(|_| DbConfigError::Authorities(path.clone()))?
            }
        };
        Ok(MakeRustlsConnect::new(tls::trusting(roots)))
    }

    fn session_options(&self, statement_timeout: Duration) -> [(&'static str, String); 4] {
        let milliseconds = |d: Duration| d.as_millis().to_string();
        [
            ("statement_timeout", milliseconds(statement_timeout)),
            // A handler that hangs between two statements must not keep its locks.
            ("idle_in_transaction_session_timeout", milliseconds(self.statement_timeout * 2)),
            // Shorter than the statement's limit, so that "somebody holds it" can be told from "it is slow".
            ("lock_timeout", milliseconds(self.statement_timeout * 3 / 5)),
            ("TimeZone", "UTC".to_owned()),
        ]
    }
}

fn file(what: &'static str, path: &Path, source: std::io::Error) -> DbConfigError {
    DbConfigError::File { what, path: path.to_owned(), source }
}

/// A host of a URL; `%2Frun%2Fpostgresql` is the folder of a socket.
fn host_of(host: &str) -> Place {
    let host = decoded(host);
    match host.strip_prefix('/') {
        Some(_) => Place::Socket(host.into()),
        None => Place::Tcp(host.trim_matches(['[', ']']).to_owned()),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Percent-decoded, as parts of a URL come encoded.
pub(crate) fn decoded(part: &str) -> String {
    let pair = format!("x={}", part.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
