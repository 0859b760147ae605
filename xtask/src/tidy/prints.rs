//! Only a file called `ui.rs` prints: everything a person or a script reads passes through one place.
//! Must not look at tests, whose output the test runner owns.
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Finding;
use super::source::{RustFile, Tree};

const MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust.iter().flat_map(findings).collect()
}

fn findings(file: &RustFile) -> Vec<Finding> {
    if file.is_test() || file.path.ends_with("/ui.rs") {
        return Vec::new();
    }
    let mut visitor = Prints { path: &file.path, found: Vec::new() };
    visitor.visit_file(&file.syntax);
    visitor.found
}

struct Prints<'a> {
    path: &'a str,
    found: Vec<Finding>,
}

impl<'ast> Visit<'ast> for Prints<'_> {
    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        let name = node.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        if MACROS.contains(&name.as_str()) {
            let place = format!("{}:{}", self.path, node.span().start().line);
            self.found.push(Finding::new("prints", place, format!("`{name}!` belongs in ui.rs")));
        }
        visit::visit_macro(self, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_print_outside_ui_is_found_with_its_line() {
        let text = "//! A.\nfn f() {\n    println!(\"x\");\n}\n";
        let found = findings(&RustFile::parse("cli/x/src/a.rs", text).expect("parses"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "cli/x/src/a.rs:3");
        assert!(findings(&RustFile::parse("cli/x/src/ui.rs", text).expect("parses")).is_empty());
        assert!(findings(&RustFile::parse("cli/x/tests/it/a.rs", text).expect("parses")).is_empty());
    }
}
