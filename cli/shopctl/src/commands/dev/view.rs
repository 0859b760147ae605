//! Turns the engine's events into what a person sees (live rows on a terminal, plain lines off it) or into JSON lines.
//! Must not act on them.
use std::collections::HashMap;
use std::time::{Duration, Instant};

use shop_devstack::events::{Event, Phase};
use shop_devstack::record::{PartState, Record, ReplicaRecord, ReplicaState};

use super::table;
use crate::error::CommandError;
use crate::ui::{Standing, Task, Ui, escape};

/// What is on the screen.
#[derive(Debug)]
pub(super) struct View {
    ui: Ui,
    /// Whether events are also data: JSON lines on stdout.
    streams: bool,
    is_detached: bool,
    tasks: HashMap<String, Task>,
    record: Option<Box<Record>>,
    table: Vec<Standing>,
    /// What a long step does, to be said now and then where rows do not move.
    doing: Option<String>,
    last_heartbeat: Instant,
}

/// How long plain output may be silent while something is done.
const HEARTBEAT: Duration = Duration::from_secs(15);

impl View {
    pub(super) fn new(ui: Ui) -> Self {
        Self {
            ui,
            streams: true,
            is_detached: false,
            tasks: HashMap::new(),
            record: None,
            table: Vec::new(),
            doing: None,
            last_heartbeat: Instant::now(),
        }
    }

    /// For a command whose answer is a document of its own.
    pub(super) fn quiet(ui: Ui) -> Self {
        Self { streams: false, ..Self::new(ui) }
    }

    /// For a stack that stays when this command is over.
    pub(super) fn detached(ui: Ui) -> Self {
        Self { is_detached: true, ..Self::new(ui) }
    }

    /// Shows what happened, or with `None` that time passes: the table's times and memory.
    pub(super) fn show(&mut self, event: Option<Event>) -> Result<(), CommandError> {
        let Some(event) = event else {
            self.refresh();
            self.beat();
            return Ok(());
        };
        if self.ui.is_json() {
            return if self.streams { self.ui.stream(&event, "") } else { Ok(()) };
        }
        match event {
            Event::Step { step, phase, text } => self.step(step, phase, &text),
            Event::Compiler { line } => self.ui.status(line),
            Event::Replica { service, replica, text } => self.replica(&service, &replica, &text),
            Event::Crashed { service, index, status, lines, retry_ms } => {
                self.crashed(&format!("{service}-{index}"), &status, &lines, retry_ms);
            }
            Event::Part { part, state, proc, restarts, text, lines } => {
                if let Some(record) = &mut self.record {
                    record.note_part(&part, state, proc, restarts);
                }
                self.part(&part, state, &text, &lines);
                self.refresh();
            }
            Event::Changed { path, services } => {
                self.ui.status(format!("{} changed: building {}", path.display(), services.join(", ")));
            }
            Event::Unchanged {} => self.ui.status("nothing that runs has changed"),
            Event::Mail { subject } => {
                self.ui.status(format!("mail: {}  (`shopctl dev mail show`)", escape::line(&subject)));
            }
            Event::Warning { text } => self.ui.warn(text),
            // Who waits for a detached stack gets this as the command's error.
            Event::NotReady { .. } if self.is_detached => {}
            Event::NotReady { services } => {
                let text = format!("{} did not become ready; the others run on", services.join(", "));
                self.ui.warn(text);
                self.ui
                    .hint(format!("read `shopctl dev logs {}`", services.first().map_or("", String::as_str)));
            }
            Event::Ready { record, took_ms } => self.ready(record, took_ms),
            Event::Stopping {} => self.stopping(),
            Event::Stopped {} => {
                self.tasks.remove("down");
            }
        }
        Ok(())
    }

    fn beat(&mut self) {
        if self.last_heartbeat.elapsed() < HEARTBEAT || self.ui.is_json() {
            return;
        }
        self.last_heartbeat = Instant::now();
        if let Some(doing) = self.doing.take() {
            self.ui.status(doing);
        }
    }

    fn refresh(&self) {
        let Some(record) = &self.record else { return };
        let rows = table::rows(record, &shop_devstack::noted(record), self.ui.status_paint());
        // The first standing row is a gap above the table.
        for (row, text) in self.table.iter().skip(1).zip(rows) {
            row.show(text);
        }
    }

