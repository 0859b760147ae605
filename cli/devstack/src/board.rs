//! The one place where the supervisor keeps what runs: written to the state folder at each change, told as events,
//! and waited on. Starts and stops nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::events::{Event, Events};
use crate::process::Proc;
use crate::record::{PartState, Record, ReplicaRecord, ReplicaState};
use crate::stack::Stack;

/// The record of a running stack. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    stack: Stack,
    record: Arc<Mutex<Record>>,
    changes: Arc<watch::Sender<u64>>,
    events: Events,
}

impl Board {
    pub(crate) fn new(stack: Stack, record: Record, events: Events) -> Self {
        let changes = Arc::new(watch::Sender::new(0));
        let board = Self { stack, record: Arc::new(Mutex::new(record)), changes, events };
        board.change(|_| {});
        board
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    pub(crate) fn read(&self) -> Record {
        self.lock().clone()
    }

    /// Changes the record and writes it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        let mut record = self.lock();
        let result = change(&mut record);
        if let Err(error) = self.stack.write(&record) {
            self.events.warn(format!("the state of the stack cannot be written: {error}"));
        }
        drop(record);
        self.changes.send_modify(|count| *count += 1);
        result
    }

    /// A replica enters a state; `more` changes what goes with it.
    pub(crate) fn enter(
        &self,
        service: &str,
        index: u32,
        state: ReplicaState,
        text: impl Into<String>,
        more: impl FnOnce(&mut ReplicaRecord),
    ) {
        let replica = self.change(|record| {
            let replica = record.replica_mut(service, index)?;
            replica.state = state;
            replica.since = time::OffsetDateTime::now_utc();
            more(replica);
            Some(Box::new(replica.clone()))
        });
        if let Some(replica) = replica {
            self.events.say(Event::Replica { service: service.into(), replica, text: text.into() });
        }
    }

    /// A part, or `postgres`, enters a state.
    pub(crate) fn enter_part(
        &self,
        part: &str,
        state: PartState,
        proc: Option<Proc>,
        restarts: u32,
        (text, lines): (String, Vec<String>),
    ) {
        self.change(|record| record.note_part(part, state, proc, restarts));
        self.events.say(Event::Part { part: part.into(), state, proc, restarts, text, lines });
    }

    /// Returns once the record is as wanted; looks at each change.
    pub(crate) async fn until(&self, wanted: impl Fn(&Record) -> bool) {
        let mut changes = self.changes.subscribe();
        while !wanted(&self.lock()) {
            if changes.changed().await.is_err() {
                return; // the board is gone, and with it whatever could change
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        // A panic elsewhere leaves a record that is still whole: every change is one assignment after another.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
