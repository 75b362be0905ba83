//! Versions of this verifier. A chain names by number the one that judges evidence in a block (`spec/collateral.md` §4).
//!
//! A change of what is accepted, or of a refusal's code, is a new version: an older block must be judged as it was.

/// A version of the verifier that this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerifierVersion {
    /// The first.
    V1 = 1,
}

impl VerifierVersion {
    /// Every version that this program knows, ascending.
    pub const ALL: [Self; 1] = [Self::V1];

    /// Its number on a chain.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The version of a number; `None` where this program is too old for it.
    pub fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }
}
