//! Which programs may live on which schema.

use std::borrow::Cow;

use shop_kit::boot::BootError;
use shop_kit::db::DbConfig;
use shop_kit::schema::{Migrated, Schema, SchemaError, check, migrate, migrate_on};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Executor, SqlSafeStr};

use super::{Fresh, KIT_ONLY};

/// A service whose schema has so many versions.
fn service(versions: i64, oldest_compatible: i64) -> Schema {
    let migrations = (1..=versions).map(|version| {
        let sql = match version {
            1 => "CREATE TABLE things (id int PRIMARY KEY)",
            2 => "ALTER TABLE things ADD COLUMN name text",
            3 => "ALTER TABLE things ADD COLUMN price bigint",
            _ => "SELECT 1",
        };
        Migration::new(version, Cow::Borrowed("step"), MigrationType::Simple, sql.into_sql_str(), false)
    });
    // Leaked: a service has its migrations for ever, a test for a moment.
    Schema {
        migrator: Box::leak(Box::new(Migrator::with_migrations(migrations.collect()))),
        oldest_compatible,
    }
}

#[tokio::test]
async fn migrating_is_repeatable_and_says_what_it_did() {
    let fresh = Fresh::empty().await;
    let mut connection = fresh.connection().await;
    assert_eq!(migrate_on(&mut connection, service(2, 1)).await.unwrap(), Migrated { from: 0, to: 2 });
    assert_eq!(migrate_on(&mut connection, service(2, 1)).await.unwrap(), Migrated { from: 2, to: 2 });
    assert_eq!(migrate_on(&mut connection, service(3, 2)).await.unwrap(), Migrated { from: 2, to: 3 });
    connection.execute("INSERT INTO things VALUES (1, 'a', 5)").await.unwrap();
}

#[tokio::test]
async fn an_old_program_lives_on_a_newer_schema_that_bears_it() {
    let fresh = Fresh::empty().await;
    let mut connection = fresh.connection().await;
    migrate_on(&mut connection, service(3, 2)).await.unwrap();
    let pool = fresh.database().await.pool;
    check(&pool, service(3, 2)).await.unwrap();
    check(&pool, service(2, 1)).await.unwrap();
    let migrated = migrate_on(&mut connection, service(2, 1)).await.unwrap();
    assert_eq!(migrated, Migrated { from: 3, to: 3 });
    // Its own record did not take the newer one's place.
    check(&pool, service(3, 2)).await.unwrap();

    for refused in
        [check(&pool, service(1, 1)).await, migrate_on(&mut connection, service(1, 1)).await.map(drop)]
    {
        let error = refused.unwrap_err();
        assert!(matches!(error, SchemaError::Newer { found: 3, oldest: 2, known: 1, .. }), "{error}");
        assert!(!error.is_transient());
        assert!(error.to_string().ends_with("deploy a newer version"), "{error}");
    }
}

#[tokio::test]
async fn a_new_program_waits_for_its_schema() {
    let fresh = Fresh::empty().await;
    let pool = fresh.database().await.pool;
    let error = check(&pool, service(1, 1)).await.unwrap_err();
    assert!(matches!(error, SchemaError::Older { found: 0, component: "kit", .. }), "{error}");
    migrate_on(&mut fresh.connection().await, service(1, 1)).await.unwrap();
    let error = check(&pool, service(2, 1)).await.unwrap_err();
    assert!(matches!(error, SchemaError::Older { found: 1, needed: 2, component: "service" }), "{error}");
    assert!(error.to_string().contains("run `migrate` first"), "{error}");
}

#[tokio::test]
async fn a_migration_that_was_edited_is_refused() {
    let fresh = Fresh::empty().await;
    let mut connection = fresh.connection().await;
    migrate_on(&mut connection, service(1, 1)).await.unwrap();
    let edited = Migration::new(1, "step".into(), MigrationType::Simple, "SELECT 2".into_sql_str(), false);
    let edited = Box::leak(Box::new(Migrator::with_migrations(vec![edited])));
    let error =
        migrate_on(&mut connection, Schema { migrator: edited, oldest_compatible: 1 }).await.unwrap_err();
    assert!(matches!(error, SchemaError::Migration("service", _)), "{error}");
    assert!(error.is_foreign() && !error.is_transient());
    let told = BootError::from(error);
    assert_eq!(told.exit(), 2);
    // `shopctl dev` knows it by these words.
    assert!(told.to_string().starts_with("this version cannot live on the database's schema: "), "{told}");
}

