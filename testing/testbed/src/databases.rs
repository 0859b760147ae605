//! The databases of tests on one PostgreSQL server. Touches none whose name does not begin with [`PREFIX`].

use std::path::Path;

use shop_devstack::postgres::quoted;
use tokio_postgres::{Client, NoTls};
use url::Url;
use uuid::Uuid;

use crate::{Error, Result};

/// How the name of every database begins that tests may make and drop.
pub const PREFIX: &str = "shop_test_";

/// A PostgreSQL server and a user who may make databases on it.
#[derive(Clone)]
pub struct Server {
    url: Url,
}

/// The password stays out of logs and assertions.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({:?}:{:?})", self.url.host_str(), self.url.port())
    }
}

impl Server {
    /// The server behind a URL with user, password and a database that can be entered.
    pub fn new(url: Url) -> Self {
        Self { url }
    }

    /// The address of one database, with the password.
    pub fn url(&self, database: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(database);
        url
    }

    /// The address with which it was named: a database that can be entered.
    pub fn own_url(&self) -> &Url {
        &self.url
    }

    /// The password of its user.
    pub fn password(&self) -> Option<&str> {
        self.url.password()
    }

    /// A connection to the database that the server's own URL names.
    pub async fn connect(&self) -> Result<Client> {
        connect(&self.url).await
    }

    /// Makes an empty database `shop_test_<what>_<uuid>` and gives its name. The UUID holds the time, by which a later
    /// run knows that it was left over.
    pub async fn create(&self, what: &str) -> Result<String> {
        let name = format!("{PREFIX}{what}_{}", Uuid::now_v7().simple());
        self.connect().await?.batch_execute(&format!("create database {}", quoted(&name))).await?;
        Ok(name)
    }

    /// Drops a database of tests, cutting its connections; one that is absent is no error.
    pub async fn drop(&self, database: &str) -> Result<()> {
        if !database.starts_with(PREFIX) {
            return Err(Error::Foreign(database.to_owned()));
        }
        let client = self.connect().await?;
        client.batch_execute(&format!("drop database if exists {} with (force)", quoted(database))).await?;
        Ok(())
    }

    /// Runs the `*.sql` files of the folders, in the order of the folders and of the files' names, each file as one
    /// transaction. Records nothing: it makes databases to check queries against, not to live on.
    pub async fn apply(&self, database: &str, folders: &[&Path]) -> Result<()> {
        let client = connect(&self.url(database)).await?;
        // shop-kit's own tables lie in a schema of theirs.
        client.batch_execute("create schema if not exists kit").await?;
        for folder in folders {
            let mut files: Vec<_> =
                std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
            files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
            files.sort();
            for file in files {
                let sql = std::fs::read_to_string(&file)?;
                let named = |source| Error::Migration { file: file.display().to_string(), source };
                client.batch_execute(&sql).await.map_err(named)?;
            }
        }
        Ok(())
    }
}

async fn connect(url: &Url) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url.as_str(), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
