//! Only the `src/ui.rs` of a crate prints: everything a person or a script reads passes through one place.
//! Must not look at tests, whose output the test runner owns.
use syn::visit::{self, Visit};

use super::Finding;
use super::source::{RustFile, Tree, macros_called};

const MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// Where a crate may print, seen from its root: in its one module for that, and in what only tests run.
const EXEMPT: [&str; 4] = ["src/ui.rs", "tests/", "benches/", "examples/"];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let exempt = |file: &&RustFile| {
        let within = tree.within_crate(&file.path);
        EXEMPT.iter().any(|place| within == *place || (place.ends_with('/') && within.starts_with(place)))
    };
    tree.rust.iter().filter(|file| !exempt(file)).flat_map(findings).collect()
}

fn findings(file: &RustFile) -> Vec<Finding> {
    let mut visitor = Prints { path: &file.path, found: Vec::new() };
    visitor.visit_file(&file.syntax);
    visitor.found
}

struct Prints<'a> {
    path: &'a str,
    found: Vec<Finding>,
}

impl Prints<'_> {
    fn judge(&mut self, name: &proc_macro2::Ident) {
        if MACROS.iter().any(|known| name == known) {
            let place = format!("{}:{}", self.path, name.span().start().line);
            self.found.push(Finding::new("prints", place, format!("`{name}!` belongs in src/ui.rs")));
        }
    }
}

impl<'ast> Visit<'ast> for Prints<'_> {
    /// Under another name it would be called unseen.
    fn visit_use_rename(&mut self, node: &'ast syn::UseRename) {
        self.judge(&node.ident);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        if let Some(segment) = node.path.segments.last() {
            self.judge(&segment.ident);
        }
        macros_called(node.tokens.clone(), &mut |name| self.judge(name));
        visit::visit_macro(self, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(path: &str, text: &str) -> Vec<String> {
        let tree = Tree {
            files: Vec::new(),
            rust: vec![RustFile::parse(path, text).expect("parses")],
            manifests: ["Cargo.toml", "cli/x/Cargo.toml", "cli/x/tests/fixtures/y/Cargo.toml"]
                .map(|path| (path.to_owned(), String::new()))
                .into(),
        };
        check(&tree).into_iter().map(|one| one.place).collect()
    }

    const PRINTING: &str = "//! A.\nfn f() {\n    println!(\"x\");\n}\n";

    #[test]
    fn a_print_outside_ui_is_found_with_its_line() {
        assert_eq!(places("cli/x/src/a.rs", PRINTING), ["cli/x/src/a.rs:3"]);
    }

    #[test]
    fn a_print_within_another_macro_is_found() {
        let select = "//! A.\nasync fn f() {\n    tokio::select! {\n        () = g() => std::println!(\"x\"),\n    }\n}\n";
        assert_eq!(places("cli/x/src/a.rs", select), ["cli/x/src/a.rs:4"]);
        let rules = "//! A.\nmacro_rules! say {\n    () => { eprintln!(\"x\") };\n}\n";
        assert_eq!(places("cli/x/src/a.rs", rules), ["cli/x/src/a.rs:3"]);
        assert!(places("cli/x/src/a.rs", "//! A.\nfn f() { g(vec![println != 1]); }\n").is_empty());
    }

    #[test]
    fn a_print_under_another_name_is_found() {
        let renamed = "//! A.\nuse std::println as say;\nfn f() { say!(\"x\"); }\n";
        assert_eq!(places("cli/x/src/a.rs", renamed), ["cli/x/src/a.rs:2"]);
        for name in MACROS {
            let within = format!("//! A.\nfn f() {{\n    use std::{{fmt, {name} as say}};\n}}\n");
            assert_eq!(places("cli/x/src/a.rs", &within), ["cli/x/src/a.rs:3"], "{name}");
        }
        assert!(places("cli/x/src/a.rs", "//! A.\nuse std::fmt as println;\n").is_empty());
    }

    #[test]
    fn only_the_ui_of_a_crate_and_its_tests_may_print() {
        let may = [
            "cli/x/src/ui.rs",
            "cli/x/tests/it/a.rs",
            "cli/x/benches/a.rs",
            "cli/x/examples/a.rs",
            "cli/x/tests/fixtures/y/src/main.rs",
        ];
        for path in may {
            assert!(places(path, PRINTING).is_empty(), "{path}");
        }
        for path in
            ["cli/x/src/commands/ui.rs", "cli/x/src/tests/a.rs", "cli/x/src/examples.rs", "cli/x/ui.rs"]
        {
            assert_eq!(places(path, PRINTING).len(), 1, "{path}");
        }
    }
}