#[tokio::test]
async fn a_database_that_goes_away_while_it_is_migrated_is_told_as_that() {
    let fresh = Fresh::empty().await;
    let sql = "CREATE TABLE half (id int); SELECT pg_terminate_backend(pg_backend_pid())";
    let lost = Migration::new(1, "lost".into(), MigrationType::Simple, sql.into_sql_str(), false);
    let lost = Box::leak(Box::new(Migrator::with_migrations(vec![lost])));
    let schema = Schema { migrator: lost, oldest_compatible: 1 };
    let target = fresh.config().migrate_target("test", false).unwrap();
    let error = migrate(&target, None, schema).await.unwrap_err();
    assert!(matches!(error, SchemaError::Migration("service", _)), "{error}");
    assert!(error.is_transient() && !error.is_foreign());
    let told = BootError::from(error);
    assert_eq!(told.exit(), 9, "{told}");
    assert!(told.to_string().contains("see that PostgreSQL runs, then run `migrate` again"), "{told}");
    assert_eq!(migrate_on(&mut fresh.connection().await, service(2, 1)).await.unwrap().to, 2);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_half_done() {
    let fresh = Fresh::empty().await;
    let mut connection = fresh.connection().await;
    let sql = "CREATE TABLE half (id int); SELECT 1 / 0";
    let bad = Migration::new(2, "bad".into(), MigrationType::Simple, sql.into_sql_str(), false);
    let steps = service(1, 1).migrator.iter().cloned().chain([bad]).collect();
    let broken = Box::leak(Box::new(Migrator::with_migrations(steps)));
    let error =
        migrate_on(&mut connection, Schema { migrator: broken, oldest_compatible: 1 }).await.unwrap_err();
    assert!(!error.is_foreign(), "the schema is good: {error}");
    assert_eq!(BootError::from(error).exit(), 2);
    let mut again = fresh.connection().await;
    let half: bool =
        sqlx::query_scalar("SELECT to_regclass('half') IS NOT NULL").fetch_one(&mut again).await.unwrap();
    assert!(!half);
    drop(connection);
    assert_eq!(migrate_on(&mut again, service(2, 1)).await.unwrap().to, 2);
}

/// Also where nothing is left to migrate: rights are granted each time.
#[tokio::test]
async fn several_migrate_at_once() {
    let fresh = Fresh::empty().await;
    let mut admin = fresh.connection().await;
    let role = format!("serve_{}", fresh.name);
    admin.execute(sqlx::AssertSqlSafe(format!("CREATE ROLE {role}"))).await.unwrap();
    let target = fresh.config().migrate_target("test", false).unwrap();
    for round in 0..8 {
        let eight = (0..8).map(|_| migrate(&target, Some(&role), service(3, 1)));
        let ended = futures::future::join_all(eight).await;
        let ended: Vec<_> = ended.into_iter().map(|one| one.map(|migrated| migrated.to)).collect();
        assert!(ended.iter().all(|one| matches!(one, Ok(3))), "round {round}: {ended:?}");
    }
    admin.execute(sqlx::AssertSqlSafe(format!("DROP OWNED BY {role}; DROP ROLE {role}"))).await.unwrap();
}

#[tokio::test]
async fn the_serving_user_works_with_rows_and_alters_nothing() {
    let fresh = Fresh::empty().await;
    let mut admin = fresh.connection().await;
    let role = format!("serve_{}", fresh.name);
    admin.execute(sqlx::AssertSqlSafe(format!("CREATE ROLE {role} LOGIN PASSWORD 'x'"))).await.unwrap();
    let target = fresh.config().migrate_target("test", false).unwrap();
    let own = "CREATE TABLE things (id int);
        CREATE FUNCTION grant_serve(serve name) RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN EXECUTE format('GRANT SELECT, INSERT ON things TO %I', serve); END $$";
    let own = Migration::new(1, "own".into(), MigrationType::Simple, own.into_sql_str(), false);
    let migrator = Box::leak(Box::new(Migrator::with_migrations(vec![own])));
    migrate(&target, Some(&role), Schema { migrator, oldest_compatible: 1 }).await.unwrap();

    admin.execute(sqlx::AssertSqlSafe(format!("SET ROLE {role}"))).await.unwrap();
    for allowed in [
        "INSERT INTO things VALUES (1)",
        "INSERT INTO kit.outbox (id, type, aggregate, data) VALUES (gen_random_uuid(), 't', gen_random_uuid(), '{}')",
        "INSERT INTO kit.mail_queue (id, kind, subject) VALUES (gen_random_uuid(), 'k', gen_random_uuid())",
        "UPDATE kit.outbox_head SET last = last",
        "DELETE FROM kit.idempotency",
        "SELECT * FROM kit.schema_compat",
    ] {
        admin.execute(allowed).await.unwrap_or_else(|error| panic!("{allowed}: {error}"));
    }
    for denied in [
        "CREATE TABLE public.mine (id int)",
        "CREATE TABLE kit.mine (id int)",
        "DROP TABLE kit.outbox",
        "ALTER TABLE things ADD COLUMN x int",
        "UPDATE kit.schema_compat SET oldest_compatible = 0",
        "DELETE FROM kit.service_migrations",
        "TRUNCATE kit.outbox",
        "SELECT kit.grant_serve('public')",
    ] {
        let error = admin.execute(denied).await.err().unwrap_or_else(|| panic!("{denied} was allowed"));
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{denied}: {error}");
    }
    admin.execute("RESET ROLE").await.unwrap();
    let gone = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    admin.execute(sqlx::AssertSqlSafe(gone)).await.unwrap();
}

#[tokio::test]
async fn migrating_as_the_serving_user_says_who_may() {
    let fresh = Fresh::empty().await;
    let mut admin = fresh.connection().await;
    let role = format!("weak_{}", fresh.name);
    admin.execute(sqlx::AssertSqlSafe(format!("CREATE ROLE {role} LOGIN PASSWORD 'x'"))).await.unwrap();
    let owner = fresh.config().migrate_target("test", false).unwrap();
    let mut url: url::Url = fresh.config().database_url.unwrap().parse().unwrap();
    url.set_username(&role).unwrap();
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "x").unwrap();
    let weak = DbConfig {
        database_url: Some(url.into()),
        database_password_file: Some(password.path().into()),
        ..fresh.config()
    };
    let weak = weak.migrate_target("test", false).unwrap();

    let nothing_there = migrate(&weak, None, service(1, 1)).await.unwrap_err();
    migrate(&owner, Some(&role), service(1, 1)).await.unwrap();
    let nothing_to_do = migrate(&weak, None, service(1, 1)).await.unwrap_err();
    let something_to_do = migrate(&weak, None, service(2, 1)).await.unwrap_err();
    for error in [&nothing_there, &nothing_to_do, &something_to_do] {
        let text = error.to_string();
        assert!(text.starts_with(&format!("the role \"{role}\" may not change the schema: ")), "{text}");
        assert!(text.contains("MIGRATE_DATABASE_URL") && !text.contains("line"), "{text}");
    }
    let named = format!("connect as \"{}\"", owner.user());
    assert!(something_to_do.to_string().contains(&named), "{something_to_do}");
    assert_eq!(BootError::from(something_to_do).exit(), 2);
    let gone = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    admin.execute(sqlx::AssertSqlSafe(gone)).await.unwrap();
}

/// The kit's statements are checked when they run, so each table must be there from the migrations alone.
#[tokio::test]
async fn kit_alone_is_a_schema() {
    let fresh = Fresh::migrated().await;
    check(&fresh.database().await.pool, KIT_ONLY).await.unwrap();
}
