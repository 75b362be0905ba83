//! Derived keys of a quorum (`spec/key-service.md`): vetKD over BLS12-381.
//!
//! Validators hold shares of a master scalar whose only use is to derive. A [`Derivation`] names one key of one app; each
//! validator encrypts its share of *that key* to an instance's transport key; the instance combines a threshold of them
//! and checks the result against the derived public key. Invariant: no function here takes or gives a master secret, and
//! nothing combines master shares. Who may have a key is the ledger's decision; transport is the node's.

mod seal;
mod share;
mod transport;

use freehold_primitives::{AppId, Generation, NetworkKey};
use thiserror::Error;

use crate::bls::{G1, G2, Scalar};

pub use seal::SEAL_BYTES;
pub use share::{ENCRYPTED_SHARE_BYTES, EncryptedShare, Share, check_transport_key, encrypt_share, verify_share};
pub use transport::{DerivedKey, ENCRYPTED_KEY_BYTES, EncryptedKey, TransportSecret, combine};

/// Input of every derived key: vetKD's third argument.
pub const KEY_INPUT: &[u8] = b"freehold key v1";
/// Longest context string, in bytes.
pub const CONTEXT_BYTES_MAX: usize = 128;
/// Most coefficients of a public polynomial, which is the largest threshold.
pub const THRESHOLD_MAX: usize = 256;

const APP_TAG: &[u8] = b"ic-vetkd-bls12-381-g2-canister-id";
const CONTEXT_TAG: &[u8] = b"ic-vetkd-bls12-381-g2-context";
const KEY_TAG: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_AUG_";

/// Why a key, a share or a derivation is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ThresholdError {
    /// A point does not decode, is outside its subgroup, or is the identity.
    #[error("{0} is not a usable curve point")]
    Point(PointName),
    /// A secret scalar is zero or not below the order.
    #[error("secret scalar out of range")]
    Scalar,
    /// A context is empty, too long, or holds a zero byte.
    #[error("context must be 1 to {CONTEXT_BYTES_MAX} bytes without a zero byte")]
    Context,
    /// A polynomial has no coefficient or more than [`THRESHOLD_MAX`].
    #[error("polynomial must have 1 to {THRESHOLD_MAX} coefficients")]
    Polynomial,
    /// The polynomial belongs to another master key than the derivation.
    #[error("polynomial and derivation belong to different master keys")]
    Master,
    /// An encrypted share or key has the wrong length.
    #[error("expected {expected} bytes, got {length}")]
    Length {
        /// Length of the form.
        expected: usize,
        /// Length that came.
        length: usize,
    },
    /// An index is `u32::MAX`: it has no evaluation point.
    #[error("share index {0} is out of range")]
    Index(u32),
    /// Fewer shares than the threshold.
    #[error("{count} shares are below the threshold of {threshold}")]
    TooFew {
        /// Shares given.
        count: usize,
        /// Shares needed.
        threshold: usize,
    },
    /// Two shares of one validator.
    #[error("share index {0} appears twice")]
    Duplicate(u32),
    /// The ciphertext's two randomness points differ.
    #[error("ciphertext is inconsistent")]
    Ciphertext,
    /// A share is not that of its validator, derivation and transport key.
    #[error("share of validator {0} does not verify")]
    Share(u32),
    /// The opened key is not the derived key.
    #[error("opened key does not verify under the derived public key")]
    Key,
    /// Sealed bytes do not open: they were changed, or belong to another key or place.
    #[error("the sealed value does not open: it was changed, or is for another app, key or place")]
    Sealed,
}

/// Which point a [`ThresholdError::Point`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PointName {
    /// The master public key.
    Master,
    /// A coefficient of the public polynomial.
    Coefficient,
    /// An instance's transport key.
    Transport,
    /// The first point of a ciphertext.
    C1,
    /// The second point of a ciphertext.
    C2,
    /// The third point of a ciphertext.
    C3,
}

impl core::fmt::Display for PointName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Master => "master key",
            Self::Coefficient => "polynomial coefficient",
            Self::Transport => "transport key",
            Self::C1 => "c1",
            Self::C2 => "c2",
            Self::C3 => "c3",
        })
    }
}

/// One derived key: of an app, by a context string and its generation. Making it costs half a millisecond; keep it.
#[derive(Clone)]
pub struct Derivation {
    master: NetworkKey,
    /// Public scalar that derivation adds to the master secret.
    offset: Scalar,
    offset_point: G2,
    public: NetworkKey,
    public_point: G2,
    /// The message that the derived key is a signature of.
    message: G1,
}

