//! Inside a service each folder has its own layer: `domain/` is pure, `db/` knows no HTTP and alone has the SQL,
//! `http/` alone has the routes.
//! Must not look at tests.
use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Finding;
use super::source::{RustFile, Tree};

/// Paths that a layer must not name: the folder, the start of the path, why.
const BANNED: &[(&str, &str, &str)] = &[
    ("domain", "axum", "the domain knows no framework"),
    ("domain", "sqlx", "the domain knows no database"),
    ("domain", "tokio", "the domain knows no runtime"),
    ("domain", "std::time::SystemTime", "the domain has no clock: take the time as an argument"),
    ("domain", "std::time::Instant", "the domain has no clock: take the time as an argument"),
    ("db", "axum", "a query knows no HTTP"),
];

/// Macros with the only folder that may use them.
const HOMES: &[(&str, &str)] = &[
    ("query", "db"),
    ("query_as", "db"),
    ("query_scalar", "db"),
    ("query_file", "db"),
    ("query_unchecked", "db"),
    ("routes", "http"),
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let services: Vec<&str> = tree
        .files
        .iter()
        .filter_map(|path| path.strip_prefix("services/")?.split_once("/migrations/"))
        .map(|(service, _)| service)
        .filter(|service| *service != "kit")
        .collect();
    let of_a_service = |file: &&RustFile| {
        services.iter().any(|service| file.path.starts_with(&format!("services/{service}/src/")))
    };
    tree.rust.iter().filter(of_a_service).flat_map(findings).collect()
}

fn findings(file: &RustFile) -> Vec<Finding> {
    let layer = file.path.split("/src/").nth(1).unwrap_or_default();
    let layer = layer.split(['/', '.']).next().unwrap_or_default();
    let mut visitor = Imports { path: &file.path, layer, found: Vec::new() };
    visitor.visit_file(&file.syntax);
    visitor.found
}

struct Imports<'a> {
    path: &'a str,
    layer: &'a str,
    found: Vec<Finding>,
}

impl Imports<'_> {
    fn judge(&mut self, named: &str, line: usize) {
        for (layer, banned, why) in BANNED {
            let hit =
                named == *banned || named.strip_prefix(banned).is_some_and(|rest| rest.starts_with("::"));
            if *layer == self.layer && hit {
                self.found.push(Finding::new(
                    "imports",
                    format!("{}:{line}", self.path),
                    format!("`{named}`: {why}"),
                ));
            }
        }
        if self.layer == "domain" && named.ends_with("now_utc") {
            let message = "the domain has no clock: take the time as an argument";
            self.found.push(Finding::new("imports", format!("{}:{line}", self.path), message));
        }
    }

    fn judge_use(&mut self, prefix: &str, tree: &syn::UseTree, line: usize) {
        let join = |name: &syn::Ident| {
            if prefix.is_empty() { name.to_string() } else { format!("{prefix}::{name}") }
        };
        match tree {
            syn::UseTree::Path(path) => self.judge_use(&join(&path.ident), &path.tree, line),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.judge_use(prefix, item, line));
            }
            syn::UseTree::Name(name) => self.judge(&join(&name.ident), line),
            syn::UseTree::Rename(rename) => self.judge(&join(&rename.ident), line),
            syn::UseTree::Glob(_) => self.judge(prefix, line),
        }
    }

    fn judge_macro(&mut self, name: &str, line: usize) {
        for (known, home) in HOMES {
            if *known == name && *home != self.layer {
                let message = format!("`{name}!` belongs in {home}/");
                self.found.push(Finding::new("imports", format!("{}:{line}", self.path), message));
            }
        }
    }

    /// Macro calls inside the arguments of another macro, which the parser leaves as tokens.
    fn judge_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (index, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(name) => {
                    let bang = matches!(tokens.get(index + 1), Some(TokenTree::Punct(punct)) if punct.as_char() == '!');
                    let call = matches!(tokens.get(index + 2), Some(TokenTree::Group(_)));
                    if bang && call {
                        self.judge_macro(&name.to_string(), name.span().start().line);
                    }
                }
                TokenTree::Group(group) => self.judge_tokens(group.stream()),
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Imports<'_> {
    fn visit_item_use(&mut self, node: &'ast syn::ItemUse) {
        self.judge_use("", &node.tree, node.span().start().line);
    }

    fn visit_path(&mut self, node: &'ast syn::Path) {
        let named: Vec<String> = node.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if named.len() > 1 {
            self.judge(&named.join("::"), node.span().start().line);
        }
        visit::visit_path(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        let name = node.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        self.judge_macro(&name, node.span().start().line);
        self.judge_tokens(node.tokens.clone());
        visit::visit_macro(self, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, code: &str) -> Vec<String> {
        let file = RustFile::parse(path, &format!("//! A.\n{code}\n")).expect("parses");
        findings(&file).into_iter().map(|one| one.message).collect()
    }

    #[test]
    fn the_domain_is_pure() {
        for bad in ["use sqlx::PgPool;", "use {serde::Serialize, tokio::sync::Mutex};", "use axum::*;"] {
            assert_eq!(found("services/s/src/domain/a.rs", bad).len(), 1, "{bad}");
        }
        assert_eq!(found("services/s/src/domain.rs", "fn f() { time::OffsetDateTime::now_utc(); }").len(), 1);
        assert!(found("services/s/src/domain/a.rs", "use time::OffsetDateTime;").is_empty());
    }

    #[test]
    fn sql_lives_in_db_and_routes_in_http() {
        let query = "async fn f() { sqlx::query!(\"SELECT 1\"); }";
        assert_eq!(found("services/s/src/http/a.rs", query).len(), 1);
        assert!(found("services/s/src/db/a.rs", query).is_empty());
        assert_eq!(found("services/s/src/lib.rs", "fn f() { g(vec![routes!(a)]); }").len(), 1);
        assert_eq!(found("services/s/src/db/a.rs", "use axum::Json;").len(), 1);
    }
}
