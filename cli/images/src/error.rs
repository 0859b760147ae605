//! Why an image cannot be made or read. Each message names the place.

use std::io;
use std::path::PathBuf;

/// Shorthand of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an image cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path that no image of ours has.
    #[error("{path}: {reason}")]
    Entry { path: String, reason: &'static str },
    /// A file of the layout is not what its name says.
    #[error("{} is damaged: it holds {found}", .file.display())]
    Damaged { file: PathBuf, found: String },
    /// The program does not compile.
    #[error("{package} does not compile; all that was said is in {}\n{said}", .log.display())]
    Compile { package: String, said: String, log: PathBuf },
    /// Git cannot tell what it was asked.
    #[error("git: {said}")]
    Git { said: String },
    /// The history is not there as far back as the last change.
    #[error(
        "this clone is shallow, and the last change to what the image is made of lies before its beginning: fetch the whole \
         history (`git fetch --unshallow`)"
    )]
    Shallow,
    /// Cargo cannot read the workspace, or it lacks what was asked for.
    #[error("{said}")]
    Workspace { said: String },
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
}

/// The path in an error of the system, which does not name it.
pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> Error + '_ {
    move |source| Error::File { path: path.to_owned(), source }
}
