//! What an operator does at the command line: signing keys, the first administrator, service clients. No default
//! credential exists; this is how the first ones are made.

mod clients;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use shop_api::users::AccountRole;
use shop_kit::boot::{BootError, Service};
use shop_kit::{KitConfig, db::Database, schema};
use sqlx::{PgConnection, PgPool};

use crate::db::audit::{self, Actor, Entry};
use crate::db::{admin, users};
use crate::domain::email::Email;
use crate::events;
use crate::keys::folder::{self, RotateError};
use crate::service::UserManagement;

/// Subcommands of this service alone.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make or rotate the keys that sign access tokens
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Make a registered, verified user an administrator
    GrantAdmin {
        /// Its e-mail address
        #[arg(long, value_name = "EMAIL")]
        email: String,
    },
    /// Manage the clients that services get tokens with
    #[command(subcommand)]
    Clients(ClientsCommand),
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make the folder with a current and a next key; keys that are there stay
    Init {
        /// The folder
        #[arg(long, env = "SIGNING_KEYS_DIR", value_name = "DIR")]
        dir: PathBuf,
    },
    /// Next becomes current, current becomes previous, and a new next is made
    ///
    /// Refused within 16 minutes of the last time: tokens of the key that would go are still good.
    Rotate {
        /// The folder
        #[arg(long, env = "SIGNING_KEYS_DIR", value_name = "DIR")]
        dir: PathBuf,
        /// Because a key has leaked: withdraw all of them at once. Every access token ends, and clients renew theirs
        #[arg(long)]
        force: bool,
    },
}

/// What can be done with clients.
#[derive(Debug, Subcommand)]
pub enum ClientsCommand {
    /// Make a client and print its id and secret as JSON: they are shown this once
    ///
    /// With --to, make sure that the file holds the client and a secret that works: what does so stays as it is, and
    /// otherwise the client is made, or given a new secret when it is there (the one before works for a day more).
    Create {
        /// Unique name, such as order-management
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Write them to this file, readable by its owner alone, instead
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

/// Runs one.
pub(crate) async fn run(command: Command, config: &KitConfig) -> Result<(), BootError> {
    match command {
        Command::Keys(KeysCommand::Init { dir }) => {
            let made = folder::init(&dir).map_err(|error| in_folder(&dir, &error))?;
            tracing::info!(dir = %dir.display(), made, "signing keys are there");
            Ok(())
        }
        Command::Keys(KeysCommand::Rotate { dir, force }) => {
            if force {
                folder::withdraw(&dir).map_err(|error| in_folder(&dir, &error))?;
                tracing::warn!(dir = %dir.display(), "every signing key was withdrawn and replaced");
                return Ok(());
            }
            folder::rotate(&dir, folder::OVERLAP).map_err(|error| match error {
                RotateError::Io(error) => in_folder(&dir, &error),
                soon @ RotateError::TooSoon(_) => BootError::usage(format_args!(
                    "the signing keys in {} were not rotated: {soon}; wait, or give --force when a key has leaked",
                    dir.display()
                )),
            })?;
            tracing::info!(dir = %dir.display(), "signing keys rotated");
            Ok(())
        }
        Command::GrantAdmin { email } => grant_admin(&connect(config).await?.pool, &email).await,
        Command::Clients(ClientsCommand::Create { name, to: None }) => {
            clients::create(&connect(config).await?.pool, &name).await
        }
        Command::Clients(ClientsCommand::Create { name, to: Some(file) }) => {
            clients::ensure(&connect(config).await?.pool, &name, &file).await
        }
    }
}

fn in_folder(dir: &Path, error: &std::io::Error) -> BootError {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => "make it with `keys init` first",
        _ => "check who owns the folder",
    };
    BootError::usage(format_args!(
        "the signing keys in {} cannot be changed: {error} ({hint})",
        dir.display()
    ))
}

async fn connect(config: &KitConfig) -> Result<Database, BootError> {
    let target = config.db.serve_target(UserManagement::INFO.name, config.protected)?;
    let database = Database::connect(&target)?;
    schema::check(&database.pool, UserManagement::schema()).await?;
    Ok(database)
}

async fn grant_admin(pool: &PgPool, email: &str) -> Result<(), BootError> {
    let email = Email::parse(email).map_err(|error| BootError::usage(format_args!("--email {error}")))?;
    let found = users::credentials_by_email(pool, &email).await?;
    let Some(user) = found.filter(|user| user.verified && user.active) else {
        return Err(BootError::usage(
            "no active, verified account has this address: register it and open the link in its mail first",
        ));
    };
    let mut tx = pool.begin().await?;
    let locked = admin::lock(&mut tx, user.id).await?.ok_or(sqlx::Error::RowNotFound)?;
    if locked.roles.contains(&AccountRole::Admin) {
        tracing::info!(user.id = %user.id, "is an administrator already");
        return Ok(());
    }
    let roles: Vec<AccountRole> = locked.roles.into_iter().chain([AccountRole::Admin]).collect();
    admin::set_roles(&mut tx, user.id, &roles).await?;
    events::user_roles_changed(&mut tx, user.id, &roles).await?;
    record(&mut tx, "user.roles_changed", user.id.uuid(), json!({ "after": roles })).await?;
    tx.commit().await?;
    tracing::info!(user.id = %user.id, "made an administrator");
    Ok(())
}

async fn record(
    tx: &mut PgConnection,
    action: &'static str,
    subject: uuid::Uuid,
    data: serde_json::Value,
) -> Result<(), sqlx::Error> {
    let entry = Entry {
        action,
        actor: Actor::Operator,
        subject: Some(subject),
        request_id: "",
        place: String::new(),
        data,
    };
    audit::record(tx, &entry).await
}
