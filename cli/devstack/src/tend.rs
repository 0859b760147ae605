//! Watches what the services need and is ours (the database server, the parts of `--with`): what ends is started again
//! at the same address and with the same data, after a growing delay, and given up when it ends too often. Knows no
//! single part.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::backoff::{Crashes, Patience};
use crate::board::Board;
use crate::component::tail;
use crate::docker;
use crate::process::Proc;
use crate::record::PartState;
use crate::trouble::Result;

/// Lines shown of what ended.
const LAST_LINES: usize = 12;
const LOOK_AT_PROCESS: Duration = Duration::from_millis(100);
/// Each look starts a client.
const LOOK_AT_CONTAINER: Duration = Duration::from_secs(2);

/// What runs, and where its words are.
#[derive(Debug, Clone)]
pub(crate) enum Life {
    Process(Proc, PathBuf),
    Container(String),
}

/// Starts it again where it was and returns when it answers, with its process where it has one.
pub(crate) type Again = Box<dyn Fn() -> BoxFuture<'static, Result<Option<Proc>>> + Send + Sync>;

/// Something that is to run for as long as the stack does.
pub(crate) struct Tended {
    /// As the record calls it.
    pub(crate) name: String,
    pub(crate) life: Life,
    pub(crate) again: Again,
}

impl Life {
    pub(crate) async fn runs(&self) -> bool {
        match self {
            Self::Process(proc, _) => proc.is_alive(),
            Self::Container(name) => docker::is_running(name).await,
        }
    }

    pub(crate) async fn last_words(&self) -> String {
        match self {
            Self::Process(_, log) => tail(log, LAST_LINES),
            Self::Container(name) => docker::last_words(name).await,
        }
    }

    async fn ended(&self) {
        match self {
            Self::Process(proc, _) => {
                while proc.is_alive() {
                    tokio::time::sleep(LOOK_AT_PROCESS).await;
                }
            }
            Self::Container(name) => {
                while !docker::has_ended(name).await {
                    tokio::time::sleep(LOOK_AT_CONTAINER).await;
                }
            }
        }
    }

    /// A starting script may be gone while the server that it started holds the port and the data.
    pub(crate) fn end_the_rest(&self) {
        let Self::Process(proc, _) = self else { return };
        if let Some(group) = i32::try_from(proc.pid).ok().and_then(Pid::from_raw) {
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Watches until it is given up. Dropped, it leaves what runs as it is.
pub(crate) async fn tend(mut tended: Tended, board: Board, patience: Patience) {
    let mut crashes = Crashes::new();
    let mut restarts = 0;
    loop {
        tended.life.ended().await;
        tended.life.end_the_rest();
        let words = tended.life.last_words().await;
        let mut last = ("ended".to_owned(), words.lines().map(str::to_owned).collect());
        let mut was_ready = true;
        loop {
            let name = &tended.name;
            let (text, lines) = last;
            let delay = match crashes.add(&patience, was_ready, Instant::now()) {
                Ok(delay) => delay,
                Err(why) => {
                    let text = format!("{text}; given up: it {why}");
                    return board.enter_part(name, PartState::GivenUp, None, restarts, (text, lines));
                }
            };
            let text = format!("{text}; starts again in {:.1} s", delay.as_secs_f64());
            board.enter_part(name, PartState::BackingOff, None, restarts, (text, lines));
            tokio::time::sleep(delay).await;
            match (tended.again)().await {
                Ok(proc) => {
                    restarts += 1;
                    if let (Life::Process(old, _), Some(new)) = (&mut tended.life, proc) {
                        *old = new;
                    }
                    let text = "runs again at the same address".to_owned();
                    board.enter_part(name, PartState::Ready, proc, restarts, (text, Vec::new()));
                    break;
                }
                Err(error) => last = (format!("could not be started again: {error}"), Vec::new()),
            }
            was_ready = false;
        }
    }
}
