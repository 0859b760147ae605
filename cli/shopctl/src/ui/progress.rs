//! Progress on stderr: live rows on a terminal, one line a step elsewhere, nothing with `--progress none`.
//! Must not animate off a terminal or in CI, and must not know what is being done.
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::paint::{Paint, is_dumb_terminal};
use super::redact::Redactor;
use crate::args;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Live,
    Plain,
    None,
}

/// The progress area. Clones share it, so that lines and rows never tear each other.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    style: Style,
    rows: MultiProgress,
    paint: Paint,
    redactor: Redactor,
}

impl Progress {
    pub(super) fn new(asked: args::Progress, paint: Paint, redactor: Redactor) -> Self {
        let can_animate =
            std::io::stderr().is_terminal() && !is_dumb_terminal() && std::env::var_os("CI").is_none();
        let style = match asked {
            args::Progress::Auto if can_animate => Style::Live,
            args::Progress::Auto | args::Progress::Plain => Style::Plain,
            args::Progress::None => Style::None,
        };
        let target = match style {
            Style::Live => ProgressDrawTarget::stderr(),
            Style::Plain | Style::None => ProgressDrawTarget::hidden(),
        };
        Self { style, rows: MultiProgress::with_draw_target(target), paint, redactor }
    }

    /// Starts a row: `user-management  building`.
    pub(crate) fn task(&self, name: impl Into<String>, doing: impl AsRef<str>) -> Task {
        let row = self.rows.add(ProgressBar::new_spinner());
        let template = match self.paint.is_on() {
            true => "{spinner:.cyan} {wide_msg} {elapsed:.dim}",
            false => "{spinner} {wide_msg} {elapsed}",
        };
        row.set_style(ProgressStyle::with_template(template).expect("the template is a constant, tested"));
        if self.style == Style::Live {
            row.enable_steady_tick(Duration::from_millis(100));
        }
        let task = Task { name: name.into(), row, progress: self.clone(), started: Instant::now() };
        task.update(doing);
        task
    }

    /// Adds a row that stands still, such as a line of a table, below what is there. Empty where rows do not move.
    pub(crate) fn standing(&self) -> Standing {
        let row = self.rows.add(ProgressBar::new_spinner());
        row.set_style(
            ProgressStyle::with_template("{wide_msg}").expect("the template is a constant, tested"),
        );
        Standing { row, redactor: self.redactor.clone() }
    }

    /// Whether rows move; a caller may then show more detail than plain lines should carry.
    pub(crate) fn is_live(&self) -> bool {
        self.style == Style::Live
    }

    /// A line on stderr above the rows, masked. Said even with `--progress none`.
    pub(super) fn line(&self, text: &str) {
        let text = self.redactor.redact(text);
        self.suspend(|| {
            // Nobody reads stderr any more: not a reason to stop the work.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        });
    }

    /// Takes the rows away: the command is over.
    pub(super) fn clear(&self) {
        let _ = self.rows.clear(); // only fails where the terminal is gone
    }

    /// Runs `write` while no row is on the screen.
    pub(super) fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        if self.style == Style::Live { self.rows.suspend(write) } else { write() }
    }

    fn step(&self, line: &str) {
        if self.style != Style::None {
            self.line(line);
        }
    }
}

/// A row without a spinner; it goes away when it is dropped.
#[derive(Debug)]
pub(crate) struct Standing {
    row: ProgressBar,
    redactor: Redactor,
}

impl Standing {
    pub(crate) fn show(&self, text: impl AsRef<str>) {
        self.row.set_message(self.redactor.redact(text.as_ref()).into_owned());
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.row.finish_and_clear();
    }
}

/// One thing that takes time. Dropped without an end, its row goes away silently.
#[derive(Debug)]
pub(crate) struct Task {
    name: String,
    row: ProgressBar,
    progress: Progress,
    started: Instant,
}

impl Task {
    /// What it does now.
    pub(crate) fn update(&self, doing: impl AsRef<str>) {
        let line = format!("{}  {}", self.progress.paint.strong(&self.name), doing.as_ref());
        match self.progress.style {
            Style::Live => self.row.set_message(self.progress.redactor.redact(&line).into_owned()),
            Style::Plain => self.progress.line(&line),
            Style::None => {}
        }
    }

    /// It worked; `what` stays on the screen with the time it took.
    pub(crate) fn done(self, what: impl AsRef<str>) {
        let mark = self.progress.paint.good("✓");
        self.end(&mark, what.as_ref());
    }

    /// It failed; the error itself is the command's answer and is printed by the caller.
    pub(crate) fn failed(self, what: impl AsRef<str>) {
        let mark = self.progress.paint.bad("✗");
        self.end(&mark, what.as_ref());
    }

    fn end(&self, mark: &str, what: &str) {
        self.row.finish_and_clear();
        let took = self.progress.paint.faint(format!("({:.1} s)", self.started.elapsed().as_secs_f64()));
        self.progress.step(&format!("{mark} {}  {what} {took}", self.progress.paint.strong(&self.name)));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.row.finish_and_clear();
    }
}
