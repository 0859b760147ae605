//! Questions to the person at the terminal. Off a terminal there is none: the error names the flag to give instead.
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::Ui;
use crate::error::CommandError;
use crate::exit::Exit;

impl Ui {
    /// Asks yes or no (no is the default). `flag` is what answers yes without a terminal.
    pub(crate) fn confirm(&self, question: &str, flag: &str) -> Result<bool, CommandError> {
        let answer = self.ask(&format!("{question} [y/N]"), flag)?;
        Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Asks for one line of text.
    pub(crate) fn ask(&self, question: &str, flag: &str) -> Result<String, CommandError> {
        self.require_terminal(question, flag)?;
        self.progress.suspend(|| {
            let mut stderr = std::io::stderr().lock();
            let mut line = String::new();
            let read = write!(stderr, "{} ", self.redactor.redact(question))
                .and_then(|()| stderr.flush())
                .and_then(|()| std::io::stdin().lock().read_line(&mut line));
            match read {
                Ok(0) | Err(_) => Err(CommandError::new(Exit::Interrupted, "no answer was given")),
                Ok(_) => Ok(line.trim().to_owned()),
            }
        })
    }

    /// Asks for a secret without showing it, and registers it for masking. Ctrl-C and SIGTERM end the command by way
    /// of [`Ui::interrupt`] from here on: the terminal shows again what is typed.
    pub(crate) async fn ask_secret(&self, question: &str, flag: &str) -> Result<String, CommandError> {
        self.require_terminal(question, flag)?;
        let secret = self
            .hidden_line(&format!("{} ", self.redactor.redact(question)))
            .await
            .map_err(|error| CommandError::new(Exit::Interrupted, "no answer was given").source(error))?;
        self.redactor.register(&secret);
        Ok(secret)
    }

    async fn hidden_line(&self, question: &str) -> std::io::Result<String> {
        self.interrupt.listen()?;
        let mut hidden = Hidden::begin()?;
        let mut terminal = &hidden.terminal;
        self.progress.suspend(|| terminal.write_all(question.as_bytes()))?;
        let terminal = hidden.terminal.try_clone()?;
        // It blocks until the line is there; who is interrupted does not wait for it.
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(terminal).read_line(&mut line).map(|read| (read, line))
        });
        match line.await? {
            Ok((0, _)) => Err(ErrorKind::UnexpectedEof.into()),
            Ok((_, line)) => {
                hidden.answered = true;
                Ok(line.trim_end_matches(['\r', '\n']).to_owned())
            }
            Err(error) => Err(error),
        }
    }

    fn require_terminal(&self, question: &str, flag: &str) -> Result<(), CommandError> {
        if self.interactive {
            return Ok(());
        }
        Err(CommandError::usage(format!("cannot ask without a terminal: {question}"))
            .hint(format!("give {flag}")))
    }
}

/// A terminal that shows nothing of what is typed but the end of the line, until this is dropped. It begins before the
/// question is seen: whoever is fast, or pastes, would show the beginning of the secret.
struct Hidden {
    terminal: File,
    before: Termios,
    /// Whether the line of the question has its end.
    answered: bool,
}

impl Hidden {
    fn begin() -> std::io::Result<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(&terminal, OptionalActions::Now, &hidden)?;
        Ok(Self { terminal, before, answered: false })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that has gone away shows nothing either.
        let _gone = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
        if !self.answered {
            let _gone = self.terminal.write_all(b"\n");
        }
    }
}
