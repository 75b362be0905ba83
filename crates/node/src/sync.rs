//! Catching up from other nodes over JSON-RPC, with the network key as the only trust (`spec/sync.md`).
//!
//! Invariant: nothing that a source said is kept before it is proven: blocks by certificates and roots, state by its root,
//! content by its digests. Sources are tried in turn; one that lied is not asked again. Not here: how a follower lives on
//! what arrives, which is `follower`.

mod chain;
mod error;
mod floor;
mod page;
mod sources;
mod staging;
mod state;

pub use chain::chain_genesis;
pub use error::{Lie, SyncError};
pub use state::{SyncedState, sync_state};

pub(crate) use chain::SourceChain;
pub(crate) use floor::{forget_floor, read_floor};
pub(crate) use page::{CheckedBlock, CheckedPage, check_page};
pub(crate) use sources::{Fault, Sources};
pub(crate) use staging::{ENGINE_FOLDER, REPLACED, Staging};
pub(crate) use state::{Onto, Successor, code_hash, sync_into};
