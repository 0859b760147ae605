//! The root is a map that a newcomer reads with `ls`, and no folder or module is a junk drawer.
//! Must not judge what a file holds, but for the names of the modules within it.
use std::collections::BTreeSet;

use syn::visit::{self, Visit};

use super::Finding;
use super::source::{RustFile, Tree};

/// What may lie in the root (docs/ARCHITECTURE.md).
const ROOT: [&str; 24] = [
    ".cargo",
    ".ci",
    ".config",
    ".editorconfig",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "cli",
    "clippy.toml",
    "compose.yaml",
    "deny.toml",
    "docs",
    "infra",
    "pipelines",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "services",
    "shop.toml",
    "templates",
    "testing",
];

/// Names that say nothing, and so collect everything.
const JUNK: [&str; 9] = ["common", "core", "helper", "helpers", "manager", "misc", "shared", "util", "utils"];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let tops: BTreeSet<&str> = tree.files.iter().filter_map(|path| path.split('/').next()).collect();
    let strangers = tops.into_iter().filter(|top| *top != "xtask" && !ROOT.contains(top)).map(|top| {
        Finding::new(
            "layout",
            top,
            "not on the map of the root: put it into a folder, or add it to the list here",
        )
    });
    let junk = tree.files.iter().filter_map(|path| junk_in(path));
    let junk = junk.chain(tree.rust.iter().flat_map(inline_junk)).collect::<BTreeSet<_>>();
    let junk = junk.into_iter().map(|place| Finding::new("layout", place, "name it for what it holds"));
    strangers.chain(junk).collect()
}

/// The part of the path that is a junk drawer: a folder of code, or a Rust module.
fn junk_in(path: &str) -> Option<String> {
    if !path.ends_with(".rs") {
        return None;
    }
    let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    let index = parts.iter().position(|part| JUNK.contains(part))?;
    Some(parts[..=index].join("/"))
}

/// The places of junk drawers that are written within a file.
fn inline_junk(file: &RustFile) -> Vec<String> {
    let mut visitor = InlineJunk { path: &file.path, places: Vec::new() };
    visitor.visit_file(&file.syntax);
    visitor.places
}

struct InlineJunk<'a> {
    path: &'a str,
    places: Vec<String>,
}

impl<'ast> Visit<'ast> for InlineJunk<'_> {
    fn visit_item_mod(&mut self, node: &'ast syn::ItemMod) {
        // A module with a file of its own is found by the file.
        if node.content.is_some() && JUNK.iter().any(|name| node.ident == name) {
            self.places.push(format!("{}:{}", self.path, node.ident.span().start().line));
        }
        visit::visit_item_mod(self, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> Tree {
        Tree {
            files: files.iter().map(ToString::to_string).collect(),
            rust: Vec::new(),
            manifests: Vec::new(),
        }
    }

    #[test]
    fn a_stranger_in_the_root_is_found() {
        let found = check(&tree(&["README.md", "notes.txt", "xtask/src/main.rs"]));
        assert_eq!(found.iter().map(|one| one.place.as_str()).collect::<Vec<_>>(), ["notes.txt"]);
    }

    #[test]
    fn a_junk_drawer_is_found_once() {
        let found = check(&tree(&["cli/x/src/util/a.rs", "cli/x/src/util/b.rs", "cli/x/src/helpers.rs"]));
        let places: Vec<_> = found.iter().map(|one| one.place.as_str()).collect();
        assert_eq!(places, ["cli/x/src/helpers", "cli/x/src/util"]);
    }

    #[test]
    fn a_junk_drawer_within_a_file_is_found() {
        let text = "//! A.\nmod prices {\n    pub(crate) mod util {}\n}\nmod misc;\n";
        let rust = vec![RustFile::parse("cli/x/src/a.rs", text).expect("parses")];
        let found = check(&Tree { rust, ..tree(&[]) });
        let places: Vec<_> = found.iter().map(|one| one.place.as_str()).collect();
        assert_eq!(places, ["cli/x/src/a.rs:3"]);
    }
}
