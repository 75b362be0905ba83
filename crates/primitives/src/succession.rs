//! Succession of the network key (`spec/succession.md`): a payload whose body names the key of the next term, and the
//! certificate over it, which is the old key's signature.
//!
//! The body has a version byte of its own, so that no reader of ordinary bodies takes it, and names nothing but the key.

use crate::{
    codec::{Blob, Canonical as _, CodecError},
    ids::NetworkKey,
    payload::{Certificate, PayloadBody, PayloadHead},
};

/// First byte of a body that names the next network key, where that of an ordinary body is the codec's version.
pub const SUCCESSION_VERSION: u8 = 2;
/// Most records that lead from one key to another.
pub const SUCCESSIONS_MAX: usize = 64;

/// The body of the payload that names the network key of the next term: the version byte, the key (96 bytes).
pub fn succession_body(network_key: &NetworkKey) -> Vec<u8> {
    [&[SUCCESSION_VERSION], network_key.as_bytes().as_slice()].concat()
}

/// What a payload's body is: an ordinary one, or one that names the network key of the next term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Transactions, statements, a turn.
    Ordinary(Box<PayloadBody>),
    /// The network key of the next term, and nothing else.
    Succession(NetworkKey),
}

impl Body {
    /// Reads the bytes of a body.
    ///
    /// # Errors
    /// [`CodecError`] where they are none of the two.
    pub fn read(bytes: &[u8]) -> Result<Self, CodecError> {
        match bytes.split_first() {
            Some((&SUCCESSION_VERSION, key)) => {
                let key = key.try_into().map_err(|_| CodecError::Trailing)?;
                Ok(Self::Succession(NetworkKey(key)))
            }
            _ => PayloadBody::from_canonical(bytes).map(|body| Self::Ordinary(Box::new(body))),
        }
    }

    /// The ordinary body; one that names a key holds nothing.
    pub fn ordinary(self) -> PayloadBody {
        match self {
            Self::Ordinary(body) => *body,
            Self::Succession(_) => PayloadBody::default(),
        }
    }
}

canonical_struct! {
    /// A network key that was made and is in force from the next term on: what the members of this term hold beside the
    /// key under which they sign.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct WaitingKey {
        /// The key.
        pub network_key: NetworkKey,
        /// Public polynomial of its shares (engine's encoding).
        pub polynomial: Blob,
    }
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
