//! A database for one test: a copy of a template that has the service's schema, dropped with the value.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use shop_kit::db::{DbConfig, Target};
use shop_kit::schema::Schema;
use shop_testbed::Server;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tempfile::NamedTempFile;
use url::Url;

use crate::template;

/// Tests run side by side on one server with 300 connections.
const CONNECTIONS: u32 = 5;

/// A fresh database. Dropping it drops the database, whoever is connected.
#[derive(Debug)]
pub struct TestDb {
    server: Server,
    name: String,
    pool: PgPool,
    password: NamedTempFile,
}

impl TestDb {
    /// A database with this schema on the testbed's server, which is started when it is not up.
    pub async fn new(schema: Schema) -> Self {
        let server = shop_testbed::postgres().await.unwrap_or_else(|error| panic!("{error}"));
        Self::on(server, schema).await
    }

    /// As [`Self::new`] on a server of the test's own, which it may kill.
    pub async fn on(server: Server, schema: Schema) -> Self {
        let template = template::ready(&server, schema).await;
        let name = template::copy(&server, &template).await;
        Self::open(server, name)
    }

    /// An empty database, for tests of migrations.
    pub async fn empty() -> Self {
        let server = shop_testbed::postgres().await.unwrap_or_else(|error| panic!("{error}"));
        let name = server.create("db").await.unwrap_or_else(|error| panic!("{error}"));
        Self::open(server, name)
    }

    fn open(server: Server, name: String) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(Duration::from_secs(10))
            .connect_lazy(server.url(&name).as_str())
            .expect("the testbed's URL is one of PostgreSQL");
        let password = NamedTempFile::new().expect("a temporary file");
        std::fs::write(password.path(), server.password().unwrap_or_default()).expect("a temporary file");
        std::fs::set_permissions(password.path(), std::fs::Permissions::from_mode(0o600))
            .expect("our own file");
        Self { server, name, pool, password }
    }

    /// A pool of its own, for looking into the database beside the service.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server it lies on.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Its address with the password inside.
    pub fn url_with_password(&self) -> Url {
        self.server.url(&self.name)
    }

    /// Its address as services take it: without the password.
    pub fn url(&self) -> Url {
        let mut url = self.server.url(&self.name);
        url.set_password(None).expect("a URL with a host takes a password");
        url
    }

    /// The file with the password.
    pub fn password_file(&self) -> &Path {
        self.password.path()
    }

    /// What a service is told of it.
    pub fn config(&self) -> DbConfig {
        DbConfig {
            database_url: Some(self.url().to_string()),
            database_password_file: Some(self.password_file().to_owned()),
            database_connections: CONNECTIONS,
            database_statement_timeout_ms: 5_000,
            ..DbConfig::default()
        }
    }

    /// The same, read by the kit.
    pub fn target(&self) -> Target {
        let target = self.config().serve_target("test", false);
        target.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same as variables of a service's environment.
    pub fn env(&self) -> [(&'static str, String); 2] {
        [
            ("DATABASE_URL", self.url().to_string()),
            ("DATABASE_PASSWORD_FILE", self.password_file().display().to_string()),
        ]
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        // A thread with a runtime of its own, since this may run on one, which must not be blocked on. It is waited for:
        // a test binary that ends would cut it off. What is left all the same is swept by a later run.
        let (server, name) = (self.server.clone(), self.name.clone());
        let drop = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { server.drop(&name).await.map_err(std::io::Error::other) })
        };
        let _left_to_the_sweeper = std::thread::spawn(drop).join();
    }
}
