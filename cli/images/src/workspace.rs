//! The workspace that programs are compiled in, as Cargo knows it: asked once for all images. Must not compile anything.

use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::{Error, Result};

/// A workspace.
#[derive(Debug, Clone)]
pub struct Workspace {
    metadata: Metadata,
}

impl Workspace {
    /// The one at `root`. Reads its manifests and fetches nothing.
    ///
    /// # Errors
    /// When Cargo is not there, or cannot read the workspace.
    pub fn at(root: &Path) -> Result<Self> {
        let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec();
        metadata.map(|metadata| Self { metadata }).map_err(|error| Error::Workspace { said: said(&error) })
    }

    /// The folder of its manifest.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// Where programs for images are built: beside what developers build, so that neither waits for the other's lock.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        self.metadata.target_directory.join("images").into_std_path_buf()
    }

    pub(crate) fn package(&self, name: &str) -> Result<&Package> {
        let unknown = || Error::Workspace { said: format!("the workspace has no package {name}") };
        self.metadata.packages.iter().find(|package| package.name.as_str() == name).ok_or_else(unknown)
    }

    /// A package's folder below the root.
    pub(crate) fn folder(&self, package: &Package) -> Result<String> {
        let folder = package.manifest_path.parent().unwrap_or(&package.manifest_path);
        let outside = |_| Error::Workspace { said: format!("{folder} lies outside of the workspace") };
        folder.strip_prefix(&self.metadata.workspace_root).map(ToString::to_string).map_err(outside)
    }
}

/// What Cargo says itself, without its `error: ` and where it is quoted from.
fn said(error: &cargo_metadata::Error) -> String {
    match error {
        cargo_metadata::Error::CargoMetadata { stderr } => {
            let lines = stderr.lines().map(|line| line.trim().trim_start_matches("error: "));
            lines.filter(|line| !line.is_empty() && *line != "Caused by:").collect::<Vec<_>>().join(": ")
        }
        cargo_metadata::Error::Io(error) => format!("cargo cannot be started: {error}"),
        other => other.to_string(),
    }
}
