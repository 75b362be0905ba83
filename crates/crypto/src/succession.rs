//! Checks one step from a network key to its successor (`spec/succession.md`).
//!
//! Invariant: a [`Succession`] exists only where the old key's certificate covers a payload that names the new key and
//! nothing else. Not here: walking many records (`freehold_verify`), and making them, which is consensus'.

use freehold_primitives::{Digest, NetworkKey, SuccessionRecord, Term, succession_body};
use thiserror::Error;

use crate::{
    bls::G2,
    certificate::{CertificateError, chain_namespace, verify_certificate},
    hash::{body_digest, payload_digest},
};

/// Why a record does not make its key the successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SuccessionError {
    /// The payload belongs to another chain.
    #[error("the record belongs to chain {found}, not to {expected}")]
    ForeignChain {
        /// Chain id in the head.
        found: u64,
        /// Chain id that counts.
        expected: u64,
    },
    /// The payload's body names another key, or more than a key.
    #[error("the payload's body does not name this key and nothing else")]
    Body,
    /// The certificate is of another payload.
    #[error("the certificate signs another payload than the head given")]
    OtherPayload,
    /// Head and certificate are of different terms, or there is no next one.
    #[error("head and certificate are not of one term with a next one")]
    Term,
    /// The new key is no point of G2.
    #[error("the new key is not a point of G2")]
    Key,
    /// The new key is the old one.
    #[error("the record names the key that signs it")]
    SameKey,
    /// The certificate does not verify under the old key.
    #[error("the certificate does not verify under the key before: {0}")]
    Certificate(#[from] CertificateError),
}

/// A network key, and the term from which it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Succession {
    /// The first term of the new key.
    pub from_term: Term,
    /// The new key.
    pub network_key: NetworkKey,
}

/// Checks that `key` named its successor on the chain (`chain_id`, `genesis_hash`).
///
/// # Errors
/// Every [`SuccessionError`].
pub fn verify_succession(
    key: &NetworkKey,
    (chain_id, genesis_hash): (u64, &Digest),
    record: &SuccessionRecord,
) -> Result<Succession, SuccessionError> {
    let SuccessionRecord { payload_head: head, network_key, certificate } = record;
    if head.chain_id != chain_id {
        return Err(SuccessionError::ForeignChain { found: head.chain_id, expected: chain_id });
    }
    if head.body != body_digest(&succession_body(network_key)) {
        return Err(SuccessionError::Body);
    }
    if payload_digest(head) != certificate.payload {
        return Err(SuccessionError::OtherPayload);
    }
    let next = head.term.checked_add(1).filter(|_| head.term == certificate.term);
    let from_term = next.ok_or(SuccessionError::Term)?;
    if network_key == key {
        return Err(SuccessionError::SameKey);
    }
    if G2::decode(network_key).is_none() {
        return Err(SuccessionError::Key);
    }
    verify_certificate(key, &chain_namespace(chain_id, genesis_hash), certificate)?;
    Ok(Succession { from_term, network_key: *network_key })
}
