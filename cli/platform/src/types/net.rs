//! Ports, hosts, registries, regions and zones. Must not look anything up.
use std::fmt;
use std::str::FromStr;

use super::text::ensure;
use crate::decode::{FromToml, Node};
use crate::problem::{Collector, Problem};

/// A TCP port that a process without privileges can bind: 1024 to 65535.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Port(#[schemars(range(min = 1024, max = 65535))] u16);

impl Port {
    /// The lowest port that needs no privileges.
    pub(crate) const LOWEST: Self = Self(1024);

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromToml for Port {
    fn from_toml(node: Node<'_>, problems: &mut Collector) -> Option<Self> {
        let toml::de::DeValue::Integer(written) = node.value.get_ref() else {
            node.expected("a port number such as 8080", problems);
            return None;
        };
        let port = u16::from_str_radix(written.as_str(), written.radix())
            .ok()
            .filter(|port| *port >= Self::LOWEST.0);
        if port.is_none() {
            let problem =
                Problem::new("bad-value", node.span(), format!("`{}` cannot be {written}", node.path));
            let hint = "lower ports need privileges that the services' containers do not have";
            problems.add(problem.label("expected 1024 to 65535").hint(hint));
        }
        port.map(Self)
    }
}

name_type! {
    /// A host name of at least two labels.
    Host: "a host name such as \"users.shop.example\"",
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$", host;
    /// A container registry: host, optional port, optional path; no tag.
    Registry: "a registry such as \"registry.example:5000/shop\"",
        "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-][a-z0-9]+)*)*$", registry;
    /// A cloud region.
    Region: "a region such as \"eu-central-1\"", "^[a-z]{2}(-[a-z]+)+-[1-9]$", region;
    /// An availability zone: its region and a letter.
    Zone: "a zone such as \"eu-central-1a\"", "^[a-z]{2}(-[a-z]+)+-[1-9][a-z]$", zone;
}

impl Zone {
    /// The region that the zone belongs to.
    ///
    /// # Panics
    /// Never: a zone is a region and one letter.
    #[must_use]
    pub fn region(&self) -> Region {
        Region::from_str(&self.as_str()[..self.as_str().len() - 1]).expect("checked when it was made")
    }
}

fn host(text: &str) -> Result<(), String> {
    ensure(text.len() <= 253, "it is longer than 253 characters")?;
    ensure(text.contains('.'), "it has no dot")?;
    text.split('.').try_for_each(label)
}

fn label(text: &str) -> Result<(), String> {
    ensure((1..=63).contains(&text.len()), "each part between dots must have 1 to 63 characters")?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    ensure(text.chars().all(allowed), "only a-z, 0-9, - and dots are allowed")?;
    ensure(!text.starts_with('-') && !text.ends_with('-'), "no part may start or end with -")
}

fn registry(text: &str) -> Result<(), String> {
    let (authority, path) = text.split_once('/').map_or((text, None), |(host, path)| (host, Some(path)));
    let (name, port) = authority.split_once(':').map_or((authority, None), |(name, port)| (name, Some(port)));
    name.split('.').try_for_each(label)?;
    if let Some(port) = port {
        ensure(port.parse::<u16>().is_ok_and(|port| port > 0), "the port must be 1 to 65535")?;
    }
    path.map_or(Ok(()), |path| path.split('/').try_for_each(repository_part))
}

fn repository_part(part: &str) -> Result<(), String> {
    let separator = |c: char| matches!(c, '.' | '_' | '-');
    let word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    ensure(
        part.split(separator).all(word),
        "each part of the path must be a-z and 0-9 with single . _ - inside",
    )
}

fn region(text: &str) -> Result<(), String> {
    let reason = "a region is an area, a direction and a digit, such as eu-central-1";
    let parts: Vec<&str> = text.split('-').collect();
    let [area, middle @ .., number] = parts.as_slice() else { return Err(reason.to_owned()) };
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    ensure(area.len() == 2 && word(area), reason)?;
    ensure(!middle.is_empty() && middle.iter().all(|part| word(part)), reason)?;
    ensure(number.len() == 1 && matches!(number.as_bytes()[0], b'1'..=b'9'), reason)
}

fn zone(text: &str) -> Result<(), String> {
    let reason = "a zone is a region and a letter, such as eu-central-1a";
    let letter = text.chars().last().filter(char::is_ascii_lowercase).ok_or(reason)?;
    region(&text[..text.len() - letter.len_utf8()]).map_err(|_| reason.to_owned())
}
