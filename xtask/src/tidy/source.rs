//! The files of the repository, read and parsed once for all rules.
//! Must not judge them.
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use proc_macro2::{Ident, TokenStream, TokenTree};

/// Every file that git tracks or would track, and the Rust ones parsed.
pub(crate) struct Tree {
    /// Paths relative to the root, with `/`.
    pub(crate) files: Vec<String>,
    pub(crate) rust: Vec<RustFile>,
    /// Path and text of every `Cargo.toml`.
    pub(crate) manifests: Vec<(String, String)>,
}

pub(crate) struct RustFile {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) syntax: syn::File,
}

impl RustFile {
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self> {
        let syntax = syn::parse_file(text).with_context(|| format!("{path} does not parse"))?;
        Ok(Self { path: path.to_owned(), text: text.to_owned(), syntax })
    }
}

impl Tree {
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("git is needed to list the files")?;
        ensure!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
        let listed = String::from_utf8(listed.stdout).context("a file name is not UTF-8")?;
        let files: Vec<String> = listed
            .split('\0')
            .filter(|path| !path.is_empty() && root.join(path).is_file())
            .map(str::to_owned)
            .collect();
        let read = |path: &String| {
            std::fs::read_to_string(root.join(path)).with_context(|| format!("{path} cannot be read"))
        };
        let rust = files
            .iter()
            .filter(|path| path.ends_with(".rs"))
            .map(|path| RustFile::parse(path, &read(path)?))
            .collect::<Result<_>>()?;
        let manifests = files
            .iter()
            .filter(|path| path.ends_with("Cargo.toml"))
            .map(|path| Ok((path.clone(), read(path)?)))
            .collect::<Result<_>>()?;
        Ok(Self { files, rust, manifests })
    }
    /// The path of a file within its crate. Of crates within crates the outermost counts: a fixture belongs to the
    /// tests of the crate that it is a fixture for.
    pub(crate) fn within_crate<'a>(&self, path: &'a str) -> &'a str {
        let roots = self.manifests.iter().filter_map(|(manifest, _)| manifest.strip_suffix("Cargo.toml"));
        let around = roots.filter(|root| !root.is_empty() && path.starts_with(root));
        around.min_by_key(|root| root.len()).map_or(path, |root| &path[root.len()..])
    }
}

/// Calls `see` with the name of every macro called in these tokens, however deep. The parser leaves what a macro is
/// given as tokens, so that a rule which looks at the syntax alone is passed by within `select! { … }`.
pub(crate) fn macros_called(tokens: TokenStream, see: &mut impl FnMut(&Ident)) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(name) => {
                let bang =
                    matches!(tokens.get(index + 1), Some(TokenTree::Punct(punct)) if punct.as_char() == '!');
                if bang && matches!(tokens.get(index + 2), Some(TokenTree::Group(_))) {
                    see(name);
                }
            }
            TokenTree::Group(group) => macros_called(group.stream(), see),
            _ => {}
        }
    }
}
