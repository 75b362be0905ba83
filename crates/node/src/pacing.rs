//! When a payload is due (design D2): at once for a transaction or an unproven block, otherwise at the heartbeat, and
//! never sooner than the spacing after its parent.
//!
//! A pure rule over times; the proposer waits with it, `Pacing` itself has no clock.

#[cfg(test)]
mod tests;

/// Longest time between two payloads, in milliseconds.
pub(crate) const HEARTBEAT_MS: u64 = 1_000;
/// Shortest time between two payloads, in milliseconds.
pub(crate) const SPACING_MS: u64 = 100;

/// What calls for a payload before the heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Nothing.
    None,
    /// A transaction is ready, or a block with transactions is still unproven.
    Waiting,
}

/// Milliseconds from `now_ms` until a payload on a parent of `parent_ms` is due; 0 when it is.
///
/// A parent ahead of the clock (by up to the 2 s that voters allow) is waited for no longer than one heartbeat.
pub(crate) fn due_in_ms(now_ms: u64, parent_ms: u64, demand: Demand) -> u64 {
    let interval = match demand {
        Demand::Waiting => SPACING_MS,
        Demand::None => HEARTBEAT_MS,
    };
    parent_ms.saturating_add(interval).saturating_sub(now_ms).min(HEARTBEAT_MS)
}
