//! What the tests of the data side share: a fresh database each, and waiting for a condition.

mod configuration;
mod consumers;
mod etag;
mod hot;
mod idempotency;
mod mail;
mod outage;
mod outbox;
mod page;
mod relay;
mod schema;
mod tls;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use shop_kit::db::{Database, DbConfig};
use shop_kit::schema::{Schema, migrate_on};
use shop_testbed::Server;
use sqlx::migrate::Migrator;
use sqlx::{ConnectOptions, PgConnection};
use tempfile::TempDir;

/// How long a condition is waited for. Generous: other builds and tests may be keeping the machine busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A service without tables of its own.
pub(crate) static NOTHING: Migrator = Migrator::DEFAULT;

/// Its schema.
pub(crate) const KIT_ONLY: Schema = Schema { migrator: &NOTHING, oldest_compatible: 0 };

/// A database of one test, dropped with it.
pub(crate) struct Fresh {
    server: Server,
    pub(crate) name: String,
    folder: TempDir,
}

impl Fresh {
    /// An empty one.
    pub(crate) async fn empty() -> Self {
        Self::on(shop_testbed::postgres().await.unwrap()).await
    }

    /// One with kit's tables.
    pub(crate) async fn migrated() -> Self {
        let fresh = Self::empty().await;
        migrate_on(&mut fresh.connection().await, KIT_ONLY).await.unwrap();
        fresh
    }

    /// An empty one on a server of the test's own.
    pub(crate) async fn on(server: Server) -> Self {
        let name = server.create("kit").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), server.password().unwrap_or_default()).unwrap();
        Self { server, name, folder }
    }

    /// A bare connection of the user who made the database.
    pub(crate) async fn connection(&self) -> PgConnection {
        let url = self.server.url(&self.name);
        sqlx::postgres::PgConnectOptions::new_without_pgpass()
            .host(url.host_str().unwrap())
            .port(url.port().unwrap_or(5432))
            .username(url.username())
            .password(url.password().unwrap_or_default())
            .database(&self.name)
            .connect()
            .await
            .unwrap()
    }

    pub(crate) fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    /// The configuration of a service on it.
    pub(crate) fn config(&self) -> DbConfig {
        let mut url = self.server.url(&self.name);
        url.set_password(None).unwrap();
        DbConfig {
            database_url: Some(url.into()),
            database_password_file: Some(self.password_file()),
            // A busy machine is no reason to fail.
            database_acquire_timeout_ms: 20_000,
            ..DbConfig::default()
        }
    }

    pub(crate) async fn database(&self) -> Database {
        database(&self.config()).await
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), std::mem::take(&mut self.name));
        // A test's own runtime may be ending just now.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // A server that the test has stopped takes its databases with it.
            let _gone = runtime.block_on(server.drop(&name));
        });
        dropped.join().unwrap();
    }
}

pub(crate) async fn database(config: &DbConfig) -> Database {
    let database = Database::connect(&config.serve_target("kit-test", false).unwrap()).unwrap();
    within(PATIENCE, database.connected()).await;
    database
}

/// The future's value, or a failed test after `limit`.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, future).await.expect("it took too long")
}

/// Asks until the answer is yes. Answers how long that took.
pub(crate) async fn until(limit: Duration, mut ask: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !ask().await {
        assert!(began.elapsed() < limit, "it did not come true within {limit:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}
