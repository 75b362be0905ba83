//! Pauses between rounds: the interval after a good one, a minute and doubling after failures, never sooner than a
//! service asks for, and a little at random so that bots do not come all at once. Pure.

use std::time::Duration;

use super::report::RoundSummary;

/// First pause after a failure.
const PAUSE_MIN: Duration = Duration::from_secs(60);
/// The part of a pause that is added at random, at most: one in this many.
const JITTER_PART: u32 = 10;

/// The pause before the next round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    interval: Duration,
    failures: u32,
}

impl Pace {
    pub(crate) const fn new(interval: Duration) -> Self {
        Self { interval, failures: 0 }
    }

    /// The pause after a round; `chance` is any number.
    pub(crate) fn after(&mut self, round: &RoundSummary, chance: u32) -> Duration {
        let pause = if round.failures == 0 {
            self.failures = 0;
            self.interval
        } else {
            let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(16)).min(self.interval);
            self.failures = self.failures.saturating_add(1);
            pause.max(round.retry_after.unwrap_or_default())
        };
        let share = f64::from(chance) / f64::from(u32::MAX);
        pause + (pause / JITTER_PART).mul_f64(share)
    }
}
