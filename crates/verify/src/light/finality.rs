//! From the network key to a run of headers (`spec/proof-bundle.md` §5, design D3).
//!
//! A certificate signs the digest of a payload head; the head names the newest block its proposer had executed, and
//! voters voted only with the same block. So the certificate covers that block and, by parent hashes, all before it.

use freehold_crypto::{CertificateError, chain_namespace, payload_digest, verify_certificate};
use freehold_primitives::{
    Canonical, Certificate, CodecError, Digest, EXECUTED_LAG_MAX, Height, NetworkKey, PayloadHead,
};
use thiserror::Error;

use super::{
    header::{HeaderError, VerifiedHeader, decode_header},
    succession::NetworkKeys,
};

/// Most headers in one proof: the lag that a payload may have, and the block itself.
pub(crate) const HEADERS_MAX: usize = EXECUTED_LAG_MAX as usize + 1;
/// Largest payload head and certificate document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 1024;

/// All that must be known of a chain beforehand. The genesis hash may come from the proof itself: the certificate
/// covers it through the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainTrust {
    /// The network key.
    pub network_key: NetworkKey,
    /// Chain id.
    pub chain_id: u64,
    /// Digest of the genesis.
    pub genesis_hash: Digest,
}

/// What `freehold_getFinality` answers, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalityProof {
    /// RLP of the headers, oldest first, each the parent of the next.
    pub headers: Vec<Vec<u8>>,
    /// Canonical document of the payload head that names the last header.
    pub payload_head: Vec<u8>,
    /// Canonical document of the certificate over that head.
    pub certificate: Vec<u8>,
}

/// Why a proof of finality does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FinalityError {
    /// No header, or more than a payload may lag.
    #[error("{0} headers, where 1 to {HEADERS_MAX} may stand")]
    HeaderCount(usize),
    /// A header is malformed.
    #[error("header {index} of the run: {source}")]
    Header {
        /// Its place in the run, from 0.
        index: usize,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// A header does not follow the one before.
    #[error("header {index} of the run is not the child of the one before")]
    NotChild {
        /// Its place in the run, from 0.
        index: usize,
    },
    /// The payload head is malformed.
    #[error("the payload head is malformed: {0}")]
    Head(CodecError),
    /// The certificate is malformed.
    #[error("the certificate is malformed: {0}")]
    Certificate(CodecError),
    /// The payload belongs to another chain.
    #[error("the payload belongs to chain {found}, not to {expected}")]
    ForeignChain {
        /// Chain id in the head.
        found: u64,
        /// Chain id that counts.
        expected: u64,
    },
    /// The payload names another block than the last header.
    #[error("the payload names block {height}, whose hash is not that of the last header")]
    NotExecuted {
        /// Height that the payload names.
        height: Height,
    },
    /// The certificate signs another payload.
    #[error("the certificate signs another payload than the head given")]
    OtherPayload,
    /// The threshold signature does not verify under the network key.
    #[error("the certificate does not verify under the network key: {0}")]
    Signature(CertificateError),
}

/// Headers that one certificate covers, oldest first; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHeaders {
    headers: Vec<VerifiedHeader>,
}

impl VerifiedHeaders {
    /// The oldest: the height that was asked for.
    pub fn first(&self) -> &VerifiedHeader {
        self.headers.first().expect("made with one header at least")
    }

    /// The newest: the block that the certified payload names.
    pub fn last(&self) -> &VerifiedHeader {
        self.headers.last().expect("made with one header at least")
    }

    /// The header at `height`, where it is in the run.
    pub fn at(&self, height: Height) -> Option<&VerifiedHeader> {
        self.headers.iter().find(|header| header.height() == height)
    }

    /// All of them, oldest first.
    pub fn all(&self) -> &[VerifiedHeader] {
        &self.headers
    }
}

/// Checks a proof of finality: strict headers that chain up, the payload that names the last of them, and the threshold
/// signature over that payload.
///
/// # Errors
/// Every [`FinalityError`].
pub fn verify_finality(trust: &ChainTrust, proof: &FinalityProof) -> Result<VerifiedHeaders, FinalityError> {
    verify_finality_under(trust, &NetworkKeys::one(trust.network_key), proof)
}

/// As [`verify_finality`], where the network key was succeeded by others: each certificate counts under the key of its term.
///
/// # Errors
/// Every [`FinalityError`].
pub fn verify_finality_under(
    trust: &ChainTrust,
    keys: &NetworkKeys,
    proof: &FinalityProof,
) -> Result<VerifiedHeaders, FinalityError> {
    let headers = check_chain(&proof.headers)?;
    let head = decode_head(&proof.payload_head)?;
    let certificate = decode_certificate(&proof.certificate)?;
    if head.chain_id != trust.chain_id {
        return Err(FinalityError::ForeignChain { found: head.chain_id, expected: trust.chain_id });
    }
    let verified = VerifiedHeaders { headers };
    let last = verified.last();
    if (head.executed.height, head.executed.block_hash) != (last.height(), last.block_hash()) {
        return Err(FinalityError::NotExecuted { height: head.executed.height });
    }
    if payload_digest(&head) != certificate.payload {
        return Err(FinalityError::OtherPayload);
    }
    let namespace = chain_namespace(trust.chain_id, &trust.genesis_hash);
    verify_certificate(keys.at(certificate.term), &namespace, &certificate).map_err(FinalityError::Signature)?;
    Ok(verified)
}

/// Decodes a run of headers and checks that each is the child of the one before. Nothing covers them yet.
pub(crate) fn check_chain<B: AsRef<[u8]>>(rlps: &[B]) -> Result<Vec<VerifiedHeader>, FinalityError> {
    if rlps.is_empty() || rlps.len() > HEADERS_MAX {
        return Err(FinalityError::HeaderCount(rlps.len()));
    }
    let mut headers: Vec<VerifiedHeader> = Vec::with_capacity(rlps.len());
    for (index, rlp) in rlps.iter().enumerate() {
        let header = decode_header(rlp.as_ref()).map_err(|source| FinalityError::Header { index, source })?;
        if let Some(parent) = headers.last() {
            let follows = parent.height().checked_add(1) == Some(header.height());
            if !follows || header.parent_hash() != parent.block_hash() {
                return Err(FinalityError::NotChild { index });
            }
        }
        headers.push(header);
    }
    Ok(headers)
}

/// Decodes a payload head within its bound.
pub(crate) fn decode_head(bytes: &[u8]) -> Result<PayloadHead, FinalityError> {
    bounded(bytes).and_then(PayloadHead::from_canonical).map_err(FinalityError::Head)
}

/// Decodes a certificate within its bound.
pub(crate) fn decode_certificate(bytes: &[u8]) -> Result<Certificate, FinalityError> {
    bounded(bytes).and_then(Certificate::from_canonical).map_err(FinalityError::Certificate)
}

const fn bounded(bytes: &[u8]) -> Result<&[u8], CodecError> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(CodecError::TooLong { length: bytes.len(), bound: DOCUMENT_BYTES_MAX });
    }
    Ok(bytes)
}
