//! Which schema a program can live on. `migrate` brings the database up; `check` lets a program serve on its own
//! schema or on a newer one that says it may. Kit's own tables live beside the service's, in the schema `kit`, with
//! their own versions (decision 0011). It never goes back to an older schema.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection, PgConnection, PgPool, SqlSafeStr};

use crate::db::{DbConfigError, Target};
use crate::error::is_away;

/// What a service needs of its database.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The service's migrations (`sqlx::migrate!`).
    pub migrator: &'static Migrator,
    /// The oldest version of the schema whose programs can live on this one. Raised by the migration that breaks
    /// them, one release after the last program that needs the old shape.
    pub oldest_compatible: i64,
}

/// Why a program cannot live on this database.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Nothing there, or an older schema.
    #[error(
        "the database has the {component} schema {found} and this version needs {needed}: run `migrate` first"
    )]
    Older {
        /// `kit` or `service`.
        component: &'static str,
        /// Version of the database; 0 when it has none.
        found: i64,
        /// Version of the program.
        needed: i64,
    },
    /// Newer than this program can bear.
    #[error(
        "the database has the {component} schema {found}, which only versions from {oldest} on can use, and this one has {known}: deploy a newer version"
    )]
    Newer {
        /// `kit` or `service`.
        component: &'static str,
        /// Version of the database.
        found: i64,
        /// Oldest version that may use it.
        oldest: i64,
        /// Version of the program.
        known: i64,
    },
    /// A migration failed or was edited after it had been applied.
    #[error("migrating the {0} schema failed: {1}")]
    Migration(&'static str, #[source] MigrateError),
    /// Migrating as a user who only serves.
    #[error(
        "the role \"{role}\" may not change the schema: let `migrate` connect as {owner}, by MIGRATE_DATABASE_URL and MIGRATE_DATABASE_PASSWORD_FILE"
    )]
    Forbidden {
        /// Who tried.
        role: String,
        /// Who may, as far as the database tells.
        owner: String,
    },
    /// The database could not be asked.
    #[error("the database could not be asked for its schema: {0}")]
    Database(#[from] sqlx::Error),
    /// The configuration names something unusable.
    #[error(transparent)]
    Config(#[from] DbConfigError),
}

impl SchemaError {
    /// True when asking again may help; false when a person must act first.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(_) => true,
            Self::Migration(_, MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
                is_away(error)
            }
            _ => false,
        }
    }

    /// True when the schema that is there is of no use to this program, whatever is asked of it.
    pub fn is_foreign(&self) -> bool {
        use MigrateError as E;
        matches!(
            self,
            Self::Newer { .. }
                | Self::Migration(_, E::VersionMismatch(_) | E::VersionMissing(_) | E::Dirty(_))
        )
    }
}

/// What `migrate` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// Version of the service's schema before; 0 when it had none.
    pub from: i64,
    /// And now. Equal to `from` when there was nothing to do.
    pub to: i64,
}

const KIT: &str = "kit";
const SERVICE: &str = "service";

/// Programs with kit's schema from this version on can live on the newest one.
const KIT_OLDEST_COMPATIBLE: i64 = 1;

/// Kit's own tables. A file is never edited after a release: a change is a new file at the end.
pub const KIT_MIGRATIONS: [(&str, &str); 8] = [
    ("schema compat", include_str!("../migrations/0001_schema_compat.sql")),
    ("outbox", include_str!("../migrations/0002_outbox.sql")),
    ("consumer", include_str!("../migrations/0003_consumer.sql")),
    ("mail", include_str!("../migrations/0004_mail.sql")),
    ("idempotency", include_str!("../migrations/0005_idempotency.sql")),
    ("relay", include_str!("../migrations/0006_relay.sql")),
    ("ended session", include_str!("../migrations/0007_ended_session.sql")),
    ("consumer event", include_str!("../migrations/0008_consumer_event.sql")),
];

/// Brings the database to this program's schema as the user of `target`; `serve` is the user that will serve and
/// gets the rights for it when it is another one. A newer database that this program may live on is left alone.
///
/// # Errors
/// [`SchemaError`]; a failed migration leaves the database as it was before that migration.
pub async fn migrate(target: &Target, serve: Option<&str>, schema: Schema) -> Result<Migrated, SchemaError> {
    let mut connection = target.migrate_connection().await?;
    let serve = serve.filter(|user| *user != target.user());
    match migrate_and_grant(&mut connection, serve, schema).await {
        Err(error) if lacks_rights(&error) => {
            let owner = owner(&mut connection).await.unwrap_or_else(|| "the role that owns it".to_owned());
            Err(SchemaError::Forbidden { role: target.user().to_owned(), owner })
        }
        done => {
            connection.close().await?;
            done
        }
    }
}

async fn migrate_and_grant(
    connection: &mut PgConnection,
    serve: Option<&str>,
    schema: Schema,
) -> Result<Migrated, SchemaError> {
    alone(connection).await?;
    let migrated = migrate_on(connection, schema).await?;
    if let Some(serve) = serve {
        grant(connection, serve).await?;
    }
    Ok(migrated)
}

