//! Small things stay readable: a file has at most 400 lines, a function body at most 60.
//! Must not count differently for tests: a long test is as hard to read as any other code.
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Finding;
use super::source::{RustFile, Tree};

/// Lines of a file, blank ones and comments included.
const MAX_FILE_LINES: usize = 400;
/// Lines between a function's braces.
const MAX_FUNCTION_LINES: usize = 60;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust.iter().flat_map(findings).collect()
}

/// Median and 95th percentile, so that growth is seen before it is a breach.
pub(crate) fn summary(tree: &Tree) -> String {
    let mut lines: Vec<usize> = tree.rust.iter().map(|file| file.text.lines().count()).collect();
    lines.sort_unstable();
    let mut bodies: Vec<usize> =
        tree.rust.iter().flat_map(functions).map(|function| function.lines).collect();
    bodies.sort_unstable();
    let at = |sorted: &[usize], percent: usize| {
        sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
    };
    format!(
        "sizes: files median {} p95 {} max {}; functions median {} p95 {} max {}",
        at(&lines, 50),
        at(&lines, 95),
        at(&lines, 100),
        at(&bodies, 50),
        at(&bodies, 95),
        at(&bodies, 100)
    )
}

fn findings(file: &RustFile) -> Vec<Finding> {
    let mut found = Vec::new();
    let lines = file.text.lines().count();
    if lines > MAX_FILE_LINES {
        let message = format!("{lines} lines; split it by subject (at most {MAX_FILE_LINES})");
        found.push(Finding::new("sizes", &file.path, message));
    }
    for Function { name, line, lines } in functions(file) {
        if lines > MAX_FUNCTION_LINES {
            let message =
                format!("`{name}` has {lines} lines; name its parts (at most {MAX_FUNCTION_LINES})");
            found.push(Finding::new("sizes", format!("{}:{line}", file.path), message));
        }
    }
    found
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
}

fn functions(file: &RustFile) -> Vec<Function> {
    let mut visitor = Functions(Vec::new());
    visitor.visit_file(&file.syntax);
    visitor.0
}

struct Functions(Vec<Function>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let span = block.span();
        let lines = (span.end().line - span.start().line).saturating_sub(1);
        self.0.push(Function {
            name: signature.ident.to_string(),
            line: signature.span().start().line,
            lines,
        });
    }

    /// Functions in what a macro is given, which the parser leaves as tokens: `fn name … { … }`.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut name = None;
        let mut after_fn = false;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if ident == "fn" => after_fn = true,
                TokenTree::Ident(ident) if after_fn => {
                    name = Some(ident);
                    after_fn = false;
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => name = None,
                TokenTree::Group(group) => {
                    after_fn = false; // the type `fn(…)`
                    if group.delimiter() == Delimiter::Brace
                        && let Some(name) = name.take()
                    {
                        let (open, close) = (group.span_open().start().line, group.span_close().start().line);
                        let lines = (close - open).saturating_sub(1);
                        self.0.push(Function {
                            name: name.to_string(),
                            line: name.span().start().line,
                            lines,
                        });
                    }
                    self.add_tokens(group.stream());
                }
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        self.add(&node.sig, &node.block);
        visit::visit_item_fn(self, node);
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        self.add(&node.sig, &node.block);
        visit::visit_impl_item_fn(self, node);
    }

    fn visit_trait_item_fn(&mut self, node: &'ast syn::TraitItemFn) {
        if let Some(block) = &node.default {
            self.add(&node.sig, block);
        }
        visit::visit_trait_item_fn(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        self.add_tokens(node.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with_body(lines: usize) -> RustFile {
        let text = format!("//! A.\nfn long() {{\n{}}}\n", "    x();\n".repeat(lines));
        RustFile::parse("a.rs", &text).expect("parses")
    }

    #[test]
    fn a_function_of_61_lines_is_found_and_one_of_60_is_not() {
        assert!(findings(&file_with_body(60)).is_empty());
        let found = findings(&file_with_body(61));
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("`long` has 61 lines"));
    }

    #[test]
    fn a_long_function_within_a_macro_is_found() {
        let text = format!(
            "//! A.\nmacro_rules! m {{\n    ($n:ident) => {{\n        fn $n(f: fn(u8)) -> u8 {{\n{}        }}\n    }};\n}}\n",
            "            x();\n".repeat(61)
        );
        let found = findings(&RustFile::parse("a.rs", &text).expect("parses"));
        assert_eq!(found.iter().map(|one| one.place.as_str()).collect::<Vec<_>>(), ["a.rs:4"]);
    }

    #[test]
    fn a_file_of_401_lines_is_found() {
        let text = format!("//! A.\n{}", "const A: u8 = 1;\n".repeat(400));
        assert_eq!(findings(&RustFile::parse("a.rs", &text).expect("parses")).len(), 1);
    }
}
