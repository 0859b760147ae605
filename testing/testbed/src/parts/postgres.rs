//! PostgreSQL: the server that `DATABASE_URL` names, else our own. Its databases are the business of `databases.rs`.

use async_trait::async_trait;
use secrecy::ExposeSecret;
use shop_devstack::component::{self, Report};
use shop_devstack::postgres::{Postgres as Component, PostgresSpec};
use url::Url;

use crate::part::{Origin, Part, Running};
use crate::{Bed, Error, Result, Server};

const NAME: &str = "postgres";
const VARIABLE: &str = "DATABASE_URL";

/// PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub struct Postgres;

impl Postgres {
    /// The running server.
    pub(crate) async fn server(bed: &Bed) -> Result<Server> {
        if let Some(url) = bed.given(VARIABLE) {
            return given(url).map(Server::new);
        }
        let gone = || std::io::Error::new(std::io::ErrorKind::NotFound, "PostgreSQL ended just now");
        Ok(server_of(&Component::find(&bed.folder(NAME)).await?.ok_or_else(gone)?))
    }
}

#[async_trait]
impl Part for Postgres {
    fn name(&self) -> &'static str {
        NAME
    }

    fn packages(&self) -> &'static [&'static str] {
        &["postgresql"]
    }

    async fn find(&self, bed: &Bed) -> Result<Option<Running>> {
        if let Some(url) = bed.given(VARIABLE) {
            let url = given(url)?;
            Server::new(url.clone()).connect().await?;
            return Ok(Some(Running::given(NAME, url)));
        }
        Ok(Component::find(&bed.folder(NAME)).await?.map(|found| running(&found)))
    }

    async fn start(&self, bed: &Bed) -> Result<Running> {
        let spec = PostgresSpec { durable: false, ..PostgresSpec::new(bed.folder(NAME)) };
        match Component::start(&spec, &Report::silent()).await {
            Err(component::Error::OtherVersion { folder, .. }) => {
                // The machine has a newer PostgreSQL now, and nothing that tests left is worth keeping.
                std::fs::remove_dir_all(folder)?;
                Ok(running(&Component::start(&spec, &Report::silent()).await?))
            }
            other => Ok(running(&other?)),
        }
    }

    async fn stop(&self, bed: &Bed) -> Result<bool> {
        match Component::find(&bed.folder(NAME)).await? {
            Some(found) => Ok(found.stop().await.map(|_| true)?),
            None => Ok(false),
        }
    }
}

/// A started component as tests see it.
pub(crate) fn server_of(component: &Component) -> Server {
    let mut url = Url::parse(&component.url("postgres")).expect("made of a number and fixed words");
    let set = url.set_password(Some(component.password().expose_secret()));
    set.expect("a URL with a host takes a password");
    Server::new(url)
}

fn running(component: &Component) -> Running {
    Running {
        part: NAME,
        origin: if component.adopted() { Origin::Found } else { Origin::Started },
        url: component.url("postgres"),
        secret_file: Some(component.password_file()),
        pid: Some(component.proc().pid),
    }
}

/// The URL of the environment with its password, which may lie in `DATABASE_PASSWORD_FILE`.
fn given(text: &str) -> Result<Url> {
    let unusable = |reason: String| Error::Given { variable: VARIABLE, reason };
    let mut url = Url::parse(text).map_err(|error| unusable(error.to_string()))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") || !url.has_host() {
        return Err(unusable("it is not of the form postgres://user@host:port/database".to_owned()));
    }
    if let (None, Some(file)) = (url.password(), std::env::var_os("DATABASE_PASSWORD_FILE")) {
        let password = std::fs::read_to_string(file)?;
        url.set_password(Some(password.trim_end()))
            .map_err(|()| unusable("it takes no password".to_owned()))?;
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_of_a_database_is_refused_by_its_variable() {
        for text in ["localhost:5432/x", "mysql://root@localhost/x", "postgres:x", ""] {
            let error = given(text).unwrap_err().to_string();
            assert!(error.starts_with("DATABASE_URL"), "{text}: {error}");
        }
        assert!(given("postgres://me:secret@127.0.0.1:5432/x").is_ok());
    }
}
