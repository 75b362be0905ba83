//! Certificates of finality and seeds (`spec/certificate.md`): threshold signatures of the network key.
//!
//! A recovered threshold signature is an ordinary BLS signature under the group key, so that a verifier needs 96 bytes
//! and no list of validators. The signed bytes are those of commonware-consensus 2026.10.0 (simplex, threshold VRF); the
//! format is specified by us and tested against the engine. Making certificates is the engine's work, not ours.

use freehold_primitives::{Canonical, Certificate, Digest, G1Point, NetworkKey, Term};
use thiserror::Error;

use crate::{
    bls::{G1, G2, pairing_product_is_one, weight},
    hash::hash,
};

const SIGNATURE_TAG: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
const FINALIZE_SUFFIX: &[u8] = b"_FINALIZE";
const SEED_SUFFIX: &[u8] = b"_SEED";
const NAMESPACE_PREFIX: &[u8] = b"freehold:";

/// Why a certificate or a seed proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The network key is no point of G2.
    #[error("network key is not a point of G2")]
    NetworkKey,
    /// The vote signature is no point of G1.
    #[error("certificate signature is not a point of G1")]
    SignaturePoint,
    /// The seed is no point of G1.
    #[error("seed is not a point of G1")]
    SeedPoint,
    /// The vote signature is not the network key's over these fields.
    #[error("certificate signature does not verify under the network key")]
    Signature,
    /// The seed is not the network key's signature over this round.
    #[error("seed does not verify under the network key")]
    Seed,
}

/// Namespace of a chain's signatures: `"freehold:"`, chain id (u64, big-endian), genesis hash; 49 bytes.
pub fn chain_namespace(chain_id: u64, genesis_hash: &Digest) -> Vec<u8> {
    [NAMESPACE_PREFIX, &chain_id.to_be_bytes(), genesis_hash.as_bytes()].concat()
}

/// A network key that was decoded once, for callers that check many certificates.
#[derive(Clone)]
pub struct CertificateVerifier {
    encoded: NetworkKey,
    key: G2,
    namespace: Vec<u8>,
}

impl CertificateVerifier {
    /// A verifier for the chain of `namespace` under `key`.
    ///
    /// # Errors
    /// [`CertificateError::NetworkKey`].
    pub fn new(key: &NetworkKey, namespace: &[u8]) -> Result<Self, CertificateError> {
        let point = G2::decode(key).ok_or(CertificateError::NetworkKey)?;
        Ok(Self { encoded: *key, key: point, namespace: namespace.to_vec() })
    }

    /// Checks both signatures of a certificate by one product of two pairings.
    ///
    /// # Errors
    /// Any [`CertificateError`] but [`CertificateError::NetworkKey`].
    pub fn verify(&self, certificate: &Certificate) -> Result<(), CertificateError> {
        let vote = G1::decode(&certificate.signature).ok_or(CertificateError::SignaturePoint)?;
        let seed = G1::decode(&certificate.seed).ok_or(CertificateError::SeedPoint)?;
        let vote_message = self.hash(FINALIZE_SUFFIX, &proposal_bytes(certificate));
        let seed_message = self.hash(SEED_SUFFIX, &round_bytes(certificate.term, certificate.view));

        // The weight depends on everything that is checked, so that errors of the two equations cannot be made to cancel.
        let rho = weight(&hash(
            "freehold certificate weight",
            &[self.encoded.as_bytes(), &certificate.to_canonical(), &self.namespace],
        ));
        let signatures = vote.add(&seed.mul_public(rho));
        let messages = vote_message.add(&seed_message.mul_public(rho));
        if pairing_product_is_one(&[(signatures.neg(), G2::generator()), (messages, self.key)]) {
            return Ok(());
        }
        // The slow path only names the fault.
        if self.signed(&vote, &vote_message) { Err(CertificateError::Seed) } else { Err(CertificateError::Signature) }
    }

    /// Checks the seed of a round.
    ///
    /// # Errors
    /// [`CertificateError::SeedPoint`], [`CertificateError::Seed`].
    pub fn verify_seed(&self, term: Term, view: u64, seed: &G1Point) -> Result<(), CertificateError> {
        let seed = G1::decode(seed).ok_or(CertificateError::SeedPoint)?;
        let message = self.hash(SEED_SUFFIX, &round_bytes(term, view));
        if self.signed(&seed, &message) { Ok(()) } else { Err(CertificateError::Seed) }
    }

    fn signed(&self, signature: &G1, message: &G1) -> bool {
        pairing_product_is_one(&[(signature.neg(), G2::generator()), (*message, self.key)])
    }

    fn hash(&self, suffix: &[u8], message: &[u8]) -> G1 {
        let mut bytes = Vec::with_capacity(128);
        write_varint(&mut bytes, (self.namespace.len() + suffix.len()) as u64);
        bytes.extend_from_slice(&self.namespace);
        bytes.extend_from_slice(suffix);
        bytes.extend_from_slice(message);
        G1::hash(&[], &bytes, SIGNATURE_TAG)
    }
}

/// Checks both signatures of a certificate under the network key.
///
/// # Errors
/// Any [`CertificateError`].
pub fn verify_certificate(
    key: &NetworkKey,
    namespace: &[u8],
    certificate: &Certificate,
) -> Result<(), CertificateError> {
    CertificateVerifier::new(key, namespace)?.verify(certificate)
}

/// Checks the seed of round (`term`, `view`) under the network key.
///
/// # Errors
/// [`CertificateError::NetworkKey`], [`CertificateError::SeedPoint`], [`CertificateError::Seed`].
pub fn verify_seed(
    key: &NetworkKey,
    namespace: &[u8],
    term: Term,
    view: u64,
    seed: &G1Point,
) -> Result<(), CertificateError> {
    CertificateVerifier::new(key, namespace)?.verify_seed(term, view, seed)
}

fn round_bytes(term: Term, view: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(20);
    write_varint(&mut out, term);
    write_varint(&mut out, view);
    out
}

fn proposal_bytes(certificate: &Certificate) -> Vec<u8> {
    let mut out = round_bytes(certificate.term, certificate.view);
    write_varint(&mut out, certificate.parent_view);
    out.extend_from_slice(certificate.payload.as_bytes());
    out
}

/// Shortest form of seven bits a byte, lowest first.
fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests;
