//! Every module says at its top what it is for: the file opens with `//!`.
//! Must not judge what it says.
use super::Finding;
use super::source::{RustFile, Tree};

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust.iter().filter_map(finding).collect()
}

fn finding(file: &RustFile) -> Option<Finding> {
    let first = file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    (!first.starts_with("//!")).then(|| {
        Finding::new("docs", &file.path, "open the module with `//!`: what it is for and what it must not do")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_a_document_is_found() {
        let bare = RustFile::parse("a.rs", "use std::fmt;\n//! late\n");
        assert!(bare.is_err() || finding(&bare.expect("parses")).is_some());
        let bare = RustFile::parse("a.rs", "use std::fmt;\n").expect("parses");
        assert!(finding(&bare).is_some());
        let good = RustFile::parse("a.rs", "\n//! For a.\nuse std::fmt;\n").expect("parses");
        assert!(finding(&good).is_none());
    }
}
