//! Leases that an app's instances compete for, and the counters that stand under them (`spec/leases.md`).
//!
//! Invariant of both entries: their numbers never fall. A lease's fence rises with every taking, so that whoever writes
//! under an older fence is told from its successor; counters rise by batches, each of which names the one before.

use crate::ids::{Account, AppId, Digest, Height, UnixSeconds};

/// Longest name of a lease or counter, in bytes.
pub const LEASE_NAME_BYTES_MAX: usize = 64;
/// Shortest and longest lease that can be asked for, in seconds.
pub const NAMED_LEASE_S_RANGE: std::ops::RangeInclusive<u64> = 10..=3_600;
/// Most counters under one lease: as many as one small transaction can raise.
pub const COUNTERS_MAX: usize = 64;

/// Refusal code of `Apps` where another instance holds a lease; guests read it from a revert.
pub const LEASE_HELD_CODE: u16 = 43;
/// Refusal code where the caller does not hold the lease under the fence that it shows.
pub const LEASE_FENCE_CODE: u16 = 44;
/// Refusal code of every module where the caller is no live instance.
pub const NOT_LIVE_CODE: u16 = 140;

/// Whether a lease or counter may have this name: 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
pub fn is_lease_name(name: &str) -> bool {
    (1..=LEASE_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

canonical_struct! {
    /// A lease of an app: at most one of its instances holds it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct LeaseEntry {
        /// App whose instances compete for it.
        pub app_id: AppId,
        /// Its name.
        pub name: String,
        /// Counts the takings from 1; a renewal keeps it.
        pub fence: u64,
        /// Instance that took it last.
        pub instance_id: Digest,
        /// Account of that instance.
        pub account: Account,
        /// Height that took it.
        pub taken_at: Height,
        /// Height of the newest renewal (the taking counts).
        pub renewed_at: Height,
        /// Unix seconds at which it ends; never after the holder's own lease.
        pub expires_at: UnixSeconds,
        /// Height at which the holder let it go; `None` while it did not.
        pub released_at: Option<Height>,
    }
}

impl LeaseEntry {
    /// Whether its holder holds it at this moment, as far as this entry says. Whoever judges looks at the holder's
    /// instance too: a closed or denied one holds nothing.
    pub const fn stands(&self, now_unix_s: UnixSeconds) -> bool {
        self.released_at.is_none() && now_unix_s < self.expires_at
    }
}

canonical_struct! {
    /// One counter.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CounterValue {
        /// Its name.
        pub name: String,
        /// Its value: it never falls.
        pub value: u64,
    }
}

canonical_struct! {
    /// All counters under one lease of an app.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CountersEntry {
        /// App whose counters they are.
        pub app_id: AppId,
        /// Lease that its writer holds.
        pub lease: String,
        /// Counts the batches from 1.
        pub sequence: u64,
        /// Fence under which the newest batch was written.
        pub fence: u64,
        /// Instance that wrote it.
        pub instance_id: Digest,
        /// Id of that batch, chosen by its writer.
        pub batch: Digest,
        /// The counters, in rising order of their names.
        pub values: Vec<CounterValue>,
        /// Height that wrote it.
        pub height: Height,
        /// Header time of that block.
        pub time_unix_s: UnixSeconds,
    }
}

impl CountersEntry {
    /// Value of a counter; 0 where it was never raised.
    pub fn value(&self, name: &str) -> u64 {
        self.values.iter().find(|counter| counter.name == name).map_or(0, |counter| counter.value)
    }
}
