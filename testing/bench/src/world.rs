//! What every case stands on: one PostgreSQL of the bench's own, a database for ours and one for the peers, seeded
//! alike, and the files that the generators read. Measures nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use shop_devstack::component::Report;
use shop_devstack::postgres::{Binaries, Postgres, PostgresSpec, quoted};
use shop_devstack::state::{Lock, StateDir};
use shop_testbed::Bed;

use crate::ours::Tokens;
use crate::pin::Layout;

pub(crate) const OURS: &str = "bench_user_management";
pub(crate) const PEERS: &str = "bench_peers";
/// The password of every seeded account.
pub(crate) const PASSWORD: &str = "violet otters read 9 lamps";
/// How long a run waits for the end of another one.
const PATIENCE_FOR_OTHERS: Duration = Duration::from_secs(600);
const SEED_OURS: &str = include_str!("../sql/seed-users.sql");
const SCHEMA_PEERS: &str = include_str!("../../peers/schema.sql");

/// How much is seeded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Accounts, in ours and in the peers' database.
    pub(crate) users: u32,
    /// Accounts that are signed in and asked for.
    pub(crate) sessions: u32,
}

/// The ground that is shared by all.
pub(crate) struct World {
    pub(crate) postgres: Postgres,
    pub(crate) pgbench: PathBuf,
    pub(crate) size: Size,
    pub(crate) layout: Layout,
    /// Whether servers reach PostgreSQL over its Unix socket.
    pub(crate) socket: bool,
    /// Files of this run; removed with it.
    scratch: tempfile::TempDir,
    /// Two runs at once would measure each other.
    _alone: Lock,
}

/// Where everything is kept that outlives a run: the data folder of PostgreSQL and what the peers are built to.
pub(crate) fn cache() -> Result<PathBuf> {
    Ok(Bed::from_env()?.folder("bench"))
}

