//! Databases of tests, and the server of one test.

use shop_testbed::process::Proc;
use shop_testbed::{PREFIX, PrivatePostgres, parts, up};

use super::Cache;

#[tokio::test]
async fn a_scratch_database_has_the_migrations_in_order() {
    let cache = Cache::new();
    let folder = cache.0.path().join("migrations");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("0002_rows.sql"), "insert into t values (1); insert into t values (2);")
        .unwrap();
    std::fs::write(folder.join("0001_table.sql"), "create table t (n int);").unwrap();
    std::fs::write(folder.join("README.md"), "not a migration").unwrap();
    let folder = folder.to_str().unwrap();
    let output = cache.program(&["scratch", "--migrations", folder]).assert().success();
    let made: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let (client, connection) =
        tokio_postgres::connect(made["url"].as_str().unwrap(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let count: i64 = client.query_one("select count(*) from t", &[]).await.unwrap().get(0);
    assert_eq!(count, 2);

    cache.program(&["drop", made["database"].as_str().unwrap()]).assert().success();
    assert!(client.simple_query("select 1").await.is_err());
}

#[tokio::test]
async fn a_broken_migration_is_named_and_its_database_goes() {
    let cache = Cache::new();
    let folder = cache.0.path().join("migrations");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("0001_broken.sql"), "create table t (n nonsense);").unwrap();
    let output = cache.program(&["scratch", "--migrations", folder.to_str().unwrap()]).assert().failure();
    let text = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(text.contains("0001_broken.sql") && text.contains("nonsense"), "{text}");

    up(&parts::Postgres, &cache.bed()).await.unwrap();
    let output = cache.program(&["up", "postgres", "--output", "json"]).assert().success();
    let up: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let password = std::fs::read_to_string(up[0]["secret_file"].as_str().unwrap()).unwrap();
    let url = up[0]["url"].as_str().unwrap().replace("postgres@", &format!("postgres:{password}@"));
    let server = shop_testbed::Server::new(url.parse().unwrap());
    let client = server.connect().await.unwrap();
    let left: i64 = client
        .query_one("select count(*) from pg_database where starts_with(datname, $1)", &[&PREFIX])
        .await
        .unwrap()
        .get(0);
    assert_eq!(left, 0);
    assert!(server.drop("postgres").await.unwrap_err().to_string().contains("will not touch"));
}

#[tokio::test]
async fn a_private_server_is_killed_and_comes_back_with_its_data() {
    let mut postgres = PrivatePostgres::start().await.unwrap();
    let server = postgres.server();
    let database = server.create("kept").await.unwrap();
    for kill in [true, false] {
        if kill {
            postgres.kill().await.unwrap();
        } else {
            postgres.stop().await.unwrap();
        }
        assert!(server.connect().await.is_err());
        postgres.restart().await.unwrap();
        let url = server.url(&database);
        let _connection = tokio_postgres::connect(url.as_str(), tokio_postgres::NoTls).await.unwrap();
    }
    drop(postgres);
    assert!(server.connect().await.is_err());
}

#[tokio::test]
async fn data_of_a_postgresql_that_is_gone_is_made_anew() {
    let cache = Cache::new();
    let bed = cache.bed();
    up(&parts::Postgres, &bed).await.unwrap();
    shop_testbed::down(&parts::Postgres, &bed).await.unwrap();
    std::fs::write(bed.folder("postgres").join("data/PG_VERSION"), "9\n").unwrap();
    up(&parts::Postgres, &bed).await.unwrap();
    let version = std::fs::read_to_string(bed.folder("postgres").join("data/PG_VERSION")).unwrap();
    assert_ne!(version, "9\n");
}

/// The body of the next test's victim: run with `--exact` in a process that is killed while it holds its server.
#[tokio::test]
async fn holds_a_private_server_until_it_is_killed() {
    if std::env::var_os("HOLD").is_none() {
        return;
    }
    let _postgres = PrivatePostgres::start().await.unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn the_server_of_a_killed_test_is_swept() {
    let cache = Cache::new();
    let folder = cache.servers().join("private");
    let mut victim = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "databases::holds_a_private_server_until_it_is_killed"])
        .env("HOLD", "1")
        .env("SHOP_CACHE", cache.path())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let server = async {
        loop {
            let dirs = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let pid_files = dirs.map(|dir| dir.path().join("postgres/data/postmaster.pid"));
            let text =
                pid_files.filter_map(|file| std::fs::read_to_string(file).ok()).next().unwrap_or_default();
            if text.contains("ready") {
                return Proc::of(text.lines().next().unwrap().parse().unwrap()).unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let server = tokio::time::timeout(std::time::Duration::from_secs(60), server).await.unwrap();
    cache.program(&["down"]).assert().success();
    assert!(server.is_alive(), "it was taken from a test that still runs");
    victim.kill().await.unwrap();
    cache.program(&["down"]).assert().success();
    assert!(!server.is_alive());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}
