//! How long to wait before something that crashed is started again, and when it is given up. Starts nothing itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How patient the supervisor is with what crashes.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Before the first restart; doubled with each crash within the window.
    pub first_delay: Duration,
    pub longest_delay: Duration,
    /// With so many crashes within the window it is given up.
    pub crashes: usize,
    pub window: Duration,
    /// From its start to ready; after that it counts as crashed. Longer than a service's own START_TIMEOUT_MS, so that
    /// its own sentence is heard.
    pub ready: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(250),
            longest_delay: Duration::from_secs(15),
            crashes: 6,
            window: Duration::from_secs(60),
            ready: Duration::from_secs(75),
        }
    }
}

/// What is known of the crashes of one process.
pub(crate) struct Crashes {
    recent: VecDeque<Instant>,
    /// When it was ready last, or began.
    pub(crate) unready_since: Instant,
}

impl Crashes {
    pub(crate) fn new() -> Self {
        Self { recent: VecDeque::new(), unready_since: Instant::now() }
    }

    /// Notes a crash and says how long to wait before the next start, or why it is given up: it crashed too often
    /// within the window, or was not ready for as long (it may take a minute to fail each time).
    pub(crate) fn add(
        &mut self,
        patience: &Patience,
        was_ready: bool,
        now: Instant,
    ) -> Result<Duration, String> {
        if was_ready {
            self.unready_since = now;
        }
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|first| now.duration_since(*first) > patience.window) {
            self.recent.pop_front();
        }
        let seconds = patience.window.as_secs();
        if self.recent.len() >= patience.crashes {
            return Err(format!("crashed {} times within {seconds} s", patience.crashes));
        }
        if now.duration_since(self.unready_since) >= patience.window {
            return Err(format!("was not ready for {seconds} s"));
        }
        let doublings = u32::try_from(self.recent.len() - 1).unwrap_or(u32::MAX).min(16);
        Ok((patience.first_delay * 2_u32.pow(doublings)).min(patience.longest_delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_then_it_is_given_up() {
        let patience = Patience { longest_delay: Duration::from_secs(1), crashes: 5, ..Patience::default() };
        let (mut crashes, now) = (Crashes::new(), Instant::now());
        let delays: Vec<_> = (0..5).map(|_| crashes.add(&patience, false, now).ok()).collect();
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(delays, [ms(250), ms(500), ms(1000), ms(1000), None]);
    }

    #[test]
    fn crashes_before_the_window_are_forgotten() {
        let patience = Patience::default();
        let (mut crashes, start) = (Crashes::new(), Instant::now());
        for crash in 0..20 {
            let now = start + patience.window.mul_f64(1.1) * crash;
            assert_eq!(crashes.add(&patience, true, now), Ok(patience.first_delay));
        }
    }

    #[test]
    fn what_is_never_ready_is_given_up_however_slowly_it_fails() {
        let patience = Patience::default();
        let mut crashes = Crashes::new();
        let start = crashes.unready_since;
        assert!(crashes.add(&patience, false, start + patience.window / 2).is_ok());
        let given_up = crashes.add(&patience, false, start + patience.ready).unwrap_err();
        assert_eq!(given_up, "was not ready for 60 s");
    }
}