impl Derivation {
    /// The derivation of (`app`, `context`, `generation`) under a master public key.
    ///
    /// # Errors
    /// [`ThresholdError::Context`], [`ThresholdError::Point`].
    pub fn new(
        master: &NetworkKey,
        app: &AppId,
        context: &str,
        generation: Generation,
    ) -> Result<Self, ThresholdError> {
        let wire = wire_context(context, generation)?;
        let master_point = G2::decode(master).ok_or(ThresholdError::Point(PointName::Master))?;
        let app_offset = Scalar::hash(&two_inputs(master.as_bytes(), app.as_bytes()), APP_TAG);
        let app_public = master_point.add(&G2::generator().mul(&app_offset)).encode();
        let context_offset = Scalar::hash(&two_inputs(app_public.as_bytes(), &wire), CONTEXT_TAG);
        let offset = app_offset.add(&context_offset);
        let offset_point = G2::generator().mul(&offset);
        let public_point = master_point.add(&offset_point);
        let public = public_point.encode();
        let message = G1::hash(public.as_bytes(), KEY_INPUT, KEY_TAG);
        Ok(Self { master: *master, offset, offset_point, public, public_point, message })
    }

    /// The derived public key.
    pub const fn public_key(&self) -> &NetworkKey {
        &self.public
    }

    /// The master public key it hangs on.
    pub const fn master(&self) -> &NetworkKey {
        &self.master
    }
}

/// Public key of a derived key.
///
/// # Errors
/// [`ThresholdError::Context`], [`ThresholdError::Point`].
pub fn derived_public_key(
    master: &NetworkKey,
    app: &AppId,
    context: &str,
    generation: Generation,
) -> Result<NetworkKey, ThresholdError> {
    Derivation::new(master, app, context, generation).map(|derivation| derivation.public)
}

/// vetKD's context: the context string, a zero byte, the generation (u32, big-endian).
///
/// # Errors
/// [`ThresholdError::Context`].
pub fn wire_context(context: &str, generation: Generation) -> Result<Vec<u8>, ThresholdError> {
    if context.is_empty() || context.len() > CONTEXT_BYTES_MAX || context.contains('\0') {
        return Err(ThresholdError::Context);
    }
    Ok([context.as_bytes(), &[0], &generation.to_be_bytes()].concat())
}

/// Two byte strings, each behind its length (u64, big-endian).
fn two_inputs(first: &[u8], second: &[u8]) -> Vec<u8> {
    [&(first.len() as u64).to_be_bytes(), first, &(second.len() as u64).to_be_bytes(), second].concat()
}

/// Public polynomial of a master key, decoded once: its value at `index + 1` is the public key of that validator's share.
#[derive(Clone)]
pub struct Polynomial {
    master: NetworkKey,
    coefficients: Vec<G2>,
}

impl Polynomial {
    /// Decodes coefficients, constant term first.
    ///
    /// # Errors
    /// [`ThresholdError::Polynomial`], [`ThresholdError::Point`].
    pub fn new(coefficients: &[NetworkKey]) -> Result<Self, ThresholdError> {
        let master = match coefficients {
            [first, ..] if coefficients.len() <= THRESHOLD_MAX => *first,
            _ => return Err(ThresholdError::Polynomial),
        };
        let coefficients = coefficients
            .iter()
            .map(|point| G2::decode(point).ok_or(ThresholdError::Point(PointName::Coefficient)))
            .collect::<Result<_, _>>()?;
        Ok(Self { master, coefficients })
    }

    /// The master public key: the constant term.
    pub const fn master(&self) -> &NetworkKey {
        &self.master
    }

    /// Shares that make a key.
    pub const fn threshold(&self) -> usize {
        self.coefficients.len()
    }

    /// Public key of the share at `index`.
    ///
    /// # Errors
    /// [`ThresholdError::Index`].
    pub fn share_public(&self, index: u32) -> Result<NetworkKey, ThresholdError> {
        self.evaluate(index).map(|point| point.encode())
    }

    fn evaluate(&self, index: u32) -> Result<G2, ThresholdError> {
        let at = evaluation_point(index)?;
        let mut terms = self.coefficients.iter().rev();
        let highest = terms.next().expect("a polynomial has a coefficient");
        Ok(terms.fold(*highest, |value, coefficient| value.mul_small(at).add(coefficient)))
    }
}

/// Where the polynomial is evaluated for the validator at `index`: one above it, since zero is the secret.
fn evaluation_point(index: u32) -> Result<u32, ThresholdError> {
    index.checked_add(1).ok_or(ThresholdError::Index(index))
}

#[cfg(test)]
mod tests;
