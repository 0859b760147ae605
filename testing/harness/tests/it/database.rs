//! Fresh databases from templates.

use shop_kit::db::Database;
use shop_kit::schema::Schema;
use shop_test::{PrivatePostgres, TestDb};
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

fn schema(sql: &'static str) -> Schema {
    let migration = Migration::new(1, "t".into(), MigrationType::Simple, sql.into_sql_str(), false);
    let migrator = Box::leak(Box::new(Migrator::with_migrations(vec![migration])));
    Schema { migrator, oldest_compatible: 1 }
}

async fn count(db: &TestDb, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db.pool()).await.unwrap()
}

#[tokio::test]
async fn each_test_has_its_own_rows_and_takes_them_along() {
    let schema = schema("create table t (n int); insert into t values (1)");
    let (one, two) = tokio::join!(TestDb::new(schema), TestDb::new(schema));
    sqlx::query("insert into t values (2)").execute(one.pool()).await.unwrap();
    assert_eq!(count(&one, "select count(*) from t").await, 2);
    assert_eq!(count(&two, "select count(*) from t").await, 1);
    assert_eq!(count(&two, "select count(*) from kit.schema_compat").await, 2);

    let server = one.server().clone();
    let name = one.name().to_owned();
    drop(one);
    let client = server.connect().await.unwrap();
    let there = |name: String| {
        let client = &client;
        async move { client.query_opt("select 1 from pg_database where datname = $1", &[&name]).await.unwrap() }
    };
    assert!(there(name).await.is_none());
    assert!(there(two.name().to_owned()).await.is_some());
}

#[tokio::test]
async fn another_migration_is_another_template() {
    // Same version and name: only the text differs, as while somebody writes it.
    let first = TestDb::new(schema("create table first (n int)")).await;
    let second = TestDb::new(schema("create table second (n int)")).await;
    assert_eq!(count(&first, "select count(*) from first").await, 0);
    assert_eq!(count(&second, "select count(*) from second").await, 0);
    assert!(sqlx::query("select * from first").execute(second.pool()).await.is_err());
}

#[tokio::test]
async fn a_service_is_told_of_it_without_the_password() {
    let db = TestDb::empty().await;
    let password = std::fs::read_to_string(db.password_file()).unwrap();
    assert!(!password.is_empty() && !db.url().as_str().contains(&password));
    assert!(db.url_with_password().as_str().contains(&password));
    let database = Database::connect(&db.target()).unwrap();
    database.connected().await;
    let name: String =
        sqlx::query_scalar("select current_database()").fetch_one(&database.pool).await.unwrap();
    assert_eq!(name, db.name());
}

#[tokio::test]
async fn a_server_of_its_own_may_be_killed() {
    let mut postgres = PrivatePostgres::start().await.unwrap();
    let db = TestDb::on(postgres.server(), schema("create table t (n int)")).await;
    assert_eq!(count(&db, "select count(*) from t").await, 0);
    postgres.kill().await.unwrap();
    assert!(postgres.server().connect().await.is_err());
    postgres.restart().await.unwrap();
    assert_eq!(count(&db, "select count(*) from t").await, 0);
}
