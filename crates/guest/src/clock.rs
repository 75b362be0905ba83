//! The guest's own clock: milliseconds that never go back and do not stand still while the machine sleeps.
//!
//! It says how long ago something was, never which moment it is: moments come from certified headers.

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine booted (`CLOCK_BOOTTIME`).
pub(crate) fn boot_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let millis = u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000;
    seconds.saturating_mul(1000).saturating_add(millis)
}