    fn step(&mut self, step: String, phase: Phase, text: &str) {
        match phase {
            Phase::Begun => {
                let task = self.ui.progress().task(step.clone(), text);
                self.tasks.insert(step, task);
            }
            // Off a terminal a line for each compiled crate says nothing.
            Phase::Doing if self.ui.progress().is_live() => {
                if let Some(task) = self.tasks.get(&step) {
                    task.update(text);
                }
            }
            Phase::Doing => self.doing = Some(format!("{step}  {text}")),
            Phase::Done => {
                self.doing = None;
                if let Some(task) = self.tasks.remove(&step) {
                    task.done(text);
                }
            }
            Phase::Failed => {
                if let Some(task) = self.tasks.remove(&step) {
                    task.failed(text);
                }
            }
        }
    }

    fn replica(&mut self, service: &str, replica: &ReplicaRecord, text: &str) {
        let name = format!("{service}-{}", replica.index);
        let state = replica.state;
        if let Some(known) =
            self.record.as_mut().and_then(|record| record.replica_mut(service, replica.index))
        {
            *known = replica.clone();
            self.refresh();
        }
        match state {
            ReplicaState::Starting | ReplicaState::Waiting => {
                let doing = format!("{} {text}", state.word());
                match self.tasks.get(&name) {
                    Some(task) => task.update(doing.trim_end()),
                    None => {
                        let task = self.ui.progress().task(name.clone(), doing.trim_end());
                        self.tasks.insert(name, task);
                    }
                }
            }
            ReplicaState::Ready => {
                if let Some(task) = self.tasks.remove(&name) {
                    task.done(&replica.url);
                }
            }
            ReplicaState::GivenUp | ReplicaState::Refused => {
                match self.tasks.remove(&name) {
                    Some(task) => task.failed(format!("{}: {text}", state.word())),
                    None => self.ui.warn(format!("{name} {}: {text}", state.word())),
                }
                // Before the stack was up, it is said once for all services.
                if self.record.is_some() {
                    self.ui.hint(super::status::next_step(service));
                }
            }
            ReplicaState::BackingOff | ReplicaState::Stopping | ReplicaState::Stopped => {}
        }
    }

    fn crashed(&mut self, name: &str, status: &str, lines: &[String], retry_ms: Option<u64>) {
        self.tasks.remove(name);
        let next =
            retry_ms.map(|ms| format!("; starts again in {:.1} s", ms as f64 / 1000.0)).unwrap_or_default();
        self.ui.warn(format!("{name} ended: {status}{next}"));
        self.last_lines(lines);
    }

    fn part(&self, part: &str, state: PartState, text: &str, lines: &[String]) {
        match state {
            PartState::Ready => self.ui.status(format!("{} {part} {text}", self.ui.status_paint().good("✓"))),
            PartState::BackingOff | PartState::GivenUp => self.ui.warn(format!("{part} {text}")),
        }
        self.last_lines(lines);
        if state == PartState::GivenUp {
            self.ui.hint(format!(
                "the rest goes on; read `shopctl dev logs {part}`, then start the stack again"
            ));
        }
    }

    fn last_lines(&self, lines: &[String]) {
        for line in lines {
            self.ui.status(format!("  {} {line}", self.ui.status_paint().faint("│")));
        }
    }

    fn ready(&mut self, record: Box<Record>, took_ms: u64) {
        let paint = self.ui.status_paint();
        let took = paint.faint(format!("({:.1} s)", took_ms as f64 / 1000.0));
        self.ui.status(format!("\n{} {} is up {took}\n", paint.good("✓"), paint.strong(&record.stack)));
        let rows = table::rows(&record, &shop_devstack::noted(&record), paint);
        // On a terminal the table stands below everything else and follows what happens.
        let stands = self.ui.progress().is_live() && !self.is_detached;
        if !stands {
            self.ui.status(format!("{}\n", rows.join("\n")));
        }
        self.ui.status(table::what_next(&record, self.is_detached, paint));
        if stands {
            let gap = self.ui.progress().standing();
            gap.show(" ");
            self.table =
                std::iter::once(gap).chain(rows.iter().map(|_| self.ui.progress().standing())).collect();
        }
        self.record = Some(record);
        self.refresh();
    }

    fn stopping(&mut self) {
        (self.table, self.record) = (Vec::new(), None);
        self.tasks.clear();
        let task = self.ui.progress().task("down", "ending what runs; Ctrl-C again kills it");
        self.tasks.insert("down".into(), task);
    }
}
