//! The light client: from the network key to headers, and from a header to what the state holds.
//!
//! Invariant: a [`VerifiedHeader`] exists only for a block that a certificate under the network key covers, and what
//! the functions of this module return stands under such a header's state root. Not here: which header is the newest.
//! A proof cannot know that; whoever holds a clock compares [`VerifiedHeader::moment`] with it.

mod entry;
mod finality;
mod header;
mod state;

pub use entry::{EntryError, EntryKey, verify_absent_entry, verify_entry};
pub use finality::{ChainTrust, FinalityError, FinalityProof, VerifiedHeaders, verify_finality};
pub use header::{HEADER_BYTES_MAX, HeaderError, VerifiedHeader};
pub use state::{AccountState, StateError, verify_account, verify_storage};

pub(crate) use finality::{check_chain, decode_certificate, decode_head};
