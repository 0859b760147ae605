//! What the engine tells while it works: typed, one channel, also as JSON lines. Must not decide how it looks.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

use crate::process::Proc;
use crate::record::{PartState, Record, ReplicaRecord};

/// One thing that happened. As JSON a line with `event` in kebab case; new kinds may be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A step that takes time: `postgres`, `build`, `migrate user-management`, …
    Step { step: String, phase: Phase, text: String },
    /// A line of the compiler.
    Compiler { line: String },
    /// A replica is in a new state.
    Replica { service: String, replica: Box<ReplicaRecord>, text: String },
    /// A replica ended though nobody asked it to; with its last lines. `retry_ms` is absent when it is given up.
    Crashed { service: String, index: u32, status: String, lines: Vec<String>, retry_ms: Option<u64> },
    /// The database server (`postgres`) or a part ended, runs again, or is given up; with its last lines where it ended.
    Part {
        part: String,
        state: PartState,
        proc: Option<Proc>,
        restarts: u32,
        text: String,
        lines: Vec<String>,
    },
    /// Files changed under `--watch`, and whom that concerns.
    Changed { path: PathBuf, services: Vec<String> },
    /// A build found that nothing that runs has changed.
    Unchanged {},
    /// A mail arrived in the mailbox. No address: this goes to logs.
    Mail { subject: String },
    /// Something is not as it should be, but the work goes on.
    Warning { text: String },
    /// These services cannot become ready without help; the others run on.
    NotReady { services: Vec<String> },
    /// Everything is up.
    Ready { record: Box<Record>, took_ms: u64 },
    /// The stack is being stopped.
    Stopping {},
    /// It is stopped.
    Stopped {},
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Begun,
    Doing,
    Done,
    Failed,
}

/// Where events go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events(UnboundedSender<Event>);

impl Events {
    /// Into this channel. A listener that went away stops nothing.
    pub fn to(channel: UnboundedSender<Event>) -> Self {
        Self(channel)
    }

    pub(crate) fn say(&self, event: Event) {
        let _unheard = self.0.send(event);
    }

    pub(crate) fn warn(&self, text: impl Into<String>) {
        self.say(Event::Warning { text: text.into() });
    }

    /// Begins a step; dropped without an end it counts as failed.
    pub(crate) fn step(&self, step: impl Into<String>, doing: impl Into<String>) -> Step {
        let step = Step { name: step.into(), events: self.clone(), open: true };
        step.say(Phase::Begun, doing);
        step
    }
}

/// A step on its way.
#[derive(Debug)]
pub(crate) struct Step {
    name: String,
    events: Events,
    open: bool,
}

impl Step {
    pub(crate) fn doing(&self, text: impl Into<String>) {
        self.say(Phase::Doing, text);
    }

    pub(crate) fn done(mut self, text: impl Into<String>) {
        self.open = false;
        self.say(Phase::Done, text);
    }

    pub(crate) fn failed(mut self, text: impl Into<String>) {
        self.open = false;
        self.say(Phase::Failed, text);
    }

    fn say(&self, phase: Phase, text: impl Into<String>) {
        self.events.say(Event::Step { step: self.name.clone(), phase, text: text.into() });
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if self.open {
            self.say(Phase::Failed, "did not finish");
        }
    }
}
