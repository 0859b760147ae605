//! `up --detach`: the same command again, as a process of its own that outlives the terminal, and what it tells us
//! until it is ready. Must not supervise anything itself.
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shop_devstack::Stack;
use shop_devstack::events::Event;
use tokio::signal::unix::{SignalKind, signal};

use super::view::View;
use crate::context::Context;
use crate::error::{CommandError, OrExit as _};
use crate::exit::Exit;
use crate::ui::Ui;

/// Set for the process in the background, to the process that waits for it.
const HERE: &str = "SHOPCTL_DEV_BACKGROUND";
/// Held by whoever waits for a background process.
const LOCK: &str = "detach.lock";
const LOOK: Duration = Duration::from_millis(20);
/// A stack may be up for months, and each mail is an event.
const LIMIT_BYTES: u64 = 4 << 20;

/// Whether this is the process in the background.
pub(super) fn is_here(context: &Context) -> bool {
    context.variable(HERE).is_some()
}

/// What the background process writes, a line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Told {
    Event(Event),
    Failed { exit: u8, message: String, hints: Vec<String> },
}

/// The file of events that the waiting process reads; it is also what happened, for later. Once nobody waits any more, a
/// disk that is full takes events away and no service.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    ui: Ui,
    /// Whether the one who waits has heard how the start went.
    is_heard: bool,
    /// What a full disk kept from a line that is half written: it comes before the next one.
    rest: Vec<u8>,
    has_warned: bool,
}

impl Log {
    /// Leaves the terminal's session, so that closing it ends nothing.
    pub(super) fn create(stack: &Stack, ui: Ui) -> Result<Self, CommandError> {
        // Fails only for a process that has a session of its own already.
        let _own = rustix::process::setsid();
        let file = File::options().append(true).create(true).open(path(stack));
        let file = file.or_exit(Exit::Unexpected, "the file of events cannot be opened")?;
        Ok(Self { file, ui, is_heard: false, rest: Vec::new(), has_warned: false })
    }

    /// Fails while somebody waits for what is written: they would wait for ever.
    pub(super) fn write(&mut self, event: Event) -> Result<(), CommandError> {
        let is_last = matches!(event, Event::Ready { .. } | Event::NotReady { .. });
        let written = self.begin_anew().and_then(|()| self.line(&Told::Event(event)));
        if !self.is_heard {
            self.is_heard = is_last;
            return written.or_exit(Exit::Unexpected, "the file of events cannot be written");
        }
        if let Err(error) = written
            && !self.has_warned
        {
            self.has_warned = true;
            let text =
                format!("the file of events cannot be written ({error}): the stack goes on, events are lost");
            self.ui.warn(text);
        }
        Ok(())
    }

    /// Empties a file that has become large, once nobody reads it.
    fn begin_anew(&mut self) -> std::io::Result<()> {
        if self.is_heard && self.file.metadata()?.len() > LIMIT_BYTES {
            self.file.set_len(0)?;
            self.rest.clear();
        }
        Ok(())
    }

    /// Says why it ends, to whoever waits.
    pub(super) fn fail(&mut self, error: &CommandError) {
        let (exit, message, hints) = (error.kind.code(), error.message.clone(), error.hints.clone());
        // The exit code says it as well.
        let _unheard = self.line(&Told::Failed { exit, message, hints });
    }

    fn line(&mut self, told: &Told) -> std::io::Result<()> {
        let mut line = serde_json::to_string(told)?;
        line.push('\n');
        self.flush()?;
        self.rest = line.into_bytes();
        let length = self.rest.len();
        self.flush().inspect_err(|_| {
            // One of which nothing is written is lost whole.
            if self.rest.len() == length {
                self.rest.clear();
            }
        })
    }

