//! The ledger's view of the state (stand-in until `freehold-ledger` exports it).
use freehold_primitives::{Digest, Height};

/// A write: key and new value, `None` to delete.
pub type Write = (Digest, Option<Vec<u8>>);

/// Why state could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// This height is applied already.
    #[error("height {0} is applied already")]
    Applied(Height),
    /// Not the next height.
    #[error("height {found} is not the next one, {expected}")]
    Gap {
        /// Next height.
        expected: Height,
        /// Height given.
        found: Height,
    },
    /// A write set is malformed.
    #[error("a write set names a key twice or holds a value that is too long")]
    Writes,
    /// The store failed.
    #[error("the state store failed: {0}")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The authenticated state.
pub trait StateTree {
    /// Value of a key.
    fn get(&self, key: &Digest) -> Result<Option<Vec<u8>>, StateError>;
    /// Applies a block's writes.
    fn apply(&mut self, height: Height, writes: &[Write]) -> Result<Digest, StateError>;
    /// Proof of a key.
    fn prove(&self, key: &Digest) -> Result<Vec<u8>, StateError>;
    /// Root.
    fn root(&self) -> Digest;
    /// Height.
    fn height(&self) -> Height;
}
