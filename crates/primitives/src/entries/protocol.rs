//! Which version of the protocol rules a block, by height (`spec/protocol.md`).

use crate::ids::Height;

/// Longest name of a release, in bytes: printable ASCII without spaces.
pub const RELEASE_BYTES_MAX: usize = 64;

canonical_struct! {
    /// Which version of the protocol rules blocks, by height. Where there is no entry, it is the first everywhere.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ProtocolSchedule {
        /// Version in force below `next_from`.
        pub current: u32,
        /// Version in force from `next_from` on.
        pub next: u32,
        /// First height that `next` rules.
        pub next_from: Height,
        /// Release that knows `next`, for people: what to install.
        pub release: String,
    }
}

impl ProtocolSchedule {
    /// The schedule of a chain that never announced a version.
    pub const FIRST: Self = Self { current: 1, next: 1, next_from: 0, release: String::new() };

    /// The version that rules the block at `height`.
    pub const fn at(&self, height: Height) -> u32 {
        if height < self.next_from { self.current } else { self.next }
    }

    /// Whether a release can be named so: 1 to [`RELEASE_BYTES_MAX`] printable ASCII characters without spaces.
    pub fn is_release(name: &str) -> bool {
        (1..=RELEASE_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
    }
}