impl World {
    /// Starts PostgreSQL, durable and with its own data folder, and makes both databases anew and empty.
    pub(crate) async fn start(size: Size, layout: Layout, socket: bool) -> Result<Self> {
        let alone = StateDir::open(cache()?)?.lock("run.lock", PATIENCE_FOR_OTHERS).await?;
        let mut spec = PostgresSpec::new(cache()?.join("postgres"));
        spec.settings.push(("shared_buffers".to_owned(), "256MB".to_owned()));
        let postgres = Postgres::start(&spec, &Report::silent()).await?;
        let pid = postgres.proc().pid;
        layout.servers().apply(pid).await?;
        let admin = postgres.connect("postgres").await?;
        for database in [OURS, PEERS] {
            admin
                .batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(database)))
                .await?;
            admin.batch_execute(&format!("CREATE DATABASE {}", quoted(database))).await?;
        }
        let pgbench = Binaries::find(None)?.program("pgbench");
        let scratch = tempfile::Builder::new().prefix("shop-bench-").tempdir()?;
        Ok(Self { postgres, pgbench, size, layout, socket, scratch, _alone: alone })
    }

    /// Fills the service's database, which it has migrated.
    pub(crate) async fn seed_ours(&self) -> Result<()> {
        let settings = [
            ("bench.users", self.size.users.to_string()),
            ("bench.sessions", self.size.sessions.to_string()),
            ("bench.password_hash", password_hash()?),
        ];
        self.run_script(OURS, SEED_OURS, &settings).await.context("seeding user-management")
    }

    /// Makes and fills the peers' tables.
    pub(crate) async fn seed_peers(&self) -> Result<()> {
        let settings =
            [("peers.users", self.size.users.to_string()), ("peers.password_hash", password_hash()?)];
        self.run_script(PEERS, SCHEMA_PEERS, &settings).await.context("seeding the peers")
    }

    async fn run_script(&self, database: &str, script: &str, settings: &[(&str, String)]) -> Result<()> {
        let client = self.postgres.connect(database).await?;
        for (name, value) in settings {
            client.query("SELECT set_config($1, $2, false)", &[name, value]).await?;
        }
        client.batch_execute(script).await?;
        // Nothing of the seeding may be written out during a measurement.
        client.batch_execute("CHECKPOINT").await?;
        Ok(())
    }

    /// The address of a database, without password.
    pub(crate) fn url(&self, database: &str) -> String {
        match self.postgres.sockets().filter(|_| self.socket) {
            Some(dir) => {
                let port = self.postgres.port();
                format!("postgres://postgres@/{database}?host={}&port={port}", dir.display())
            }
            None => self.postgres.url(database),
        }
    }

    /// The address of a database with the password in it, as the peers want it.
    pub(crate) fn url_with_password(&self, database: &str) -> String {
        self.url(database).replacen("postgres@", &format!("postgres:{}@", self.password()), 1)
    }

    /// What the server calls itself.
    pub(crate) async fn postgres_version(&self) -> Result<String> {
        let row = self.postgres.connect("postgres").await?.query_one("SHOW server_version", &[]).await?;
        let version: String = row.try_get(0)?;
        Ok(version.split(' ').next().unwrap_or_default().to_owned())
    }

    /// The superuser's password: of a server that lives on loopback and holds nothing but made-up rows.
    pub(crate) fn password(&self) -> &str {
        self.postgres.password().expose_secret()
    }

    /// Writes a file of this run.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.scratch.path().join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A folder of this run.
    pub(crate) fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// A request file (see `wrk/requests.lua`) of `GET path`, each signed in as another account.
    pub(crate) fn signed_requests(
        &self,
        name: &str,
        path: &str,
        tokens: &Tokens,
        count: u32,
    ) -> Result<PathBuf> {
        let mut text = String::new();
        for n in 0..count {
            let account = n % self.size.sessions + 1;
            writeln!(text, "GET\t{path}\t{}\t{}\t", tokens.sign(account)?, client_address(account))?;
        }
        self.file(name, &text)
    }

    /// A request file of `GET path`, signed in as nobody, from as many addresses as there are accounts signed in.
    pub(crate) fn unsigned_requests(&self, name: &str, path: &str) -> Result<PathBuf> {
        let lines = (1..=self.size.sessions).map(|n| format!("GET\t{path}\t\t{}\t\n", client_address(n)));
        self.file(name, &lines.collect::<String>())
    }

    /// A request file of the peers' `GET /users/{id}`, for as many accounts as ours are asked for.
    pub(crate) fn point_reads(&self, name: &str) -> Result<PathBuf> {
        let accounts = 1..=self.size.sessions;
        let lines = accounts.map(|n| format!("GET\t/users/{}\t\t\t\n", uuid::Uuid::from_u128(n.into())));
        self.file(name, &lines.collect::<String>())
    }

    /// A request file of registrations, each of a new account from its own address.
    pub(crate) fn registrations(&self, name: &str, path: &str) -> Result<PathBuf> {
        let mut text = String::new();
        for n in 1..=self.size.sessions {
            let body = serde_json::json!({ "email": format!("new{n}@bench.example"), "password": PASSWORD });
            writeln!(text, "POST\t{path}\t\t{}\t{body}", client_address(n))?;
        }
        self.file(name, &text)
    }

    /// A request file of log-ins, each of another account from its own address.
    pub(crate) fn log_ins(&self, name: &str, path: &str) -> Result<PathBuf> {
        let mut text = String::new();
        for account in 1..=self.size.sessions {
            let body = serde_json::json!({ "email": email(account), "password": PASSWORD });
            writeln!(text, "POST\t{path}\t\t{}\t{body}", client_address(account))?;
        }
        self.file(name, &text)
    }
}

/// The e-mail of a seeded account.
pub(crate) fn email(account: u32) -> String {
    format!("user{account}@bench.example")
}

/// Every account calls from an address of its own, as it would behind an ingress: what limits a client limits each of
/// them, and not all of them together.
pub(crate) fn client_address(account: u32) -> String {
    let [_, a, b, c] = account.to_be_bytes();
    format!("10.{a}.{b}.{c}")
}

/// A PHC string of [`PASSWORD`] at the service's parameters.
fn password_hash() -> Result<String> {
    use argon2::PasswordHasher as _;
    let argon2 = argon2::Argon2::from(crate::limit::PARAMS);
    let hash = argon2.hash_password_with_salt(PASSWORD.as_bytes(), b"bench-bench-salt");
    Ok(hash.map_err(|error| anyhow::anyhow!("cannot hash: {error}"))?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_account_has_its_own_address() {
        assert_eq!(client_address(1), "10.0.0.1");
        assert_eq!(client_address(100_000), "10.1.134.160");
    }

    #[test]
    fn the_seeded_hash_has_the_parameters_of_the_service() {
        assert!(password_hash().unwrap().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }
}
