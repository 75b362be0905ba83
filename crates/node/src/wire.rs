//! Messages that validators exchange beside consensus: transactions, and encrypted key shares.
//!
//! Canonical documents on two gossip channels. A message that does not decode is dropped; nothing here is trusted.

use freehold_consensus::GossipChannel;
use freehold_primitives::{Blob, Canonical, CodecError, Digest, Ed25519Signature, Generation, Reader, Term};

/// Channel of transactions.
pub(crate) const TRANSACTIONS: GossipChannel = GossipChannel { message_bytes_max: 512 * 1024, quota_per_s: 512 };
/// Channel of key shares.
pub(crate) const KEY_SHARES: GossipChannel = GossipChannel { message_bytes_max: 1_024, quota_per_s: 256 };
/// Transactions that one message carries at most, by bytes.
pub(crate) const BATCH_BYTES_MAX: usize = 480 * 1024;

/// A batch of transactions, EIP-2718 encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transactions(pub(crate) Vec<Blob>);

impl Canonical for Transactions {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Vec::read(reader).map(Self)
    }
}

/// A message about the shares of a granted key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShareMessage {
    /// Whoever holds a share: encrypt it for this live grant.
    Ask {
        /// The grant.
        grant: Digest,
    },
    /// One share, encrypted to the transport key that the grant records; for anyone to read.
    Share {
        /// The grant.
        grant: Digest,
        /// The share, as its validator signed it.
        signed: SignedShare,
    },
    /// No share for this grant.
    Refused {
        /// The grant.
        grant: Digest,
        /// Why (`spec/key-service.md` §8).
        code: u8,
    },
    /// Whoever holds a share: encrypt it of this generation of the state root key, for this executor.
    AskState {
        /// The executor's instance.
        instance: Digest,
        /// The generation.
        generation: Generation,
    },
}

/// A share, and its validator's signature over it (`spec/key-service.md` §8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedShare {
    /// The term whose polynomial it belongs to.
    pub(crate) term: Term,
    /// Generation of the master that the key is under.
    pub(crate) master: Generation,
    /// Encrypted share.
    pub(crate) share: Blob,
    /// The validator's signature.
    pub(crate) signature: Ed25519Signature,
}

impl Canonical for ShareMessage {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ask { grant } => {
                out.push(1);
                grant.write(out);
            }
            Self::Share { grant, signed } => {
                out.push(2);
                grant.write(out);
                signed.term.write(out);
                signed.master.write(out);
                signed.share.write(out);
                signed.signature.write(out);
            }
            Self::Refused { grant, code } => {
                out.push(3);
                grant.write(out);
                code.write(out);
            }
            Self::AskState { instance, generation } => {
                out.push(4);
                instance.write(out);
                generation.write(out);
            }
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match u8::read(reader)? {
            1 => Ok(Self::Ask { grant: Canonical::read(reader)? }),
            2 => Ok(Self::Share {
                grant: Canonical::read(reader)?,
                signed: SignedShare {
                    term: Canonical::read(reader)?,
                    master: Canonical::read(reader)?,
                    share: Canonical::read(reader)?,
                    signature: Canonical::read(reader)?,
                },
            }),
            3 => Ok(Self::Refused { grant: Canonical::read(reader)?, code: Canonical::read(reader)? }),
            4 => Ok(Self::AskState { instance: Canonical::read(reader)?, generation: Canonical::read(reader)? }),
            other => Err(CodecError::Tag(other)),
        }
    }
}
