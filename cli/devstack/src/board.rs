//! The one place where the supervisor keeps what runs: written to the state folder at each change, told as events,
//! and waited on. Starts and stops nothing.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
    /// Whether the record's file is older than the record: the last write of it failed.
    is_stale: Arc<AtomicBool>,
    events: Events,
}

/// How long a write that failed waits for the next try.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Board {
    pub(crate) fn new(stack: Stack, record: Record, events: Events) -> Self {
        let changes = Arc::new(watch::Sender::new(0));
        let board =
            Self { stack, record: Arc::new(Mutex::new(record)), changes, is_stale: Arc::default(), events };
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
        self.write(&record);
        drop(record);
        self.changes.send_modify(|count| *count += 1);
        result
    }

    /// Writes the record. That it cannot be is said once, until it can be again.
    fn write(&self, record: &Record) {
        let written = self.stack.write(record);
        let was_stale = self.is_stale.swap(written.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (written, was_stale) {
            self.events.warn(format!("the state of the stack cannot be written: {error}"));
        }
    }

    /// Writes again what could not be written, for as long as it is awaited: the next change may be days away, and until
    /// then `status` and `down` would believe what is no longer so.
    pub(crate) async fn keep_written(&self) -> Infallible {
        loop {
            tokio::time::sleep(AGAIN_AFTER).await;
            let record = self.lock();
            if self.is_stale.load(Ordering::Relaxed) {
                self.write(&record);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::UpOptions;
    use crate::up::first_record;

    #[tokio::test]
    async fn a_record_that_could_not_be_written_is_written_without_another_change() {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::open(folder.path(), Some(folder.path().join("state"))).unwrap();
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let record = first_record(&stack, &UpOptions::default());
        let board = Board::new(stack.clone(), record, Events::to(sender));
        // No file takes the place of a folder.
        let file = stack.path("running.json");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        board.change(|record| record.ready = true);
        board.change(|record| record.command = "a test".into());
        std::fs::remove_dir(&file).unwrap();
        let written = async {
            while stack.record().unwrap().is_none_or(|record| record != board.read()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = written => {}
            never = board.keep_written() => match never {},
            () = tokio::time::sleep(Duration::from_secs(30)) => panic!("it is not written"),
        }
        assert!(matches!(events.try_recv(), Ok(Event::Warning { .. })));
        assert!(events.try_recv().is_err(), "it is said once");
    }
}
