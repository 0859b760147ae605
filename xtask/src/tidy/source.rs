//! The files of the repository, read and parsed once for all rules.
//! Must not judge them.
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

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

    /// Tests, benches and examples: held to fewer rules.
    pub(crate) fn is_test(&self) -> bool {
        ["tests", "benches", "examples"].iter().any(|folder| self.path.split('/').any(|part| part == *folder))
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
}
