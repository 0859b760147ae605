//! What a command knows about where it runs: the folder, the platform file, the environment.
//! Must not print, and must not hold a command's own state.
use std::path::{Path, PathBuf};

use shop_platform::{Platform, Resolved};

use crate::args::GlobalArgs;
use crate::error::{CommandError, OrExit as _};
use crate::exit::Exit;

/// The name of the file that makes a folder the root of a platform.
pub(crate) const PLATFORM_FILE: &str = "shop.toml";

#[derive(Debug)]
pub(crate) struct Context {
    /// The folder that the command works from: `-C`, or the current one. Absolute.
    pub(crate) directory: PathBuf,
}

impl Context {
    pub(crate) fn new(global: &GlobalArgs) -> Result<Self, CommandError> {
        let current =
            std::env::current_dir().or_exit(Exit::Unexpected, "the current folder cannot be read")?;
        let directory = match &global.directory {
            None => current,
            Some(given) => {
                let path = current.join(given);
                if !path.is_dir() {
                    return Err(CommandError::usage(format!("no folder at {}", path.display()))
                        .hint("give --directory a folder that exists"));
                }
                path
            }
        };
        Ok(Self { directory })
    }

    /// The nearest folder, from here upward, that holds a shop.toml.
    pub(crate) fn root(&self) -> Result<&Path, CommandError> {
        self.directory.ancestors().find(|folder| folder.join(PLATFORM_FILE).exists()).ok_or_else(|| {
            CommandError::usage(format!("no {PLATFORM_FILE} in {} or above", self.directory.display()))
                .hint("start shopctl inside the repository, or give --directory the repository's folder")
        })
    }

    /// Where the platform file is; short where it lies below the current folder, since errors print it.
    pub(crate) fn platform_file(&self) -> Result<PathBuf, CommandError> {
        let path = self.root()?.join(PLATFORM_FILE);
        let below =
            std::env::current_dir().ok().and_then(|here| Some(path.strip_prefix(here).ok()?.to_owned()));
        Ok(below.unwrap_or(path))
    }

    /// The checked platform file.
    pub(crate) fn platform(&self) -> Result<Platform, CommandError> {
        Platform::load(&self.platform_file()?).map_err(CommandError::from)
    }

    /// One environment of the checked platform file.
    pub(crate) fn environment(&self, name: &str) -> Result<Resolved, CommandError> {
        let platform = self.platform()?;
        platform.resolve(name).cloned().map_err(CommandError::from)
    }

    /// A variable of the process's environment; one that is not UTF-8 counts as absent.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }
}
