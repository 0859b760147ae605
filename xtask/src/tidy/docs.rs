//! Every module says at its top what it is for: a file, and a module written within one, opens with `//!` and words.
//! Must not judge what they say.
use syn::visit::{self, Visit};

use super::Finding;
use super::source::{RustFile, Tree};

const MESSAGE: &str = "open the module with `//!`: what it is for and what it must not do";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust.iter().flat_map(findings).collect()
}

fn findings(file: &RustFile) -> Vec<Finding> {
    let mut visitor = Modules { path: &file.path, found: Vec::new() };
    let first = file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if !first.starts_with("//!") || !file.syntax.attrs.iter().any(says_something) {
        visitor.found.push(Finding::new("docs", &file.path, MESSAGE));
    }
    visitor.visit_file(&file.syntax);
    visitor.found
}

struct Modules<'a> {
    path: &'a str,
    found: Vec<Finding>,
}

impl<'ast> Visit<'ast> for Modules<'_> {
    fn visit_item_mod(&mut self, node: &'ast syn::ItemMod) {
        if node.content.is_some() && !is_tests(node) && !node.attrs.iter().any(says_something) {
            let line = node.ident.span().start().line;
            self.found.push(Finding::new("docs", format!("{}:{line}", self.path), MESSAGE));
        }
        visit::visit_item_mod(self, node);
    }
}

/// A line of a module's own document with a word in it.
fn says_something(one: &syn::Attribute) -> bool {
    let syn::Meta::NameValue(syn::MetaNameValue { path, value: syn::Expr::Lit(literal), .. }) = &one.meta
    else {
        return false;
    };
    let syn::Lit::Str(text) = &literal.lit else { return false };
    matches!(one.style, syn::AttrStyle::Inner(_))
        && path.is_ident("doc")
        && text.value().contains(char::is_alphanumeric)
}

/// `#[cfg(test)] mod tests`, whose purpose everybody knows.
fn is_tests(node: &syn::ItemMod) -> bool {
    let cfg_test = |one: &syn::Attribute| {
        one.path().is_ident("cfg") && one.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    };
    node.ident == "tests" && node.attrs.iter().any(cfg_test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_a_document_is_found() {
        let places = |text: &str| -> Vec<String> {
            let file = RustFile::parse("a.rs", text).expect("parses");
            findings(&file).into_iter().map(|one| one.place).collect()
        };
        assert!(RustFile::parse("a.rs", "use std::fmt;\n//! late\n").is_err());
        assert_eq!(places("use std::fmt;\n"), ["a.rs"]);
        assert!(places("\n//! For a.\nuse std::fmt;\n").is_empty());
        assert_eq!(places("//! A.\n/// Outside.\nmod inner {\n}\n"), ["a.rs:3"]);
        assert_eq!(places("//! A.\nmod tests {}\n"), ["a.rs:2"]);
        assert_eq!(places("//! A.\nmod b {\n    //! B.\n    mod c {}\n}\n"), ["a.rs:4"]);
        assert_eq!(places("//!\nuse std::fmt;\n"), ["a.rs"], "it says nothing");
        assert_eq!(places("//! --\n//!  \nuse std::fmt;\n"), ["a.rs"]);
        assert!(places("//!\n//! For a.\nuse std::fmt;\n").is_empty());
        assert_eq!(places("//! A.\nmod b {\n    //!\n}\n"), ["a.rs:2"]);
        assert!(places("//! A.\nmod other;\n#[cfg(test)]\nmod tests {}\n").is_empty());
    }
}
