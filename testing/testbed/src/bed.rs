//! Where the testbed keeps its things and what it may do. Reads the environment so that nobody else has to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The testbed of this machine and user.
#[derive(Debug, Clone)]
pub struct Bed {
    /// Data and logs of what runs.
    pub servers: PathBuf,
    /// Programs that were fetched or built, one folder for each version: `SHOP_TOOLS`, else beside the servers.
    pub tools: PathBuf,
    /// Whether missing programs are installed.
    pub install: bool,
    /// This crate's own program, where it is the one that runs: it can start itself as a part.
    pub program: Option<PathBuf>,
    /// Servers that are used instead of our own, by the variable that names them.
    pub given: BTreeMap<String, String>,
    /// Hears of long steps while they go on.
    pub tell: fn(&str),
}

/// The variables that may name a server of the user's.
const VARIABLES: &[&str] = &[
    "DATABASE_URL",
    "REDIS_URL",
    "AMQP_URL",
    "ELASTICSEARCH_URL",
    "SHOP_TEST_AWS",
    "SHOP_TEST_KUBECONFIG",
    "SHOP_TEST_PROMETHEUS",
    "SHOP_TEST_REGISTRY",
    "SHOP_TEST_SONARQUBE",
    "SHOP_TEST_STRIPE",
];

impl Bed {
    /// Below `$SHOP_CACHE`, default `~/.cache/shop-testbed`; as root below `/var/lib/shop-testbed` unless `SHOP_CACHE`
    /// says otherwise, because servers run under another account, which cannot enter root's home. Installs with
    /// `CI=true`.
    pub fn from_env() -> Result<Self> {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let cache = text("SHOP_CACHE").map(PathBuf::from);
        let home = text("HOME").map(PathBuf::from);
        let root = rustix::process::geteuid().is_root();
        let servers = servers(cache.as_deref(), home.as_deref(), root)?;
        Ok(Self {
            tools: text("SHOP_TOOLS").map_or_else(|| servers.join("tools"), PathBuf::from),
            servers,
            install: text("CI").is_some_and(|ci| ci == "true"),
            program: None,
            given: VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect(),
            tell: |_| {},
        })
    }

    /// The folder of one part.
    pub fn folder(&self, part: &str) -> PathBuf {
        self.servers.join(part)
    }

    /// What the variable names, if it is set.
    pub(crate) fn given(&self, variable: &str) -> Option<&str> {
        self.given.get(variable).map(String::as_str)
    }
}

fn servers(cache: Option<&Path>, home: Option<&Path>, root: bool) -> Result<PathBuf> {
    match (cache, home) {
        (Some(cache), _) => Ok(std::path::absolute(cache)?.join("servers")),
        (None, _) if root => Ok(PathBuf::from("/var/lib/shop-testbed")),
        (None, Some(home)) => Ok(home.join(".cache/shop-testbed/servers")),
        (None, None) => {
            let reason = "neither it nor HOME is set, so there is no place for the testbed".to_owned();
            Err(Error::Given { variable: "SHOP_CACHE", reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_follows_the_environment_and_the_user() {
        let (cache, home) = (Path::new("/c"), Path::new("/home/me"));
        assert_eq!(servers(Some(cache), Some(home), true).unwrap(), Path::new("/c/servers"));
        assert_eq!(servers(None, Some(home), true).unwrap(), Path::new("/var/lib/shop-testbed"));
        assert_eq!(servers(None, Some(home), false).unwrap(), home.join(".cache/shop-testbed/servers"));
        assert!(servers(None, None, false).is_err());
    }
}
