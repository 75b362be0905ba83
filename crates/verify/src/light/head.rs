//! Which header is the newest: the one thing that no proof says.
//!
//! Invariant: what [`Head`] has accepted never goes back, and no two headers of one height are accepted. The moment is an
//! argument: whoever calls holds a clock. A node that withholds newer blocks is noticed by the age of the newest one.

use std::collections::BTreeMap;

use freehold_primitives::{Digest, Height, UnixSeconds};
use thiserror::Error;

use super::header::VerifiedHeader;

/// Heights whose hashes are remembered.
const REMEMBERED_MAX: usize = 1_024;

/// How old and how young the newest header may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadRules {
    /// Oldest header that still counts as new, in seconds. The network makes a block every second.
    pub age_s_max: u64,
    /// Furthest that a header may lie ahead of the clock, in seconds.
    pub ahead_s_max: u64,
}

impl Default for HeadRules {
    fn default() -> Self {
        Self { age_s_max: 30, ahead_s_max: 15 }
    }
}

/// Why a header is not taken for the newest, or an answer not for new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeadError {
    /// It is older than what was seen before.
    #[error("height {found} is below {seen}, which was seen before: the chain does not go back")]
    GoesBack {
        /// Height seen before.
        seen: Height,
        /// Height that was shown.
        found: Height,
    },
    /// There are two final headers of one height: the network's quorum is broken.
    #[error("two final blocks at height {0}: the network key has signed two histories, trust nothing of it")]
    Fork(Height),
    /// The newest header is too old.
    #[error(
        "the newest header is of {time}, {age} s ago: above the bound of {bound} s, newer blocks are withheld or not made"
    )]
    Stale {
        /// Time of the newest header.
        time: UnixSeconds,
        /// Its age in seconds.
        age: u64,
        /// The bound in seconds.
        bound: u64,
    },
    /// The newest header lies in the future.
    #[error("the newest header is of {time}, {ahead} s ahead of this machine's clock: set the clock")]
    Ahead {
        /// Time of the newest header.
        time: UnixSeconds,
        /// How far ahead, in seconds.
        ahead: u64,
    },
    /// No header was accepted yet.
    #[error("no header of the network has been seen yet")]
    None,
}

/// The newest header that was accepted, and hashes of those before it.
#[derive(Debug, Clone, Default)]
pub struct Head {
    rules: HeadRules,
    newest: Option<VerifiedHeader>,
    hashes: BTreeMap<Height, Digest>,
}

impl Head {
    /// Nothing seen yet.
    pub fn new(rules: HeadRules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// The newest header accepted.
    pub const fn newest(&self) -> Option<&VerifiedHeader> {
        self.newest.as_ref()
    }

    /// Notes a verified header of any height.
    ///
    /// # Errors
    /// [`HeadError::Fork`].
    pub fn note(&mut self, header: &VerifiedHeader) -> Result<(), HeadError> {
        let (height, hash) = (header.height(), header.block_hash());
        match self.hashes.get(&height) {
            Some(known) if *known != hash => return Err(HeadError::Fork(height)),
            Some(_) => {}
            None => {
                self.hashes.insert(height, hash);
                if self.hashes.len() > REMEMBERED_MAX {
                    self.hashes.pop_first();
                }
            }
        }
        if self.newest.is_none_or(|newest| newest.height() < height) {
            self.newest = Some(*header);
        }
        Ok(())
    }

    /// Accepts a header that an answer about now stands under: it is judged by the clock, and may not be below `floor`, the
    /// height that was the newest when the answer was asked for.
    ///
    /// # Errors
    /// Every [`HeadError`] but [`HeadError::None`].
    pub fn accept(&mut self, header: &VerifiedHeader, floor: Height, now_unix_s: UnixSeconds) -> Result<(), HeadError> {
        self.note(header)?;
        self.check_time(header, now_unix_s)?;
        if header.height() < floor {
            return Err(HeadError::GoesBack { seen: floor, found: header.height() });
        }
        Ok(())
    }

    /// The newest header, where it is new at this moment.
    ///
    /// # Errors
    /// [`HeadError::None`], [`HeadError::Stale`], [`HeadError::Ahead`].
    pub fn fresh(&self, now_unix_s: UnixSeconds) -> Result<&VerifiedHeader, HeadError> {
        let newest = self.newest.as_ref().ok_or(HeadError::None)?;
        self.check_time(newest, now_unix_s)?;
        Ok(newest)
    }

    fn check_time(&self, header: &VerifiedHeader, now_unix_s: UnixSeconds) -> Result<(), HeadError> {
        let time = header.time_unix_s();
        let age = now_unix_s.saturating_sub(time);
        if age > self.rules.age_s_max {
            return Err(HeadError::Stale { time, age, bound: self.rules.age_s_max });
        }
        let ahead = time.saturating_sub(now_unix_s);
        if ahead > self.rules.ahead_s_max {
            return Err(HeadError::Ahead { time, ahead });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
