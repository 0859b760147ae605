//! Redis: the server that `REDIS_URL` names, else our own.

use async_trait::async_trait;
use secrecy::ExposeSecret;
use shop_devstack::component::Report;
use shop_devstack::redis::{Redis as Component, RedisSpec};
use url::Url;

use crate::part::{Origin, Part, Running};
use crate::{Bed, Error, Result};

const NAME: &str = "redis";
const VARIABLE: &str = "REDIS_URL";

/// Redis.
#[derive(Debug, Clone, Copy)]
pub struct Redis;

impl Redis {
    /// The address of the running server, with its password.
    pub(crate) async fn address(bed: &Bed) -> Result<Url> {
        if let Some(text) = bed.given(VARIABLE) {
            return given(text);
        }
        let gone = || std::io::Error::new(std::io::ErrorKind::NotFound, "Redis ended just now");
        let found = Component::find(&bed.folder(NAME)).await?.ok_or_else(gone)?;
        let mut url = given(&found.url())?;
        let set = url.set_password(Some(found.password().expose_secret()));
        set.expect("a URL with a host takes a password");
        Ok(url)
    }
}

#[async_trait]
impl Part for Redis {
    fn name(&self) -> &'static str {
        NAME
    }

    fn packages(&self) -> &'static [&'static str] {
        &["redis-server"]
    }

    async fn find(&self, bed: &Bed) -> Result<Option<Running>> {
        if let Some(text) = bed.given(VARIABLE) {
            return Ok(Some(Running::given(NAME, given(text)?)));
        }
        Ok(Component::find(&bed.folder(NAME)).await?.map(|found| running(&found)))
    }

    async fn start(&self, bed: &Bed) -> Result<Running> {
        Ok(running(&Component::start(&RedisSpec::new(bed.folder(NAME)), &Report::silent()).await?))
    }

    async fn stop(&self, bed: &Bed) -> Result<bool> {
        match Component::find(&bed.folder(NAME)).await? {
            Some(found) => Ok(found.stop().await.map(|_| true)?),
            None => Ok(false),
        }
    }
}

fn running(component: &Component) -> Running {
    Running {
        part: NAME,
        origin: if component.adopted() { Origin::Found } else { Origin::Started },
        url: component.url(),
        secret_file: Some(component.password_file()),
        pid: Some(component.proc().pid),
    }
}

fn given(text: &str) -> Result<Url> {
    let unusable = |reason: &str| Error::Given { variable: VARIABLE, reason: reason.to_owned() };
    let url = Url::parse(text).map_err(|error| unusable(&error.to_string()))?;
    if matches!(url.scheme(), "redis" | "rediss") && url.has_host() {
        return Ok(url);
    }
    Err(unusable("it is not of the form redis://host:port"))
}
