//! Succession of the network key (`spec/succession.md`): a payload whose body names the key of the next term, and the
//! certificate over it, which is the old key's signature.
//!
//! The body has a version byte of its own, so that no reader of ordinary bodies takes it, and names nothing but the key.

use crate::{
    ids::NetworkKey,
    payload::{Certificate, PayloadHead},
};

/// First byte of a body that names the next network key, where that of an ordinary body is the codec's version.
pub const SUCCESSION_VERSION: u8 = 2;
/// Most records that lead from one key to another.
pub const SUCCESSIONS_MAX: usize = 64;

/// The body of the payload that names the network key of the next term: the version byte, the key (96 bytes).
pub fn succession_body(network_key: &NetworkKey) -> Vec<u8> {
    [&[SUCCESSION_VERSION], network_key.as_bytes().as_slice()].concat()
}

canonical_struct! {
    /// All that shows that one network key named another.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SuccessionRecord {
        /// Head of the last payload of the old key's last term.
        pub payload_head: PayloadHead,
        /// The key of the next term, which that payload's body names.
        pub network_key: NetworkKey,
        /// The old key's certificate over that payload.
        pub certificate: Certificate,
    }
}
