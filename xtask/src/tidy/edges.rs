//! Who may depend on whom, as data. An edge that is not in the table is forbidden.
//! Must not be widened without a line in docs/ARCHITECTURE.md that says why.
use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

use super::Finding;

/// A crate, what it may depend on, and what only its tests may.
struct Crate {
    name: &'static str,
    uses: &'static [&'static str],
    tests_use: &'static [&'static str],
}

const fn allow(
    name: &'static str,
    uses: &'static [&'static str],
    tests_use: &'static [&'static str],
) -> Crate {
    Crate { name, uses, tests_use }
}

/// The dependency table of the architecture.
const TABLE: &[Crate] = &[
    allow("shop-api", &[], &[]),
    allow("shop-client", &["shop-api"], &[]),
    // The kit's own tests need the real PostgreSQL, Redis and mailbox; shop-test itself stands on the kit.
    allow("shop-kit", &["shop-api", "shop-client"], &["shop-testbed"]),
    allow("user-management", &["shop-kit", "shop-api", "shop-client"], &["shop-test", "shop-testbed"]),
    allow("shop-platform", &[], &[]),
    allow("shop-templates", &["shop-platform"], &[]),
    allow("shop-devstack", &["shop-platform"], &["shop-testbed"]),
    allow("shop-images", &["shop-platform", "shop-templates"], &["shop-testbed"]),
    allow(
        "shopctl",
        &["shop-platform", "shop-templates", "shop-devstack", "shop-images", "shop-client", "shop-api"],
        &["shop-testbed"],
    ),
    allow("shop-testbed", &["shop-platform", "shop-devstack"], &[]),
    allow("shop-test", &["shop-api", "shop-client", "shop-kit", "shop-testbed"], &[]),
    allow("shop-faulty", &["shop-kit", "shop-api"], &["shop-test"]),
    allow("shop-bench", ANYTHING, ANYTHING),
    allow("shop-e2e", ANYTHING, ANYTHING),
    allow("xtask", &[], &[]),
];

const ANYTHING: &[&str] = &["*"];

/// Crates of others that a crate of ours must not name, since they belong to another layer.
const BANS: &[(&str, &[&str])] = &[
    ("shop-api", &["axum", "sqlx", "tokio", "reqwest", "clap", "anyhow"]),
    ("shop-client", &["axum", "sqlx", "clap", "anyhow"]),
    ("shop-kit", &["anyhow"]),
    ("shop-platform", &["tokio", "reqwest", "clap", "anyhow"]),
    ("shop-templates", &["tokio", "reqwest", "clap", "anyhow"]),
    ("shop-devstack", &["axum", "sqlx", "clap", "indicatif", "anyhow"]),
    ("shopctl", &["axum", "sqlx"]),
];

pub(crate) fn check(root: &Path) -> Result<Vec<Finding>> {
    let metadata = MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()
        .context("cargo metadata failed: mend the manifests first")?;
    let ours: Vec<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let mut found = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let edge = Edge {
                from: package.name.as_str(),
                to: &dependency.name,
                in_tests: dependency.kind == DependencyKind::Development,
                ours: ours.contains(&dependency.name),
            };
            found.extend(edge.finding());
        }
        found.extend(unknown(package.name.as_str()));
    }
    Ok(found)
}

/// Every crate that has a row.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.name)
}

struct Edge<'a> {
    from: &'a str,
    to: &'a str,
    in_tests: bool,
    ours: bool,
}

impl Edge<'_> {
    fn finding(&self) -> Option<Finding> {
        let Edge { from, to, in_tests, ours } = *self;
        if !ours {
            let banned = BANS.iter().any(|(name, bans)| *name == from && bans.contains(&to));
            let message = format!("`{to}` belongs to another layer");
            return (banned && !in_tests).then(|| Finding::new("edges", from, message));
        }
        let row = TABLE.iter().find(|row| row.name == from)?;
        let allowed = |list: &[&str]| list.contains(&"*") || list.contains(&to);
        let fine = allowed(row.uses) || (in_tests && allowed(row.tests_use));
        (!fine)
            .then(|| Finding::new("edges", from, format!("must not depend on `{to}` (docs/ARCHITECTURE.md)")))
    }
}

fn unknown(name: &str) -> Option<Finding> {
    let known = TABLE.iter().any(|row| row.name == name);
    (!known).then(|| Finding::new("edges", name, "not in the table of xtask/src/tidy/edges.rs: add its row"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge<'a>(from: &'a str, to: &'a str, in_tests: bool, ours: bool) -> Option<Finding> {
        Edge { from, to, in_tests, ours }.finding()
    }

    #[test]
    fn forbidden_edges_are_found() {
        assert!(edge("shopctl", "shop-kit", false, true).is_some());
        assert!(edge("shopctl", "sqlx", false, false).is_some());
        assert!(edge("shop-api", "tokio", false, false).is_some());
        assert!(edge("user-management", "shop-test", false, true).is_some());
        assert!(unknown("shop-unheard-of").is_some());
    }

    #[test]
    fn listed_edges_are_not() {
        assert!(edge("user-management", "shop-kit", false, true).is_none());
        assert!(edge("user-management", "shop-test", true, true).is_none());
        assert!(edge("shop-bench", "user-management", false, true).is_none());
        assert!(edge("shop-kit", "sqlx", false, false).is_none());
    }
}
