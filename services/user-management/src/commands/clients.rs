//! Service clients at the command line: one whose secret is printed, or a file that is made to hold one that works. A
//! secret is written nowhere else.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use shop_api::ids::ClientId;
use shop_api::users::clients::ClientCredentials;
use shop_kit::boot::BootError;
use shop_kit::config::read_text;
use sqlx::{PgConnection, PgPool};

use super::record;
use crate::db::clients;
use crate::domain::token::{SecretHash, Token};

/// Makes a client and prints it.
pub(super) async fn create(pool: &PgPool, name: &str) -> Result<(), BootError> {
    let secret = Token::generate();
    let mut tx = pool.begin().await?;
    let Some(id) = make(&mut tx, name, &secret).await? else {
        return Err(BootError::usage(format_args!(
            "a client called {name} exists: rotate its secret over the API, or into a file with --to"
        )));
    };
    // Written before the commit: a client whose secret nobody has would keep the name.
    writeln!(io::stdout(), "{}", text(id, name, &secret)?).map_err(BootError::unexpected)?;
    Ok(tx.commit().await?)
}

/// Makes sure that a file holds a client of this name with a secret that works here.
///
/// The new secret lies in a file beside until the database has it: whatever breaks off in between, the file never names
/// a client that is not there, and a secret that nobody has is replaced by the next run.
pub(super) async fn ensure(pool: &PgPool, name: &str, file: &Path) -> Result<(), BootError> {
    if works(pool, name, file).await? {
        tracing::info!(client = name, file = %file.display(), "the client works");
        return Ok(());
    }
    let secret = Token::generate();
    let mut tx = pool.begin().await?;
    let (id, done) = match make(&mut tx, name, &secret).await? {
        Some(id) => (id, "made"),
        None => (rotate(&mut tx, name, &secret).await?, "given a new secret"),
    };
    let beside = Beside::write(file, &text(id, name, &secret)?).map_err(|error| unwritable(file, &error))?;
    tx.commit().await?;
    beside.put().map_err(|error| unwritable(file, &error))?;
    tracing::info!(client.id = %id, client = name, file = %file.display(), "the client was {done}");
    Ok(())
}

/// Whether the file holds this client with a secret that works here. One that is empty, or holds a client of this name
/// that does not, may be written anew; anything else is somebody's, and refused.
async fn works(pool: &PgPool, name: &str, file: &Path) -> Result<bool, BootError> {
    let held = match read_text(file) {
        Ok(held) if held.trim().is_empty() => return Ok(false),
        Ok(held) => held,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unreadable(file, &error)),
    };
    let held = serde_json::from_str::<ClientCredentials>(&held).ok().filter(|held| held.name == name);
    let Some(held) = held else {
        return Err(BootError::usage(format_args!(
            "--to {} holds something else than the client {name}: name another file, or remove this one",
            file.display()
        )));
    };
    let mode = fs::metadata(file).map_err(|error| unreadable(file, &error))?.mode();
    if mode & 0o007 != 0 {
        return Err(BootError::usage(format_args!(
            "--to {} is open to everybody: `chmod 600` it, or remove it and a new secret is made",
            file.display()
        )));
    }
    let found = clients::with_secret(pool, SecretHash::of(held.client_secret.as_bytes())).await?;
    Ok(found.is_some_and(|(id, called)| id == held.client_id && called == name))
}

/// A new client; `None` when the name is taken.
async fn make(tx: &mut PgConnection, name: &str, secret: &Token) -> Result<Option<ClientId>, BootError> {
    let made = clients::create(&mut *tx, name, secret.hash()).await.map_err(|error| match error {
        sqlx::Error::Database(error) if error.is_check_violation() => BootError::usage(format_args!(
            "--name {name} must be 2 to 63 lower-case letters, digits and dashes, the first a letter"
        )),
        error => BootError::unexpected(error),
    })?;
    if let Some(id) = made {
        record(tx, "client.created", id.uuid(), json!({ "name": name })).await?;
    }
    Ok(made)
}

/// A new secret for the client that has the name.
async fn rotate(tx: &mut PgConnection, name: &str, secret: &Token) -> Result<ClientId, BootError> {
    let id = clients::called(&mut *tx, name).await?.ok_or(sqlx::Error::RowNotFound)?;
    clients::rotate(tx, id, secret.hash()).await?.ok_or(sqlx::Error::RowNotFound)?;
    record(tx, "client.secret_rotated", id.uuid(), json!({})).await?;
    Ok(id)
}

fn text(client_id: ClientId, name: &str, secret: &Token) -> Result<String, BootError> {
    let client =
        ClientCredentials { client_id, name: name.to_owned(), client_secret: secret.reveal().to_owned() };
    serde_json::to_string(&client).map_err(BootError::unexpected)
}

fn unreadable(file: &Path, error: &io::Error) -> BootError {
    BootError::usage(format_args!("--to {} cannot be read: {error}", file.display()))
}

fn unwritable(file: &Path, error: &io::Error) -> BootError {
    BootError::usage(format_args!("--to {} cannot be written: {error}", file.display()))
}

/// A file that waits beside its place: what is dropped before it was put there is removed.
struct Beside<'a> {
    file: &'a Path,
    beside: PathBuf,
}

impl<'a> Beside<'a> {
    /// Readable by its owner alone from the beginning.
    fn write(file: &'a Path, text: &str) -> io::Result<Self> {
        let mut name = file.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let beside = file.with_file_name(name);
        // Left there by a run that was killed, and never opened wider than its new content may be.
        let _removed = fs::remove_file(&beside);
        let mut opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        let this = Self { file, beside };
        writeln!(opened, "{text}")?;
        opened.sync_all()?;
        Ok(this)
    }

    /// Takes the place of the file: a reader sees the old one or the new one, never half of either.
    fn put(self) -> io::Result<()> {
        fs::rename(&self.beside, self.file)
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        // After it was put in its place there is nothing left to remove.
        let _removed = fs::remove_file(&self.beside);
    }
}
