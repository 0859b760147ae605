//! Where lines go: a bounded buffer, emptied by one thread. Lines that may be dropped are, and are counted, when the
//! reader of the log is slower than the service; lines that may not make their writer wait.
//!
//! The thread gathers for a moment before it writes: waking it for each line would cost a request more than the line.
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// About 15,000 access lines.
const ROOM: usize = 4 * 1024 * 1024;

/// Left to lines that must not be lost, so that they seldom wait.
const RESERVE: usize = 1024 * 1024;

/// Lines are gathered for so long, unless there are many or somebody waits for them to be out.
const GATHER: Duration = Duration::from_millis(10);
const MANY: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Always,
    IfRoom,
}

pub(super) struct Sink(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// The thread has taken lines and not written them yet.
    writing: bool,
    /// Somebody waits for the lines to be out.
    urgent: bool,
    dropped: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    pub(super) fn stdout() -> Self {
        Sink::to(std::io::stdout())
    }

    fn to(out: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(move || empty(&theirs, out));
        if thread.is_err() {
            // Without a thread nothing would be emptied, and writers would wait for ever.
            shared.lock().dropped = u64::MAX;
        }
        Sink(shared)
    }

    pub(super) fn write(&self, line: &[u8], keep: Keep) {
        let mut state = self.0.lock();
        if state.dropped == u64::MAX {
            return;
        }
        match keep {
            Keep::IfRoom if state.waiting.len() + line.len() > ROOM - RESERVE => {
                state.dropped += 1;
                return;
            }
            Keep::IfRoom => {}
            Keep::Always => {
                while state.waiting.len() + line.len() > ROOM && !state.waiting.is_empty() {
                    state.urgent = true;
                    self.0.filled.notify_one();
                    state = self.0.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        let before = state.waiting.len();
        state.waiting.extend_from_slice(line);
        let after = state.waiting.len();
        drop(state);
        if before == 0 || (before < MANY && after >= MANY) {
            self.0.filled.notify_one();
        }
    }

    /// Waits until nothing is left.
    pub(super) fn flush(&self) {
        let mut state = self.0.lock();
        while state.dropped != u64::MAX && (!state.waiting.is_empty() || state.writing) {
            state.urgent = true;
            self.0.filled.notify_one();
            state = self.0.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn empty(shared: &Shared, mut out: impl Write) {
    let mut lines = Vec::new();
    loop {
        let dropped = {
            let mut state = shared.lock();
            state.writing = false;
            shared.emptied.notify_all();
            while state.waiting.is_empty() {
                state = shared.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let few = |state: &mut State| state.waiting.len() < MANY && !state.urgent;
            let gathered = shared.filled.wait_timeout_while(state, GATHER, few);
            state = gathered.unwrap_or_else(PoisonError::into_inner).0;
            state.urgent = false;
            lines.clear();
            std::mem::swap(&mut lines, &mut state.waiting);
            state.writing = true;
            std::mem::take(&mut state.dropped)
        };
        shared.emptied.notify_all();
        if dropped > 0 {
            metrics::counter!("log_lines_dropped_total").increment(dropped);
        }
        // A reader that is gone is no reason to stop serving.
        let _unread = out.write_all(&lines).and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Takes nothing until it is told to.
    struct Stuck(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // An end that is gone lets everything through.
            let _open = self.0.recv();
            let _heard = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_reader_costs_access_lines_and_no_error_line() {
        let (open, gate) = mpsc::channel();
        let (heard, written) = mpsc::channel();
        let sink = Sink::to(Stuck(gate, heard));
        // The writer is at work on it, and takes no others.
        sink.write(b"first\n", Keep::Always);
        while !sink.0.lock().writing {
            std::thread::yield_now();
        }
        let line = vec![b'a'; 1000];
        for _ in 0..2 * ROOM / line.len() {
            sink.write(&line, Keep::IfRoom);
        }
        for _ in 0..100 {
            sink.write(b"error\n", Keep::Always);
        }
        assert!(sink.0.lock().waiting.len() <= ROOM);
        assert!(sink.0.lock().dropped > 0);
        drop(open);
        sink.flush();
        let out: Vec<u8> = written.try_iter().flatten().collect();
        assert_eq!(out.windows(6).filter(|window| window == b"error\n").count(), 100);
    }
}
