//! What ends a command from outside: Ctrl-C or SIGTERM, from the moment on when a command has something to put back.
//! Must not end anything itself: whatever the command owns is dropped when its future is.
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::exit::Exit;

/// Whether somebody wishes the end. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<watch::Sender<Option<Exit>>>);

impl Default for Interrupt {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Interrupt {
    /// Listens for as long as the process lives: there is no way back to the system's own, which ends it on the spot.
    pub(crate) fn listen(&self) -> std::io::Result<()> {
        for (kind, exit) in
            [(SignalKind::interrupt(), Exit::Interrupted), (SignalKind::terminate(), Exit::Terminated)]
        {
            let mut signals = signal(kind)?;
            let wished = Arc::clone(&self.0);
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    wished.send_replace(Some(exit));
                }
            });
        }
        Ok(())
    }

    /// Returns once it is wished, with how that ends the process.
    pub(crate) async fn wished(&self) -> Exit {
        let mut wished = self.0.subscribe();
        match wished.wait_for(Option::is_some).await.map(|exit| *exit) {
            Ok(Some(exit)) => exit,
            // The sender is ours, so it does not go away.
            _ => std::future::pending().await,
        }
    }
}
