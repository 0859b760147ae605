//! How a command of the stack hears that it shall end. Must not end anything itself: the engine does, in its order.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shop_devstack::{Stop, Trouble};
use tokio::signal::unix::{SignalKind, signal};

use super::failure;
use crate::error::{CommandError, OrExit as _};
use crate::exit::Exit;

/// The signals of this process as a wish to the engine.
pub(super) struct Signals {
    pub(super) stop: Stop,
    interrupted: Arc<AtomicBool>,
}

impl Signals {
    /// The first signal ends all in order, the second kills. Losing the terminal ends what has one. SIGQUIT is no way
    /// around that: the system's own would leave the services and PostgreSQL behind.
    pub(super) fn listen(in_background: bool) -> Result<Self, CommandError> {
        let (stop, interrupted) = (Stop::default(), Arc::new(AtomicBool::new(false)));
        let quit = SignalKind::quit();
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), quit, SignalKind::hangup()] {
            let mut signals = signal(kind).or_exit(Exit::Unexpected, "signals cannot be listened to")?;
            let (stop, interrupted) = (stop.clone(), Arc::clone(&interrupted));
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    if kind == SignalKind::hangup() && in_background {
                        continue;
                    }
                    interrupted.fetch_or(kind == SignalKind::interrupt(), Ordering::Relaxed);
                    if stop.gently.is_cancelled() {
                        stop.now.cancel();
                    }
                    stop.gently.cancel();
                }
            });
        }
        Ok(Self { stop, interrupted })
    }

    /// What the engine has answered, or how it ends when that was wished: no error then.
    pub(super) fn outcome<T>(&self, ended: Result<T, Trouble>) -> Result<Result<T, Exit>, CommandError> {
        match ended {
            Err(Trouble::Interrupted) if self.interrupted.load(Ordering::Relaxed) => {
                Ok(Err(Exit::Interrupted))
            }
            Err(Trouble::Interrupted) => Ok(Err(Exit::Terminated)),
            ended => ended.map(Ok).map_err(failure::of),
        }
    }
}
