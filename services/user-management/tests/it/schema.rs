//! The serving role reads and writes rows; it cannot alter the schema or rewrite the audit log.

use shop_kit::boot::Service as _;
use shop_test::TestDb;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use user_management::UserManagement;
use uuid::Uuid;

use crate::world::World;

/// One of long ago, one of today.
const ENTRIES: &str = "INSERT INTO audit_log (id, at, action, actor_kind) VALUES
    (gen_random_uuid(), now() - interval '91 days', 'user.tested', 'system'),
    (gen_random_uuid(), now(), 'user.tested', 'system')";

/// Tries a statement as the role, in a transaction that is given up; the SQLSTATE of its refusal.
async fn refusal(connection: &mut PgConnection, role: &str, sql: &'static str) -> Option<String> {
    connection.execute(AssertSqlSafe(format!("BEGIN; SET LOCAL ROLE \"{role}\""))).await.unwrap();
    let done = connection.execute(sql).await;
    connection.execute("ROLLBACK").await.unwrap();
    let refused = done.err()?;
    Some(refused.as_database_error().unwrap().code().unwrap().into_owned())
}

#[tokio::test]
async fn the_serving_role_can_do_its_work_and_no_more() {
    let db = TestDb::new(UserManagement::schema()).await;
    let role = format!("serve_{}", Uuid::now_v7().simple());
    let mut connection = db.pool().acquire().await.unwrap();
    let sql = format!("CREATE ROLE \"{role}\"; SELECT grant_serve('{role}')");
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.execute(ENTRIES).await.unwrap();
    for allowed in [
        "INSERT INTO users (id, email, password_hash) VALUES (gen_random_uuid(), 'a@b.co', 'x')",
        "DELETE FROM users",
        "UPDATE sessions SET last_used_at = now()",
        "SELECT count(*) FROM audit_log",
        "DELETE FROM audit_log WHERE at < now() - interval '90 days'",
        "INSERT INTO audit_log (id, action, actor_kind) VALUES (gen_random_uuid(), 'user.tested', 'system')",
    ] {
        assert_eq!(refusal(&mut connection, &role, allowed).await, None, "{allowed}");
    }
    for refused in [
        "ALTER TABLE users ADD COLUMN note text",
        "CREATE TABLE mine (id int)",
        "DROP TABLE sessions",
        "TRUNCATE users CASCADE",
        "UPDATE audit_log SET action = 'user.innocent'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "ALTER TABLE audit_log DISABLE TRIGGER ALL",
        "SELECT grant_serve('postgres')",
    ] {
        assert_eq!(refusal(&mut connection, &role, refused).await.as_deref(), Some("42501"), "{refused}");
    }
    let sql = format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\"");
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
}

/// Not even its owner rewrites the audit log by accident.
#[tokio::test]
async fn the_audit_log_is_append_only_for_everybody() {
    let world = World::start().await;
    world.sign_up("ada@shop.example").await;
    for sql in
        ["UPDATE audit_log SET action = 'user.innocent'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
    {
        let refused = world.db.pool().execute(sql).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn an_empty_database_is_brought_up_and_a_second_run_changes_nothing() {
    let world = World::start().await;
    let db = TestDb::empty().await;
    for _ in 0..2 {
        let ended = world.program().on(&db).run(&["migrate"]).await;
        assert!(ended.status.success(), "{}", ended.output);
    }
    world.program().on(&db).serve().await;
}

/// Old pods live beside new ones, and a release may be taken back.
#[tokio::test]
async fn a_newer_schema_is_lived_on_while_it_says_so() {
    let world = World::start().await;
    world.age("UPDATE kit.schema_compat SET version = 999 WHERE component = 'service'").await;
    let older = world.program().serve().await;
    older.client().get("/.well-known/jwks.json").send().await.expect(200);
    let ended = world.program().run(&["migrate"]).await;
    assert!(ended.status.success(), "{}", ended.output);

    world.age("UPDATE kit.schema_compat SET oldest_compatible = 998 WHERE component = 'service'").await;
    for command in ["serve", "migrate"] {
        let ended = world.program().run(&[command]).await;
        assert_eq!(ended.status.code(), Some(2), "{command}: {}", ended.output);
        assert!(ended.output.contains("deploy a newer version"), "{command}: {}", ended.output);
    }
}
