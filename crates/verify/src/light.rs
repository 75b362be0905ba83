//! The light client: from the network key to headers, and from a header to what the state holds.
//!
//! Invariant: a [`VerifiedHeader`] exists only for a block that a certificate under the network key covers, and what
//! the functions of this module return stands under such a header's roots. No proof knows which header is the newest:
//! [`Head`] judges by a clock that its caller holds.

mod answer;
mod body;
mod entry;
mod finality;
mod head;
mod header;
mod state;
mod succession;

pub use answer::{AnswerError, AskedAnswer, ExecutorStanding, VerifiedAnswer, read_answer, verify_answer};
pub use body::{
    BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX, BlockBytes, BlockError, Envelope, VerifiedBlock, VerifiedTransaction,
    open_header, verify_ancestors, verify_block,
};
pub use entry::{EntryError, EntryKey, verify_absent_entry, verify_entry};
pub use finality::{ChainTrust, FinalityError, FinalityProof, VerifiedHeaders, verify_finality, verify_finality_under};
pub use head::{Head, HeadError, HeadRules};
pub use header::{HEADER_BYTES_MAX, HeaderError, VerifiedHeader};
pub use state::{AccountState, StateError, verify_account, verify_leaf, verify_storage};
pub use succession::{KeysError, NetworkKeys, records_after};

pub(crate) use finality::{check_chain, decode_certificate, decode_head};
