//! A container's health: its check, again and again, and what the checks so far mean (Compose Specification, healthcheck).

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{plan::Health, runtime::Runtime};

/// Shortest pause between two checks: a check costs a process.
const INTERVAL_MS_MIN: u64 = 100;

/// What the checks so far mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Unknown,
    Healthy,
    Unhealthy,
}

/// Counts failures in a row.
#[derive(Debug)]
pub(crate) struct Count {
    failures: u64,
    verdict: Verdict,
}

impl Count {
    pub(crate) const fn new() -> Self {
        Self { failures: 0, verdict: Verdict::Unknown }
    }

    /// Takes one result and gives the verdict if it changed. Failures at the beginning do not count.
    pub(crate) fn take(&mut self, succeeded: bool, is_beginning: bool, retries: u64) -> Option<Verdict> {
        let before = self.verdict;
        if succeeded {
            (self.failures, self.verdict) = (0, Verdict::Healthy);
        } else if before != Verdict::Unknown || !is_beginning {
            self.failures += 1;
            if self.failures >= retries {
                self.verdict = Verdict::Unhealthy;
            }
        }
        (self.verdict != before).then_some(self.verdict)
    }
}

/// Checks a container that runs, for ever, and tells each change.
pub(crate) async fn watch(runtime: &Runtime, id: &str, health: &Health, mut tell: impl FnMut(Verdict)) {
    let begun = Instant::now();
    let mut count = Count::new();
    let interval = Duration::from_millis(health.interval_ms.max(INTERVAL_MS_MIN));
    let start = Duration::from_millis(health.start_ms);
    // A container that becomes healthy soon is noticed soon: the pauses grow up to the interval.
    let mut pause = Duration::from_millis(INTERVAL_MS_MIN).min(interval);
    loop {
        sleep(pause).await;
        pause = if count.verdict == Verdict::Unknown { (pause * 2).min(interval) } else { interval };
        let is_beginning = begun.elapsed() < start;
        let limit = Duration::from_millis(health.timeout_ms.max(INTERVAL_MS_MIN));
        let succeeded = runtime.succeeds(id, &health.command, limit).await;
        if let Some(verdict) = count.take(succeeded, is_beginning, health.retries) {
            tell(verdict);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, Verdict::*};

    #[test]
    fn failures_in_a_row_count_and_those_of_the_beginning_do_not() {
        let mut count = Count::new();
        assert_eq!(count.take(false, true, 2), None);
        assert_eq!(count.take(false, true, 2), None);
        assert_eq!(count.take(false, false, 2), None);
        assert_eq!(count.take(true, false, 2), Some(Healthy));
        assert_eq!(count.take(false, true, 2), None, "once healthy, the beginning is over");
        assert_eq!(count.take(false, true, 2), Some(Unhealthy));
        assert_eq!(count.take(false, false, 2), None);
        assert_eq!(count.take(true, false, 2), Some(Healthy));
        assert_eq!(Count::new().take(false, false, 1), Some(Unhealthy));
    }
}
