//! How PostgreSQL answers the lists at 100,000 accounts: by an index, never by reading the table.

use serde_json::Value;
use shop_kit::Service;
use shop_test::TestDb;
use sqlx::{Acquire, AssertSqlSafe, Executor, PgConnection};
use user_management::UserManagement;

const FILL: &str = "
    INSERT INTO users (id, email, email_verified_at, password_hash, display_name, status, roles)
    SELECT gen_random_uuid(), 'user' || i || '@shop.example', now(), 'x', 'Name ' || chr(97 + i % 26) || ' ' || i,
           CASE WHEN i % 1000 = 0 THEN 'disabled' ELSE 'active' END,
           CASE WHEN i % 10000 = 1 THEN '{customer,admin}'::text[] WHEN i % 5000 = 2 THEN '{customer,support}'
                ELSE '{customer}' END
    FROM generate_series(1, 100000) i;
    INSERT INTO audit_log (id, action, actor_kind, actor, subject)
    SELECT gen_random_uuid(), CASE WHEN i % 1000 = 0 THEN 'user.disabled' ELSE 'session.started' END, 'user',
           md5((i % 5000)::text)::uuid, md5((i % 5000)::text)::uuid
    FROM generate_series(1, 100000) i;
    ANALYZE users, audit_log;";

#[tokio::test]
async fn every_list_for_administrators_walks_an_index() {
    let db = TestDb::new(UserManagement::schema()).await;
    let mut connection = db.pool().acquire().await.unwrap();
    connection.execute(FILL).await.unwrap();
    let search = include_str!("../../src/db/search_users.sql");
    let after = "'80000000-0000-0000-0000-000000000000'";
    for filters in [
        "NULL, NULL, NULL, NULL, 101".to_owned(),
        format!("NULL, NULL, NULL, {after}, 101"),
        "'user51%', NULL, NULL, NULL, 101".into(),
        "'name q 7%', NULL, NULL, NULL, 101".into(),
        "'nobody%', NULL, NULL, NULL, 101".into(),
        "'user5%', NULL, NULL, NULL, 101".into(),
        "NULL, 'disabled', NULL, NULL, 101".into(),
        "NULL, 'deleted', NULL, NULL, 101".into(),
        "NULL, 'active', 'customer', NULL, 101".into(),
        "NULL, NULL, 'admin', NULL, 101".into(),
        format!("NULL, NULL, 'support', {after}, 101"),
        format!("'user1%', 'disabled', 'customer', {after}, 101"),
    ] {
        let name = filters.split(',').next().unwrap();
        let filters = format!("{filters}, {name}");
        check(&mut connection, "text, text, text, uuid, bigint, text", search, &filters).await;
    }
    let audit = include_str!("../../src/db/list_audit.sql");
    let user = "md5('7')::uuid";
    for filters in [
        format!("NULL, NULL, {after}, 101"),
        format!("{user}, NULL, {after}, 101"),
        format!("{user}, 'user.disabled', {after}, 101"),
        format!("NULL, 'user.disabled', {after}, 101"),
        format!("NULL, 'session.started', {after}, 101"),
        format!("NULL, 'nothing.done', {after}, 101"),
    ] {
        check(&mut connection, "uuid, text, uuid, bigint", audit, &filters).await;
    }
}

/// Plans and runs the statement as the service does, and fails on a scan of the table, or when an index was walked
/// through most of the table to find few rows.
async fn check(connection: &mut PgConnection, types: &str, sql: &str, values: &str) {
    let mut tx = connection.begin().await.unwrap();
    let prepare = format!("SET LOCAL plan_cache_mode = force_custom_plan; PREPARE list ({types}) AS {sql}");
    tx.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await.unwrap();
    let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE list ({values})");
    let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(&mut *tx).await.unwrap();
    tx.execute("DEALLOCATE list").await.unwrap();
    let text = serde_json::to_string_pretty(&plan).unwrap();
    assert!(!text.contains("\"Seq Scan\""), "({values}) reads the whole table:\n{text}");
    let thrown_away = wasted(&plan);
    assert!(thrown_away < 15_000.0, "({values}) throws {thrown_away} rows away:\n{text}");
}

/// Rows that were read and then not wanted, over all nodes of the plan.
fn wasted(node: &Value) -> f64 {
    match node {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match value.as_f64() {
                Some(rows) if name.starts_with("Rows Removed by") => rows,
                _ => wasted(value),
            })
            .sum(),
        Value::Array(nodes) => nodes.iter().map(wasted).sum(),
        _ => 0.0,
    }
}
