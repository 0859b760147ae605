//! Point reads over shared connections: together, bounded, and unharmed by each other.

use std::time::{Duration, Instant};

use shop_kit::db::{Database, DbConfig, DbError};
use sqlx::Executor;

use super::{Fresh, PATIENCE, database, until, within};

async fn number(database: &Database, n: i32) -> Result<i32, DbError> {
    Ok(database.hot.query_opt("SELECT $1::int4 + 1", &[&n]).await?.unwrap().get(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_share_two_connections_and_get_their_own_answers() {
    let fresh = Fresh::empty().await;
    let database = fresh.database().await;
    let readers: Vec<_> = (0..64)
        .map(|reader| {
            let database = database.clone();
            tokio::spawn(async move {
                for n in 0..50 {
                    assert_eq!(number(&database, reader * 1000 + n).await.unwrap(), reader * 1000 + n + 1);
                }
            })
        })
        .collect();
    for reader in readers {
        reader.await.unwrap();
    }
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kit-test hot'
                    AND datname = current_database()";
    let sessions: i64 = sqlx::query_scalar(sessions).fetch_one(&database.pool).await.unwrap();
    assert_eq!(sessions, 2);
}

#[tokio::test]
async fn a_statement_is_prepared_once_on_each_connection() {
    let fresh = Fresh::empty().await;
    let database = fresh.database().await;
    for n in 0..20 {
        number(&database, n).await.unwrap();
    }
    let prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1::int4%'";
    for _ in 0..2 {
        let row = database.hot.query_opt(prepared, &[]).await.unwrap().unwrap();
        assert_eq!(row.get::<_, i64>(0), 1);
    }
}

#[tokio::test]
async fn none_and_many_rows_are_told_apart() {
    let fresh = Fresh::empty().await;
    let database = fresh.database().await;
    assert!(database.hot.query_opt("SELECT 1 WHERE false", &[]).await.unwrap().is_none());
    assert_eq!(database.hot.query("SELECT generate_series(1, 3)", &[]).await.unwrap().len(), 3);
    let two = database.hot.query_opt("SELECT generate_series(1, 2)", &[]).await;
    assert!(matches!(two, Err(DbError::Ambiguous)), "{two:?}");
    let wrong = database.hot.query_opt("SELECT no_such_column", &[]).await;
    assert!(matches!(wrong, Err(DbError::Refused(_))), "{wrong:?}");
}

#[tokio::test]
async fn a_slow_read_ends_and_the_connection_lives_on() {
    let fresh = Fresh::empty().await;
    let config = DbConfig { database_statement_timeout_ms: 300, ..fresh.config() };
    let database = database(&config).await;
    let pid = "SELECT pg_backend_pid()";
    let mut before = vec![];
    for _ in 0..2 {
        before.push(database.hot.query_opt(pid, &[]).await.unwrap().unwrap().get::<_, i32>(0));
    }
    let began = Instant::now();
    let slow = database.hot.query_opt("SELECT 1 FROM pg_sleep(30)", &[]).await;
    assert!(matches!(slow, Err(DbError::Deadline)), "{slow:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    for _ in 0..4 {
        let pid = database.hot.query_opt(pid, &[]).await.unwrap().unwrap().get::<_, i32>(0);
        assert!(before.contains(&pid), "it reconnected");
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_takes_nobody_along() {
    let fresh = Fresh::empty().await;
    let database = fresh.database().await;
    for _ in 0..20 {
        let gone = database.hot.query_opt("SELECT 1 FROM pg_sleep(0.05)", &[]);
        assert!(tokio::time::timeout(Duration::from_millis(1), gone).await.is_err());
        assert_eq!(within(PATIENCE, number(&database, 7)).await.unwrap(), 8);
    }
}

#[tokio::test]
async fn one_broken_connection_is_not_noticed() {
    let fresh = Fresh::empty().await;
    let database = fresh.database().await;
    let mut broken = 0;
    for n in 0..200 {
        if n % 40 == 20 {
            let row = database.hot.query_opt("SELECT pg_backend_pid()", &[]).await.unwrap().unwrap();
            let pid: i32 = row.get(0);
            sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&database.pool).await.unwrap();
            broken += 1;
        }
        assert_eq!(number(&database, n).await.unwrap(), n + 1, "after {broken} broken ones");
        if n % 40 == 39 {
            both_stand(&database).await;
        }
    }
    assert_eq!(broken, 5);
}

/// Waits until reads go over two connections again.
async fn both_stand(database: &Database) {
    until(PATIENCE, async || {
        let first =
            database.hot.query_opt("SELECT pg_backend_pid()", &[]).await.unwrap().unwrap().get::<_, i32>(0);
        let second =
            database.hot.query_opt("SELECT pg_backend_pid()", &[]).await.unwrap().unwrap().get::<_, i32>(0);
        first != second
    })
    .await;
}

#[tokio::test]
async fn connections_that_stop_answering_are_given_up() {
    let fresh = Fresh::empty().await;
    let config = DbConfig { database_statement_timeout_ms: 300, ..fresh.config() };
    let database = database(&config).await;
    both_stand(&database).await;
    let stopped: Vec<i32> =
        sqlx::query_scalar("SELECT pid FROM pg_stat_activity WHERE application_name = 'kit-test hot' AND datname = current_database()")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    let signal = |signal| {
        for pid in &stopped {
            rustix::process::kill_process(rustix::process::Pid::from_raw(*pid).unwrap(), signal).unwrap();
        }
    };
    signal(rustix::process::Signal::STOP);
    until(PATIENCE, async || {
        let began = Instant::now();
        let answer = number(&database, 1).await;
        assert!(began.elapsed() < Duration::from_secs(15), "a read hung for {:?}", began.elapsed());
        answer.is_ok()
    })
    .await;
    signal(rustix::process::Signal::CONT);
}

#[tokio::test]
async fn a_unix_socket_will_do_for_both() {
    let fresh = Fresh::empty().await;
    let mut connection = fresh.connection().await;
    // The setting is a list of names, which may stand in quotes.
    let first = "SELECT trim('\"' FROM split_part(current_setting('unix_socket_directories'), ',', 1))";
    let folder: String = sqlx::query_scalar(first).fetch_one(&mut connection).await.unwrap();
    let port: String =
        sqlx::query_scalar("SELECT current_setting('port')").fetch_one(&mut connection).await.unwrap();
    let user: String =
        sqlx::query_scalar("SELECT current_user::text").fetch_one(&mut connection).await.unwrap();
    assert!(folder.starts_with('/'), "the testbed's server has no socket");
    // The folder stands in the URL as a host would, so that a port can follow it.
    let host = folder.replace('/', "%2F");
    let url = format!("postgres://{user}@{host}:{port}/{}", fresh.name);
    let database = database(&DbConfig { database_url: Some(url), ..fresh.config() }).await;
    let peer = "SELECT coalesce(host(inet_client_addr()), 'socket')";
    let row = database.hot.query_opt(peer, &[]).await.unwrap().unwrap();
    assert_eq!(row.get::<_, String>(0), "socket");
    let pooled: String = sqlx::query_scalar(peer).fetch_one(&database.pool).await.unwrap();
    assert_eq!(pooled, "socket");
}

#[tokio::test]
async fn a_changed_password_is_found() {
    let fresh = Fresh::empty().await;
    let mut admin = fresh.connection().await;
    let role = format!("role_{}", fresh.name);
    admin.execute(sqlx::AssertSqlSafe(format!("CREATE ROLE {role} LOGIN PASSWORD 'first'"))).await.unwrap();
    std::fs::write(fresh.password_file(), "first\n").unwrap();
    let url = fresh.config().database_url.unwrap();
    let (_, place) = url.split_once('@').unwrap();
    let config = DbConfig { database_url: Some(format!("postgres://{role}@{place}")), ..fresh.config() };
    let database = database(&config).await;

    let change = format!("ALTER ROLE {role} PASSWORD 'second'");
    admin.execute(sqlx::AssertSqlSafe(change)).await.unwrap();
    std::fs::write(fresh.password_file(), "second\n").unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
    sqlx::query(cut).bind(&role).execute(&mut admin).await.unwrap();
    until(PATIENCE, async || {
        sqlx::query("SELECT 1").execute(&database.pool).await.is_ok() && number(&database, 1).await.is_ok()
    })
    .await;
    database.close().await;
    drop(database);
    sqlx::query(cut).bind(&role).execute(&mut admin).await.unwrap();
    admin.execute(sqlx::AssertSqlSafe(format!("DROP ROLE {role}"))).await.unwrap();
}
