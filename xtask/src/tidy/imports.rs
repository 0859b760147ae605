//! Inside a service each folder has its own layer: `domain/` is pure, `db/` knows no HTTP and alone has the SQL,
//! `http/` alone has the routes.
//! Must not look at tests.
use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Finding;
use super::source::{RustFile, Tree, macros_called};

/// Paths that a layer must not name: the folder, the start of the path, why.
const BANNED: &[(&str, &str, &str)] = &[
    ("domain", "axum", "the domain knows no framework"),
    ("domain", "sqlx", "the domain knows no database"),
    ("domain", "tokio", "the domain knows no runtime"),
    ("domain", "std::time::SystemTime", NO_CLOCK),
    ("domain", "std::time::Instant", NO_CLOCK),
    ("db", "axum", "a query knows no HTTP"),
];

const NO_CLOCK: &str = "the domain has no clock: take the time as an argument";

/// How paths begin that hold SQL without a macro.
const SQL: [&str; 3] = ["sqlx::query", "sqlx::raw_sql", "sqlx::QueryBuilder"];

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
    // First what is renamed: a `use` may stand below the place that it speaks of.
    let mut renames = Renames(BTreeMap::new());
    renames.visit_file(&file.syntax);
    let mut visitor = Imports { path: &file.path, layer, renamed: renames.0, found: Vec::new() };
    visitor.visit_file(&file.syntax);
    visitor.found
}

struct Imports<'a> {
    path: &'a str,
    layer: &'a str,
    /// What `use … as name` calls by another name.
    renamed: BTreeMap<String, String>,
    found: Vec<Finding>,
}

impl Imports<'_> {
    fn judge(&mut self, named: &str, line: usize) {
        for (layer, banned, why) in BANNED {
            let hit =
                named == *banned || named.strip_prefix(banned).is_some_and(|rest| rest.starts_with("::"));
            if *layer == self.layer && hit {
                self.add(format!("`{named}`: {why}"), line);
            }
        }
        let last = named.rsplit("::").next().unwrap_or_default();
        // `now`, `now_utc`, `now_v7`: whatever the type is called, it asks a clock.
        if self.layer == "domain" && (last == "now" || last.starts_with("now_") || named == "std::time") {
            self.add(format!("`{named}`: {NO_CLOCK}"), line);
        }
        if self.layer != "db" && SQL.iter().any(|start| named.starts_with(start)) {
            self.add(format!("`{named}`: SQL belongs in db/"), line);
        }
    }

    fn add(&mut self, message: String, line: usize) {
        self.found.push(Finding::new("imports", format!("{}:{line}", self.path), message));
    }

    fn judge_macro(&mut self, name: &str, line: usize) {
        for (known, home) in HOMES {
            if *known == name && *home != self.layer {
                self.add(format!("`{name}!` belongs in {home}/"), line);
            }
        }
    }

    /// Paths inside the arguments of a macro, which the parser leaves as tokens.
    fn judge_paths_in(&mut self, tokens: TokenStream) {
        let mut named: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.judge_path(&std::mem::take(&mut named), line);
                        line = name.span().start().line;
                    }
                    named.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.judge_path(&std::mem::take(&mut named), line);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.judge_paths_in(group.stream());
                    }
                }
            }
        }
        self.judge_path(&named, line);
    }

    /// A path of more than one name, its first name replaced where the file gave it another.
    fn judge_path(&mut self, named: &[String], line: usize) {
        let [first, rest @ ..] = named else { return };
        if !rest.is_empty() {
            let first = self.renamed.get(first).unwrap_or(first);
            self.judge(&format!("{first}::{}", rest.join("::")), line);
        }
    }
}

/// Calls `see` with every path that a `use` names, and the other name that it gives it.
fn each_use(prefix: &str, tree: &syn::UseTree, see: &mut impl FnMut(&str, Option<&syn::Ident>)) {
    let join = |name: &syn::Ident| match (prefix, name == "self") {
        ("", _) => name.to_string(),
        (_, true) => prefix.to_owned(),
        (_, false) => format!("{prefix}::{name}"),
    };
    match tree {
        syn::UseTree::Path(path) => each_use(&join(&path.ident), &path.tree, see),
        syn::UseTree::Group(group) => group.items.iter().for_each(|item| each_use(prefix, item, see)),
        syn::UseTree::Name(name) => see(&join(&name.ident), None),
        syn::UseTree::Rename(rename) => see(&join(&rename.ident), Some(&rename.rename)),
        syn::UseTree::Glob(_) => see(prefix, None),
    }
}

/// Other names that a file gives to paths.
struct Renames(BTreeMap<String, String>);

impl<'ast> Visit<'ast> for Renames {
    fn visit_item_use(&mut self, node: &'ast syn::ItemUse) {
        each_use("", &node.tree, &mut |named, other| {
            if let Some(other) = other {
                self.0.insert(other.to_string(), named.to_owned());
            }
        });
    }
}

impl<'ast> Visit<'ast> for Imports<'_> {
    fn visit_item_use(&mut self, node: &'ast syn::ItemUse) {
        let line = node.span().start().line;
        each_use("", &node.tree, &mut |named, _| self.judge(named, line));
    }

    fn visit_path(&mut self, node: &'ast syn::Path) {
        let named: Vec<String> = node.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.judge_path(&named, node.span().start().line);
        visit::visit_path(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        let name = node.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        self.judge_macro(&name, node.span().start().line);
        macros_called(node.tokens.clone(), &mut |name| {
            self.judge_macro(&name.to_string(), name.span().start().line);
        });
        self.judge_paths_in(node.tokens.clone());
        // A macro with a home has been judged by it: its path says the same once more.
        if !HOMES.iter().any(|(known, _)| *known == name) {
            visit::visit_macro(self, node);
        }
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
    fn a_clock_under_another_name_is_a_clock() {
        for bad in [
            "use std::time as t; fn f() { t::Instant::now(); }",
            "use std::time::{self, Duration};",
            "fn f() -> Uuid { Uuid::now_v7() }",
            "fn f() { g(vec![std::time::SystemTime::UNIX_EPOCH]); }",
        ] {
            assert!(!found("services/s/src/domain/a.rs", bad).is_empty(), "{bad}");
        }
        assert!(
            found("services/s/src/domain/a.rs", "use std::time::Duration; fn f(now: Duration) {}").is_empty()
        );
        assert!(found("services/s/src/http/a.rs", "fn f() { Uuid::now_v7(); }").is_empty());
    }

    #[test]
    fn what_a_macro_is_given_is_looked_at_too() {
        assert_eq!(found("services/s/src/db/a.rs", "fn f() { g!(a: axum::http::StatusCode::OK); }").len(), 1);
        assert!(
            found("services/s/src/db/a.rs", "fn f() { g!(b::axum, x::<axum>, other::axum::A); }").is_empty()
        );
    }

    #[test]
    fn sql_without_a_macro_is_sql() {
        for bad in [
            "fn f() { sqlx::query::<Postgres>(\"SELECT 1\"); }",
            "use sqlx::query_as;",
            "use sqlx as s; fn f() { s::query_scalar(\"SELECT 1\"); }",
            "fn f() { join!(sqlx::raw_sql(\"SELECT 1\")); }",
        ] {
            assert_eq!(found("services/s/src/http/a.rs", bad).len(), 1, "{bad}");
            assert!(found("services/s/src/db/a.rs", bad).is_empty(), "{bad}");
        }
        assert!(found("services/s/src/http/a.rs", "use sqlx::PgPool;").is_empty());
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