/// A migration takes from some milliseconds to minutes.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// Waits until nobody else migrates this database, for as long as the connection lives: two who grant the same rights at
/// once are refused ("tuple concurrently updated"). Asks again and again instead of waiting in PostgreSQL, where the
/// statement's snapshot would keep another's `CREATE INDEX CONCURRENTLY` from its end.
async fn alone(connection: &mut PgConnection) -> Result<(), SchemaError> {
    // Of our own: sqlx takes another one for its part.
    let lock = "SELECT pg_try_advisory_lock(hashtextextended('kit.migrate', 0))";
    let mut told = false;
    while !sqlx::query_scalar::<_, bool>(lock).fetch_one(&mut *connection).await? {
        if !std::mem::replace(&mut told, true) {
            tracing::info!("another process migrates this database; waiting for it");
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    Ok(())
}

/// Whether PostgreSQL refused because of who asked (`insufficient_privilege`).
fn lacks_rights(error: &SchemaError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let told = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
        if told.and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "42501") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whose kit's tables are; `None` when there are none yet, or nobody says.
async fn owner(connection: &mut PgConnection) -> Option<String> {
    let asked =
        sqlx::query_scalar("SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'kit'");
    let owner: Option<String> = asked.fetch_optional(connection).await.ok()?;
    owner.map(|owner| format!("\"{owner}\""))
}

/// As [`migrate`] on a connection that is already open, without granting anything. For templates of tests.
///
/// # Errors
/// [`SchemaError`].
pub async fn migrate_on(connection: &mut PgConnection, schema: Schema) -> Result<Migrated, SchemaError> {
    let from = recorded(connection, SERVICE).await?.map_or(0, |r| r.version);
    let kit = KIT_MIGRATIONS.iter().zip(1..).map(|((name, sql), version)| {
        Migration::new(version, Cow::Borrowed(*name), MigrationType::Simple, sql.into_sql_str(), false)
    });
    advance(connection, KIT, "kit.migrations", kit.collect(), KIT_OLDEST_COMPATIBLE).await?;
    let service = schema.migrator.iter().cloned().collect();
    advance(connection, SERVICE, "kit.service_migrations", service, schema.oldest_compatible).await?;
    let to = recorded(connection, SERVICE).await?.map_or(0, |r| r.version);
    Ok(Migrated { from, to })
}

/// Whether this program may serve on this database.
///
/// # Errors
/// [`SchemaError`]; [`SchemaError::is_transient`] tells whether to ask again.
pub async fn check(pool: &PgPool, schema: Schema) -> Result<(), SchemaError> {
    let mut connection = pool.acquire().await?;
    let kit = KIT_MIGRATIONS.len() as i64;
    for (component, known) in [(KIT, kit), (SERVICE, newest(schema.migrator))] {
        let found = recorded(&mut connection, component).await?;
        let version = found.map_or(0, |r| r.version);
        if version < known {
            return Err(SchemaError::Older { component, found: version, needed: known });
        }
        bearable(component, known, found)?;
    }
    Ok(())
}

fn newest(migrator: &Migrator) -> i64 {
    migrator.iter().map(|m| m.version).max().unwrap_or(0)
}

#[derive(Debug, Clone, Copy)]
struct Recorded {
    version: i64,
    oldest_compatible: i64,
}

fn bearable(component: &'static str, known: i64, found: Option<Recorded>) -> Result<(), SchemaError> {
    match found {
        Some(found) if found.oldest_compatible > known => Err(SchemaError::Newer {
            component,
            found: found.version,
            oldest: found.oldest_compatible,
            known,
        }),
        _ => Ok(()),
    }
}

async fn recorded(connection: &mut PgConnection, component: &str) -> Result<Option<Recorded>, sqlx::Error> {
    let there: bool = sqlx::query_scalar("SELECT to_regclass('kit.schema_compat') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        return Ok(None);
    }
    let row: Option<(i64, i64)> =
        sqlx::query_as("SELECT version, oldest_compatible FROM kit.schema_compat WHERE component = $1")
            .bind(component)
            .fetch_optional(connection)
            .await?;
    Ok(row.map(|(version, oldest_compatible)| Recorded { version, oldest_compatible }))
}

/// Applies what is missing and records the version. A newer database is checked and left alone.
async fn advance(
    connection: &mut PgConnection,
    component: &'static str,
    table: &'static str,
    migrations: Vec<Migration>,
    oldest_compatible: i64,
) -> Result<(), SchemaError> {
    let known = migrations.iter().map(|m| m.version).max().unwrap_or(0);
    bearable(component, known, recorded(connection, component).await?)?;
    let mut migrator = Migrator::with_migrations(migrations);
    migrator.dangerous_set_table_name(table);
    if component == KIT {
        migrator.create_schema("kit");
    }
    // A newer program may have been here: its migrations are not ours to judge.
    migrator.set_ignore_missing(true);
    migrator
        .run_direct(None, connection, false)
        .await
        .map_err(|error| SchemaError::Migration(component, error))?;
    sqlx::query(
        "INSERT INTO kit.schema_compat AS c (component, version, oldest_compatible) VALUES ($1, $2, $3)
         ON CONFLICT (component) DO UPDATE
            SET version = excluded.version, oldest_compatible = excluded.oldest_compatible, changed_at = now()
          WHERE c.version < excluded.version OR (c.version = excluded.version AND c.oldest_compatible < excluded.oldest_compatible)",
    )
    .bind(component)
    .bind(known)
    .bind(oldest_compatible)
    .execute(connection)
    .await?;
    Ok(())
}

/// Rights of the serving user: kit's, and the service's own `grant_serve(name)` when its migrations define one.
async fn grant(connection: &mut PgConnection, serve: &str) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT kit.grant_serve($1::text::name)").bind(serve).execute(&mut *connection).await?;
    let own: bool = sqlx::query_scalar("SELECT to_regprocedure('public.grant_serve(name)') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if own {
        sqlx::query("SELECT public.grant_serve($1::text::name)").bind(serve).execute(connection).await?;
    }
    Ok(())
}