    /// Writes what is left of a line. Not `write_all`, which does not tell how far it came.
    fn flush(&mut self) -> std::io::Result<()> {
        while !self.rest.is_empty() {
            match self.file.write(&self.rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.rest.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn path(stack: &Stack) -> PathBuf {
    stack.path(shop_devstack::EVENTS)
}

/// Starts the background process and returns when it is ready. Interrupted before that, it is ended again.
/// `typed` is what was answered to a question here: nobody can be asked there.
pub(super) async fn start(stack: &Stack, typed: Option<&str>, ui: &mut Ui) -> Result<Exit, CommandError> {
    stack.require_writable().map_err(super::failure::of)?;
    // Two at once would read each other's events, since both wait at one file.
    let lock = stack.folder().try_lock(LOCK).or_exit(Exit::Unexpected, "the stack cannot be locked")?;
    let Some(_lock) = lock else {
        let text = format!("another `up` of the stack {} is at work", stack.name());
        return Err(CommandError::new(Exit::LockBusy, text).hint("look with `shopctl dev status`"));
    };
    // Before the file is emptied: a supervisor that runs writes into it.
    stack.refuse_held().map_err(super::failure::of)?;
    let file = File::create(path(stack)).or_exit(Exit::Unexpected, "the file of events cannot be made")?;
    drop(file);
    let mut child = spawn(stack, typed).or_exit(Exit::Unexpected, "the supervisor cannot be started")?;
    let mut interrupt = signal(SignalKind::interrupt()).or_exit(Exit::Unexpected, "no signals")?;
    let mut terminate = signal(SignalKind::terminate()).or_exit(Exit::Unexpected, "no signals")?;
    let mut quit = signal(SignalKind::quit()).or_exit(Exit::Unexpected, "no signals")?;
    let mut view = View::detached(ui.clone());
    let ended = tokio::select! {
        exit = wait(stack, &mut child, &mut view) => return exit,
        _ = interrupt.recv() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Terminated,
        _ = quit.recv() => Exit::Terminated,
    };
    shop_devstack::down(stack).await.map_err(super::failure::of)?;
    Ok(ended)
}

fn spawn(stack: &Stack, typed: Option<&str>) -> std::io::Result<Child> {
    let output = File::create(stack.path(shop_devstack::SUPERVISOR_LOG))?;
    Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .args(typed.into_iter().flat_map(|name| ["--confirm", name]))
        .env(HERE, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
}

async fn wait(stack: &Stack, child: &mut Child, view: &mut View) -> Result<Exit, CommandError> {
    let file = File::open(path(stack)).or_exit(Exit::Unexpected, "the file of events cannot be read")?;
    let mut lines = BufReader::new(file);
    let mut line = String::new();
    loop {
        // Asked before reading, so that what it said last is read after it has ended.
        let ended = child.try_wait().or_exit(Exit::Unexpected, "the supervisor cannot be waited for")?;
        while lines.read_line(&mut line).or_exit(Exit::Unexpected, "the file of events cannot be read")? > 0 {
            if !line.ends_with('\n') {
                break; // the rest of the line is on its way
            }
            let told = serde_json::from_str(&line);
            line.clear();
            match told {
                Ok(Told::Event(event)) => {
                    if let Some(exit) = hear(event, view)? {
                        return exit;
                    }
                }
                Ok(Told::Failed { exit, message, hints }) => return Err(failed(exit, message, hints)),
                Err(error) => {
                    return Err(error).or_exit(Exit::Unexpected, "the supervisor said something unknown");
                }
            }
        }
        if let Some(status) = ended {
            let said = std::fs::read_to_string(stack.path(shop_devstack::SUPERVISOR_LOG)).unwrap_or_default();
            let exit = Exit::of(status.code()).unwrap_or(Exit::Unexpected);
            return Err(CommandError::new(
                exit,
                format!("the supervisor ended ({status})\n{}", said.trim_end()),
            ));
        }
        view.show(None)?;
        tokio::time::sleep(LOOK).await;
    }
}

/// `Some` when there is nothing more to wait for.
fn hear(event: Event, view: &mut View) -> Result<Option<Result<Exit, CommandError>>, CommandError> {
    let over = match &event {
        Event::Ready { .. } => Some(Ok(Exit::Done)),
        Event::NotReady { services } => {
            let trouble = shop_devstack::Trouble::NotReady { services: services.clone() };
            Some(Err(super::failure::of(trouble).hint("the others run on; end them with `shopctl dev down`")))
        }
        _ => None,
    };
    view.show(Some(event))?;
    Ok(over)
}

fn failed(exit: u8, message: String, hints: Vec<String>) -> CommandError {
    let error = CommandError::new(Exit::of(Some(i32::from(exit))).unwrap_or(Exit::Unexpected), message);
    hints.into_iter().fold(error, CommandError::hint)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        global: crate::args::GlobalArgs,
    }

    fn log(file: File, is_heard: bool) -> Log {
        let ui = Ui::new(&Cli::parse_from(["test"]).global, crate::ui::Redactor::default());
        Log { file, ui, is_heard, rest: Vec::new(), has_warned: false }
    }

    fn warning(text: &str) -> Event {
        Event::Warning { text: text.to_owned() }
    }

    #[test]
    fn a_full_disk_ends_the_start_and_nothing_after_it() {
        let full = || File::options().write(true).open("/dev/full").unwrap();
        assert!(log(full(), false).write(warning("somebody waits")).is_err());
        let mut after = log(full(), true);
        assert!(after.write(warning("one")).is_ok() && after.write(warning("two")).is_ok());
        assert!(after.has_warned && after.rest.is_empty());
    }

    #[test]
    fn a_line_that_was_half_written_does_not_join_the_next() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut log = log(File::from(OwnedFd::from(ours)), true);
        let long = "x".repeat(8 << 20);
        log.write(warning(&long)).unwrap();
        assert!(log.has_warned && !log.rest.is_empty(), "the disk is full in the middle of the line");
        log.write(warning("lost")).unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            theirs.read_to_string(&mut text).map(|_| text)
        });
        while !log.rest.is_empty() {
            // As the next event would.
            let _full = log.flush();
        }
        log.write(warning("next")).unwrap();
        drop(log);
        let text = reader.join().unwrap().unwrap();
        let told: Vec<Told> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [Told::Event(first), Told::Event(second)] = told.as_slice() else { panic!("two lines") };
        assert_eq!((first, second), (&warning(&long), &warning("next")));
    }

    #[test]
    fn the_file_is_bounded_once_nobody_reads_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::options().append(true).open(file.path()).unwrap();
        file.as_file().set_len(LIMIT_BYTES + 1).unwrap();
        log(open(), false).write(warning("somebody reads")).unwrap();
        assert!(file.as_file().metadata().unwrap().len() > LIMIT_BYTES);
        log(open(), true).write(warning("nobody does")).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.starts_with('{') && text.lines().count() == 1, "{text}");
    }
}
