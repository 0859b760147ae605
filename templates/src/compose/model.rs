//! The parts of a compose file that we write, as the Compose Specification names them.
//! Every text that comes from elsewhere passes [`literal`]: a `$` is compose's own syntax.
use indexmap::IndexMap;
use serde::Serialize;

use super::SECRETS;

#[derive(Debug, Serialize)]
pub(super) struct Compose {
    pub(super) services: IndexMap<String, Container>,
    pub(super) volumes: IndexMap<String, IndexMap<String, String>>,
    pub(super) secrets: IndexMap<String, Secret>,
}

/// One container. What is empty is not written.
#[derive(Debug, Default, Serialize)]
pub(super) struct Container {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) build: Option<Build>,
    pub(super) image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) network_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ports: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) command: Vec<String>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub(super) environment: IndexMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) secrets: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) volumes: Vec<String>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub(super) depends_on: IndexMap<String, Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) healthcheck: Option<Healthcheck>,
    pub(super) restart: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Build {
    pub(super) context: &'static str,
    pub(super) dockerfile: &'static str,
    pub(super) args: IndexMap<String, String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Condition {
    pub(super) condition: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Healthcheck {
    pub(super) test: Vec<String>,
    pub(super) interval: &'static str,
    pub(super) timeout: &'static str,
    pub(super) retries: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Secret {
    file: String,
}

impl Secret {
    pub(super) fn named(name: &str) -> Self {
        Self { file: format!("./{SECRETS}/{name}") }
    }

    /// Relative to the root, without the dot.
    pub(super) fn path(self) -> String {
        self.file.trim_start_matches("./").to_owned()
    }
}

impl Container {
    /// A container in the network namespace of `machine` that comes back when it ends.
    pub(super) fn of_image(image: &str) -> Self {
        Self {
            image: image.to_owned(),
            network_mode: Some("service:machine"),
            restart: "unless-stopped",
            ..Self::default()
        }
    }

    /// The volumes that compose keeps: those that are not a path.
    pub(super) fn named_volumes(&self) -> Vec<String> {
        let names = self.volumes.iter().filter_map(|volume| Some(volume.split_once(':')?.0));
        names.filter(|name| !name.starts_with(['.', '/'])).map(str::to_owned).collect()
    }
}

/// `text` so that compose takes it as it is.
pub(super) fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

pub(super) fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(literal).to_vec()
}

pub(super) fn variables<const N: usize>(pairs: [(&str, String); N]) -> IndexMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), literal(&value))).collect()
}
