//! One table of dependencies and one of lints: every crate takes both from the workspace.
//! Must not judge versions; `cargo deny` does.
use anyhow::{Context, Result};
use toml_edit::{DocumentMut, Item, TableLike};

use super::Finding;
use super::source::Tree;

pub(crate) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for (path, text) in tree.manifests.iter().filter(|(path, _)| path != "Cargo.toml") {
        found.extend(findings(path, text)?);
    }
    Ok(found)
}

fn findings(path: &str, text: &str) -> Result<Vec<Finding>> {
    let manifest: DocumentMut = text.parse().with_context(|| format!("{path} does not parse"))?;
    if manifest.contains_key("workspace") {
        return Ok(Vec::new()); // a workspace of its own, as fuzzing wants it
    }
    let mut found = Vec::new();
    if !inherits(manifest.get("lints")) {
        found.push(Finding::new("manifests", path, "add `[lints] workspace = true`"));
    }
    found.extend(own_versions(path, "", manifest.as_table()));
    for (target, tables) in entries(manifest.get("target")) {
        let place = format!("target.{target}.");
        found
            .extend(tables.as_table_like().into_iter().flat_map(|tables| own_versions(path, &place, tables)));
    }
    Ok(found)
}

/// Dependencies with a version of their own in the tables at `place`.
fn own_versions(path: &str, place: &str, tables: &dyn TableLike) -> Vec<Finding> {
    let mut found = Vec::new();
    for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
        for (name, _) in entries(tables.get(table)).filter(|(_, item)| !inherits(Some(item))) {
            let message = format!(
                "`{name}` in [{place}{table}]: name the version in the root, and `workspace = true` here"
            );
            found.push(Finding::new("manifests", path, message));
        }
    }
    found
}

fn entries(table: Option<&Item>) -> impl Iterator<Item = (&str, &Item)> {
    table.and_then(Item::as_table_like).into_iter().flat_map(TableLike::iter)
}

fn inherits(item: Option<&Item>) -> bool {
    item.and_then(|item| item.get("workspace")).and_then(Item::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_version_and_missing_lints_are_found() {
        let bad = "[dependencies]\nserde = \"1\"\ntokio = { version = \"1\" }\nclap.workspace = true\n";
        assert_eq!(findings("a/Cargo.toml", bad).expect("parses").len(), 3);
        let target = "[lints]\nworkspace = true\n[target.\"cfg(unix)\".dependencies]\nsmallvec = \"1\"\nserde.workspace = true\n";
        let found = findings("a/Cargo.toml", target).expect("parses");
        assert_eq!(found.len(), 1);
        assert!(found[0].message.starts_with("`smallvec` in [target.cfg(unix).dependencies]"), "{found:?}");
        let good =
            "[lints]\nworkspace = true\n[dependencies]\nclap = { workspace = true, features = [\"env\"] }\n";
        assert!(findings("a/Cargo.toml", good).expect("parses").is_empty());
    }
}
