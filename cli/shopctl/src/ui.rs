//! Everything that reaches the terminal: data to stdout; status, warnings, errors and progress to stderr.
//! The only module that prints, and nothing passes it without the redaction layer. Must not know any command.
mod called;
pub(crate) mod escape;
mod failure;
mod paint;
mod progress;
mod prompt;
mod redact;

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal as _, Write as _};

use serde::Serialize;

pub(crate) use self::called::{as_typed, program};
pub(crate) use self::paint::Paint;
pub(crate) use self::progress::{Progress, Standing, Task};
pub(crate) use self::redact::Redactor;
use crate::args::{Color, GlobalArgs, Output, json_asked_for};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::interrupt::Interrupt;

/// The version of every JSON document; a change that breaks a reader raises it.
const SCHEMA: u32 = 1;

/// Hands data, words and progress to the terminal. Cheap to clone; clones share one progress area.
#[derive(Debug, Clone)]
pub(crate) struct Ui {
    json: bool,
    document_written: bool,
    interactive: bool,
    out: Paint,
    err: Paint,
    redactor: Redactor,
    progress: Progress,
    interrupt: Interrupt,
}

impl Ui {
    pub(crate) fn new(global: &GlobalArgs, redactor: Redactor) -> Self {
        let out = Paint::choose(global.color, std::io::stdout().is_terminal());
        let err = Paint::choose(global.color, std::io::stderr().is_terminal());
        Self {
            json: global.output == Output::Json,
            document_written: false,
            interactive: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            out,
            err,
            progress: Progress::new(global.progress, err, redactor.clone()),
            redactor,
            interrupt: Interrupt::default(),
        }
    }

    /// The command's answer, once: `text` for people, `data` as a JSON document with `schema` for programs.
    pub(crate) fn data<T: Serialize>(&mut self, data: &T, text: impl AsRef<str>) -> Result<(), CommandError> {
        if !self.json {
            return self.write_out(text.as_ref());
        }
        self.document_written = true;
        let document = serde_json::to_string_pretty(&Document { schema: SCHEMA, data })
            .map_err(|error| CommandError::new(Exit::Unexpected, "the answer is not JSON").source(error))?;
        self.write_out(&document)
    }

    /// One line of a stream (logs, events): `text` for people, one JSON line for programs.
    pub(crate) fn stream<T: Serialize>(
        &mut self,
        data: &T,
        text: impl AsRef<str>,
    ) -> Result<(), CommandError> {
        if !self.json {
            return self.write_out(text.as_ref());
        }
        let line = serde_json::to_string(data)
            .map_err(|error| CommandError::new(Exit::Unexpected, "the line is not JSON").source(error))?;
        self.write_out(&line)
    }

    /// A script, a schema, a file: text that is the same whatever `--output` says.
    pub(crate) fn raw(&mut self, text: &str) -> Result<(), CommandError> {
        self.document_written = true;
        self.write_out(text)
    }

    /// What is happening or has happened, for the person who waits.
    pub(crate) fn status(&self, text: impl AsRef<str>) {
        self.progress.line(&as_typed(text.as_ref()));
    }

    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        self.progress.line(&format!("{} {}", self.err.warning("warning:"), as_typed(text.as_ref())));
    }

    pub(crate) fn hint(&self, text: impl AsRef<str>) {
        self.progress.line(&format!("{} {}", self.err.hint("hint:"), as_typed(text.as_ref())));
    }

    /// Says why the command stopped and answers its exit. In JSON the error is the document, if none was written.
    pub(crate) fn error(&mut self, error: &CommandError) -> Exit {
        self.progress.clear();
        if error.message.is_empty() {
            return error.kind;
        }
        self.progress.line(failure::text(error, self.err).trim_end());
        if self.json && !self.document_written && self.data(&failure::document(error), "").is_err() {
            return error.kind; // stdout is gone; the words on stderr are all that can be said
        }
        error.kind
    }

    /// Whether data goes out as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Live rows (or plain lines) on stderr for things that take time.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Colours for text that goes to stdout.
    pub(crate) fn paint(&self) -> Paint {
        self.out
    }

    /// Colours for text that goes to stderr, as `status` does.
    pub(crate) fn status_paint(&self) -> Paint {
        self.err
    }

    /// Registers secrets to be masked in everything said from now on.
    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Says when a question that is asked without showing the answer is interrupted, and all that follows it.
    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    fn write_out(&self, text: &str) -> Result<(), CommandError> {
        let text = self.redactor.redact(text);
        let newline = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        let written = self.progress.suspend(|| {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            stdout.write_all(newline.as_bytes())?;
            stdout.flush()
        });
        match written {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(CommandError::quiet(Exit::Done)),
            Err(error) => Err(CommandError::new(Exit::Unexpected, "stdout cannot be written").source(error)),
        }
    }
}

#[derive(Serialize)]
struct Document<'a, T> {
    schema: u32,
    #[serde(flatten)]
    data: &'a T,
}

/// What clap has to say: help and versions on stdout, mistakes on stderr (and as data where JSON was asked for).
pub(crate) fn usage_error(error: &clap::Error, arguments: &[OsString], redactor: Redactor) -> Exit {
    if !error.use_stderr() {
        let _ = error.print(); // a closed pipe: nobody is left to tell
        return Exit::Done;
    }
    if !json_asked_for(arguments) {
        let _ = error.print();
        return Exit::Usage;
    }
    let text = error.render().to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let global = GlobalArgs {
        output: Output::Json,
        progress: crate::args::Progress::None,
        color: Color::Never,
        directory: None,
    };
    Ui::new(&global, redactor).error(&CommandError::usage(message).hint("see --help"))
}

/// A panic is a bug of ours: one line that says so and where to report it, secrets masked.
pub(crate) fn report_panics_through(redactor: Redactor) {
    std::panic::set_hook(Box::new(move |info| {
        let trace = match std::env::var_os("RUST_BACKTRACE") {
            Some(_) => format!("{}\n", std::backtrace::Backtrace::force_capture()),
            None => String::new(),
        };
        let text =
            format!("error: shopctl has a bug: {info}\n{trace}hint: please report it at {REPORT_AT}\n");
        let _ = std::io::stderr().write_all(redactor.redact(&text).as_bytes());
    }));
}

/// Where a reader reports a bug.
pub(crate) const REPORT_AT: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/issues");
