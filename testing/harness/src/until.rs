//! Waiting for a condition with a deadline, in place of a sleep that hopes.

use std::time::Duration;

use crate::PATIENCE;

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `condition` holds; panics with `what` when it does not within [`PATIENCE`].
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    until_some(what, || {
        let held = condition();
        async { held.await.then_some(()) }
    })
    .await;
}

/// Waits until `look` finds something; panics with `what` when it does not within [`PATIENCE`].
pub async fn until_some<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    found.unwrap_or_else(|_| panic!("waited {} s in vain until {what}", PATIENCE.as_secs()))
}
