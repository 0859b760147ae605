//! The one error type of commands: what happened, which exit code it is, what to do next.
//! Must not print: `ui` renders it, as text or as a document.
use std::fmt::Display;

use shop_platform::{LoadError, Problems, UnknownEnvironment};

use crate::exit::Exit;

/// Why a command stopped. The message is a lowercase fragment without a trailing dot.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) kind: Exit,
    pub(crate) message: String,
    /// What the reader can do next, most likely first.
    pub(crate) hints: Vec<String>,
    pub(crate) source: Option<anyhow::Error>,
}

impl CommandError {
    pub(crate) fn new(kind: Exit, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new(), source: None }
    }

    /// Wrong arguments, or something missing that a flag would give.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Ends the command without a word: all has been said, or nobody is left to hear it.
    pub(crate) fn quiet(kind: Exit) -> Self {
        Self::new(kind, "")
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The messages of the chain of causes, outermost first.
    pub(crate) fn causes(&self) -> Vec<String> {
        self.source.iter().flat_map(anyhow::Error::chain).map(ToString::to_string).collect()
    }

    /// The mistakes of a platform file, if that is what went wrong.
    pub(crate) fn problems(&self) -> Option<&Problems> {
        self.source.as_ref()?.downcast_ref()
    }

    pub(crate) fn source(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// Anything not foreseen is a bug or a broken machine: exit 1, with the whole chain and where to report it.
impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        let mut chain = error.chain();
        let message = chain.next().map(ToString::to_string).unwrap_or_default();
        let rest: Vec<String> = chain.map(ToString::to_string).collect();
        let source = (!rest.is_empty()).then(|| anyhow::Error::msg(rest.join(": ")));
        Self { kind: Exit::Unexpected, message, hints: Vec::new(), source }
    }
}

/// Gives a foreseen failure its exit code and message; the original error is kept as the source.
pub(crate) trait OrExit<T> {
    fn or_exit(self, kind: Exit, message: impl Display) -> Result<T, CommandError>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, kind: Exit, message: impl Display) -> Result<T, CommandError> {
        self.map_err(|error| CommandError::new(kind, message.to_string()).source(error))
    }
}

impl From<LoadError> for CommandError {
    fn from(error: LoadError) -> Self {
        let message = error.to_string();
        match error {
            LoadError::Problems(problems) => Self::usage(message).source(problems),
            LoadError::Unreadable { source, .. } => Self::usage(message).source(source),
            LoadError::NotText { .. } => Self::usage(message).hint("save it as UTF-8"),
            LoadError::NotAFile { .. } | LoadError::TooLarge { .. } => {
                Self::usage(message).hint("a platform file is a text file named shop.toml")
            }
        }
    }
}

impl From<UnknownEnvironment> for CommandError {
    fn from(error: UnknownEnvironment) -> Self {
        let known = format!("known: {}", error.known().join(", "));
        let message = error.to_string();
        match error.meant() {
            Some(meant) => Self::usage(message).hint(format!("did you mean `{meant}`?")).hint(known),
            None => Self::usage(message).hint(known),
        }
    }
}
