//! The one error type of commands: what happened, which exit code it is, what to do next.
//! Must not print: `ui` renders it, as text or as a document.
use std::fmt::Display;

use serde::Serialize;

use crate::exit::Exit;
use crate::ui::{Paint, REPORT_AT};

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

    /// The reader of stdout went away: nothing is wrong and nothing is said.
    pub(crate) fn broken_pipe() -> Self {
        Self::new(Exit::Done, "")
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(crate) fn source(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl CommandError {
    /// For people: `error:` with the message, then the chain of causes, then the hints.
    pub(crate) fn text(&self, paint: Paint) -> String {
        let mut text = format!("{} {}\n", paint.bad("error:"), self.message);
        for cause in self.causes() {
            text.push_str(&format!("  {} {cause}\n", paint.faint("because:")));
        }
        for hint in &self.hints {
            text.push_str(&format!("{} {hint}\n", paint.hint("hint:")));
        }
        if self.kind == Exit::Unexpected {
            text.push_str(&format!(
                "{} if this looks like a bug, report it at {REPORT_AT}\n",
                paint.hint("hint:")
            ));
        }
        text
    }

    /// For programs: the same facts as data.
    pub(crate) fn document(&self) -> impl Serialize {
        let error = ErrorBody {
            kind: self.kind,
            code: self.kind.code(),
            message: self.message.clone(),
            causes: self.causes(),
            hints: self.hints.clone(),
        };
        ErrorDocument { error }
    }

    fn causes(&self) -> Vec<String> {
        self.source.iter().flat_map(anyhow::Error::chain).map(ToString::to_string).collect()
    }
}

#[derive(Serialize)]
struct ErrorDocument {
    error: ErrorBody,
}

#[derive(Serialize)]
struct ErrorBody {
    kind: Exit,
    code: u8,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
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
