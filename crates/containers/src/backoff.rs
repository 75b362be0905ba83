//! Pauses between restarts: doubled with each quick failure, from the start after a long run.

use std::time::Duration;

/// First pause.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A run of this length forgets earlier failures.
const LONG_RUN: Duration = Duration::from_secs(60);

/// The pause before the next start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after a run of this length.
    pub fn after(&mut self, ran: Duration) -> Duration {
        if ran >= LONG_RUN {
            self.failures = 0;
        }
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(10)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}
