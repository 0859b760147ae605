//! TLS to PostgreSQL, verified in full by both drivers.

use std::path::PathBuf;
use std::time::Duration;

use shop_kit::db::{Database, DbConfig, DbError};
use shop_testbed::PrivatePostgres;

use super::{Authority, authority, issue};
use crate::data::{Fresh, PATIENCE, until, within};

/// Gives the server a certificate for `name` and turns TLS on. The server writes the files itself: they must belong to
/// the account that it runs under.
async fn certify(fresh: &Fresh, authority: &Authority, name: &str) {
    let (certificate, key) = issue(authority, name);
    let mut connection = fresh.connection().await;
    for (file, pem) in [("server.crt", certificate), ("server.key", key)] {
        let rows = pem.lines().map(|line| format!("('{line}')")).collect::<Vec<_>>().join(",");
        let write = format!("COPY (VALUES {rows}) TO PROGRAM 'umask 077; cat > {file}'");
        sqlx::query(sqlx::AssertSqlSafe(write)).execute(&mut connection).await.unwrap();
    }
    sqlx::query("ALTER SYSTEM SET ssl = on").execute(&mut connection).await.unwrap();
    sqlx::query("SELECT pg_reload_conf()").execute(&mut connection).await.unwrap();
}

struct Encrypted {
    authority: Authority,
    fresh: Fresh,
    folder: tempfile::TempDir,
    _postgres: PrivatePostgres,
}

impl Encrypted {
    async fn start() -> Self {
        let postgres = PrivatePostgres::start().await.unwrap();
        let fresh = Fresh::on(postgres.server()).await;
        let authority = authority();
        certify(&fresh, &authority, "localhost").await;
        Self { authority, fresh, folder: tempfile::tempdir().unwrap(), _postgres: postgres }
    }

    fn config(&self, host: &str, trusted: &Authority) -> DbConfig {
        let file: PathBuf = self.folder.path().join("ca.pem");
        std::fs::write(&file, trusted.pem()).unwrap();
        let config = self.fresh.config();
        let url = config.database_url.clone().unwrap().replace("127.0.0.1", host);
        let acquire = DbConfig::default().database_acquire_timeout_ms;
        DbConfig {
            database_url: Some(url),
            database_ca_file: Some(file),
            database_acquire_timeout_ms: acquire,
            ..config
        }
    }

    fn connect(&self, host: &str, trusted: &Authority) -> Database {
        Database::connect(&self.config(host, trusted).serve_target("kit-test", true).unwrap()).unwrap()
    }
}

/// Neither driver gets in. They try on for ever, so a bounded look is all there can be.
async fn nobody_gets_in(database: &Database) {
    for _ in 0..3 {
        assert!(sqlx::query("SELECT 1").execute(&database.pool).await.is_err());
    }
    assert!(tokio::time::timeout(Duration::from_millis(500), database.hot.connected()).await.is_err());
    assert!(matches!(database.hot.query_opt("SELECT 1", &[]).await, Err(DbError::Unavailable(_))));
}

#[tokio::test]
async fn the_right_authority_and_name_are_trusted_and_no_others() {
    let server = Encrypted::start().await;
    // The reload takes a moment to reach new connections.
    let database = server.connect("localhost", &server.authority);
    within(PATIENCE, database.connected()).await;
    let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert!(sqlx::query_scalar::<_, bool>(encrypted).fetch_one(&database.pool).await.unwrap());
    let row = database.hot.query_opt(encrypted, &[]).await.unwrap().unwrap();
    assert!(row.get::<_, bool>(0));

    // The certificate names localhost only.
    nobody_gets_in(&server.connect("127.0.0.1", &server.authority)).await;
    let stranger = authority();
    nobody_gets_in(&server.connect("localhost", &stranger)).await;

    // An authority that is replaced is found: both read the file when they connect.
    certify(&server.fresh, &stranger, "localhost").await;
    std::fs::write(server.folder.path().join("ca.pem"), stranger.pem()).unwrap();
    let cut =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'kit-test%'";
    sqlx::query(cut).execute(&mut server.fresh.connection().await).await.unwrap();
    until(PATIENCE, async || {
        let hot = database.hot.query_opt("SELECT 1", &[]).await.is_ok();
        hot && sqlx::query("SELECT 1").execute(&database.pool).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let postgres = PrivatePostgres::start().await.unwrap();
    let fresh = Fresh::on(postgres.server()).await;
    let authority = authority();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let config = DbConfig { database_ca_file: Some(folder.path().join("ca.pem")), ..fresh.config() };
    let database = Database::connect(&config.serve_target("kit-test", true).unwrap()).unwrap();
    nobody_gets_in(&database).await;
}
