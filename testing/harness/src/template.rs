//! Templates: one database for each state of a schema's migrations, made once and copied for every test.

use std::hash::{DefaultHasher, Hash, Hasher};

use shop_kit::schema::{self, Schema};
use shop_testbed::{PREFIX, Server};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::sweep;

/// Any number that no service uses for an advisory lock of the server's own database.
const LOCK: i64 = 0x7368_6f70_7465_7374;

/// The template of this schema, made when there is none. One maker at a time, over all test binaries.
pub(crate) async fn ready(server: &Server, schema: Schema) -> String {
    let template = format!("{PREFIX}template_{:016x}", fingerprint(schema));
    let mut connection = connect(server, None).await;
    if exists(&mut connection, &template).await {
        return template;
    }
    run(&mut connection, &format!("select pg_advisory_lock({LOCK})")).await;
    if !exists(&mut connection, &template).await {
        sweep::old_databases(server, &mut connection).await;
        make(server, &mut connection, schema, &template).await;
    }
    // Closing the connection gives the lock back.
    connection.close().await.expect("a connection that just worked");
    template
}

/// Under a passing name first: what has the template's name is complete, also when its maker was killed.
async fn make(server: &Server, connection: &mut PgConnection, schema: Schema, template: &str) {
    let building = server.create("building").await.unwrap_or_else(|error| panic!("{error}"));
    let mut inside = connect(server, Some(&building)).await;
    let migrated = schema::migrate_on(&mut inside, schema).await;
    migrated.unwrap_or_else(|error| panic!("{error}"));
    inside.close().await.expect("a connection that just worked");
    run(connection, &format!("alter database \"{building}\" rename to \"{template}\"")).await;
}

/// A new database like the template.
pub(crate) async fn copy(server: &Server, template: &str) -> String {
    let name = format!("{PREFIX}db_{}", Uuid::now_v7().simple());
    let mut connection = connect(server, None).await;
    run(&mut connection, &format!("create database \"{name}\" template \"{template}\"")).await;
    connection.close().await.expect("a connection that just worked");
    name
}

/// Changes with every migration, the service's and the kit's.
fn fingerprint(schema: Schema) -> u64 {
    let mut hasher = DefaultHasher::new();
    for migration in schema.migrator.iter() {
        (migration.version, &migration.checksum).hash(&mut hasher);
    }
    schema.oldest_compatible.hash(&mut hasher);
    schema::KIT_MIGRATIONS.hash(&mut hasher);
    hasher.finish()
}

async fn exists(connection: &mut PgConnection, database: &str) -> bool {
    let found: Result<bool, _> =
        sqlx::query_scalar("select exists (select 1 from pg_database where datname = $1)")
            .bind(database)
            .fetch_one(connection)
            .await;
    found.unwrap_or_else(|error| panic!("the testbed's PostgreSQL could not be asked: {error}"))
}

pub(crate) async fn connect(server: &Server, database: Option<&str>) -> PgConnection {
    let url = database.map_or_else(|| server.own_url().clone(), |database| server.url(database));
    let connection = PgConnection::connect(url.as_str()).await;
    connection.unwrap_or_else(|error| panic!("the testbed's PostgreSQL does not let us in: {error}"))
}

pub(crate) async fn run(connection: &mut PgConnection, sql: &str) {
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
