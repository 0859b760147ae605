//! The platform: the checked file, with every environment resolved. Reads the file and nothing else.
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::document::Document;
use crate::laws;
use crate::problem::{Collector, Problems, did_you_mean};
use crate::resolve::resolve;
use crate::resolved::Resolved;
use crate::source::Source;

/// A platform file is a few hundred lines; what is larger is not one.
const LARGEST: u64 = 1 << 20;

/// A platform whose file has no mistake: every environment resolves and keeps every law.
#[derive(Debug, Clone)]
pub struct Platform {
    environments: Vec<Resolved>,
}

/// Why there is no platform.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is there and has mistakes.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The path is a folder, a pipe, a device.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The file is not text.
    #[error("{path} is not UTF-8 text: line {line} has other bytes")]
    NotText {
        /// The path as it was given.
        path: PathBuf,
        /// The first line with other bytes, from 1.
        line: usize,
    },
    /// The file is far larger than any platform file.
    #[error("{path} is larger than {} bytes", LARGEST)]
    TooLarge {
        /// The path as it was given.
        path: PathBuf,
    },
}

/// The environment asked for does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownEnvironment {
    asked: String,
    known: Vec<String>,
}

impl UnknownEnvironment {
    /// The environments that exist.
    #[must_use]
    pub fn known(&self) -> &[String] {
        &self.known
    }

    /// The environment that was probably meant.
    #[must_use]
    pub fn meant(&self) -> Option<&str> {
        did_you_mean(&self.asked, self.known.iter().map(String::as_str))
    }
}

impl std::fmt::Display for UnknownEnvironment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("no environment `")?;
        self.asked.escape_debug().try_for_each(|c| formatter.write_char(c))?;
        formatter.write_str("` in the platform file")
    }
}

impl std::error::Error for UnknownEnvironment {}

impl Platform {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// Every mistake of the file at once, or why it cannot be read.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let unreadable = |source| LoadError::Unreadable { path: path.into(), source };
        // Asked before opening: opening a pipe waits for a writer.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(LoadError::NotAFile { path: path.into() });
        }
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > LARGEST {
            return Err(LoadError::TooLarge { path: path.into() });
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            LoadError::NotText { path: path.into(), line }
        })?;
        Ok(Self::parse(&path.display().to_string(), &text)?)
    }

    /// Checks `text`; `name` is how its problems call the file.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problems> {
        // Editors on Windows start files with a byte order mark; it means nothing in UTF-8.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut problems = Collector::new(Source::new(name, text));
        let environments = Document::read(&mut problems).map(|document| {
            let environments = resolve(&document, &mut problems);
            laws::check(&environments, &mut problems);
            environments
        });
        problems.finish(environments.map(|environments| Self { environments }))
    }

    /// The environments in the order of the file.
    pub fn environments(&self) -> impl Iterator<Item = &Resolved> {
        self.environments.iter()
    }

    /// One environment.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn resolve(&self, environment: &str) -> Result<&Resolved, UnknownEnvironment> {
        let found = self.environments.iter().find(|one| one.environment.as_str() == environment);
        found.ok_or_else(|| UnknownEnvironment {
            asked: environment.to_owned(),
            known: self.environments.iter().map(|one| one.environment.to_string()).collect(),
        })
    }
}
