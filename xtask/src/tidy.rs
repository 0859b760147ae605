//! `cargo xtask tidy`: the rules of the house that a compiler does not know, one rule a file.
//! Must not change a file: it reads and complains.
mod docs;
mod edges;
mod imports;
mod layout;
mod manifests;
mod map;
mod prints;
mod sizes;
mod source;

use std::path::Path;

use anyhow::{Result, ensure};

use crate::ui;
use source::Tree;

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// `path` or `path:line`, relative to the root.
    place: String,
    rule: &'static str,
    /// What is wrong and what to do.
    message: String,
}

impl Finding {
    fn new(rule: &'static str, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), rule, message: message.into() }
    }
}

/// Checks every rule, prints every breach, and fails if there is one.
pub(crate) fn check(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    let mut findings = Vec::new();
    findings.extend(layout::check(&tree));
    findings.extend(manifests::check(&tree)?);
    findings.extend(edges::check(root)?);
    findings.extend(map::check(root)?);
    findings.extend(sizes::check(&tree));
    findings.extend(docs::check(&tree));
    findings.extend(prints::check(&tree));
    findings.extend(imports::check(&tree));
    findings.sort();
    for Finding { place, rule, message } in &findings {
        ui::line(format_args!("{place}: [{rule}] {message}"));
    }
    ui::line(sizes::summary(&tree));
    ensure!(findings.is_empty(), "tidy has {} findings", findings.len());
    ui::line(format_args!("tidy: {} files, nothing to complain about", tree.files.len()));
    Ok(())
}
