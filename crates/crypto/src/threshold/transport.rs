//! Combining encrypted shares and opening the key: the instance's side.

use freehold_primitives::G1Point;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    Derivation, Polynomial, ThresholdError,
    share::{EncryptedShare, decode_points, verify_share},
};
use crate::{
    bls::{G1, G2, Scalar, pairing_product_is_one},
    kdf::hkdf_sha256,
};

/// Bytes of an encrypted key: c1 (48), c2 (96), c3 (48).
pub const ENCRYPTED_KEY_BYTES: usize = 192;

/// A derived key, encrypted: vetKD's `EncryptedVetKey`.
#[derive(Clone, Copy)]
pub struct EncryptedKey {
    c1: G1,
    c2: G2,
    c3: G1,
}

impl EncryptedKey {
    /// The wire form.
    pub fn to_bytes(&self) -> [u8; ENCRYPTED_KEY_BYTES] {
        let mut out = [0; ENCRYPTED_KEY_BYTES];
        out[..48].copy_from_slice(self.c1.encode().as_bytes());
        out[48..144].copy_from_slice(self.c2.encode().as_bytes());
        out[144..].copy_from_slice(self.c3.encode().as_bytes());
        out
    }

    /// Reads the wire form.
    ///
    /// # Errors
    /// [`ThresholdError::Length`], [`ThresholdError::Point`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ThresholdError> {
        if bytes.len() != ENCRYPTED_KEY_BYTES {
            return Err(ThresholdError::Length { expected: ENCRYPTED_KEY_BYTES, length: bytes.len() });
        }
        let (c1, c2, c3) = decode_points(bytes)?;
        Ok(Self { c1, c2, c3 })
    }
}

/// Combines the first `threshold` shares by Lagrange interpolation at zero. Unverified shares may go in: a wrong one
/// shows when the key is opened, and [`verify_share`] then names it.
///
/// # Errors
/// [`ThresholdError::TooFew`], [`ThresholdError::Duplicate`].
pub fn combine(shares: &[EncryptedShare], threshold: usize) -> Result<EncryptedKey, ThresholdError> {
    let shares = match shares.get(..threshold) {
        Some(chosen) if threshold > 0 => chosen,
        _ => return Err(ThresholdError::TooFew { count: shares.len(), threshold }),
    };
    let mut sum: Option<EncryptedKey> = None;
    for (position, share) in shares.iter().enumerate() {
        if shares[..position].iter().any(|other| other.index == share.index) {
            return Err(ThresholdError::Duplicate(share.index));
        }
        let factor = lagrange_at_zero(shares, share.index);
        let term = EncryptedKey { c1: share.c1.mul(&factor), c2: share.c2.mul(&factor), c3: share.c3.mul(&factor) };
        sum = Some(match sum {
            None => term,
            Some(sum) => EncryptedKey { c1: sum.c1.add(&term.c1), c2: sum.c2.add(&term.c2), c3: sum.c3.add(&term.c3) },
        });
    }
    Ok(sum.expect("the threshold is above zero"))
}

/// Π xⱼ / (xⱼ − xᵢ) over the other shares; indices are public.
fn lagrange_at_zero(shares: &[EncryptedShare], index: u32) -> Scalar {
    let at = |index: u32| Scalar::from_u128(u128::from(index) + 1);
    let own = at(index);
    let (mut numerator, mut denominator) = (Scalar::one(), Scalar::one());
    for other in shares.iter().filter(|other| other.index != index) {
        let x = at(other.index);
        numerator = numerator.mul(&x);
        denominator = denominator.mul(&x.sub(&own));
    }
    numerator.mul(&denominator.inverse_public())
}

/// Secret half of an instance's transport key. Wiped when dropped; never printed.
pub struct TransportSecret(Scalar);

impl TransportSecret {
    /// A fresh key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Scalar::random(rng))
    }

    /// The key of 32 secret bytes, big-endian.
    ///
    /// # Errors
    /// [`ThresholdError::Scalar`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, ThresholdError> {
        Scalar::from_bytes(bytes).map(Self).ok_or(ThresholdError::Scalar)
    }

    /// The 32 secret bytes, big-endian.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.to_bytes()
    }

    /// The public half, which registration binds.
    pub fn public(&self) -> G1Point {
        G1::generator().mul(&self.0).encode()
    }

    /// Opens an encrypted key and checks it against the derived public key.
    ///
    /// # Errors
    /// [`ThresholdError::Ciphertext`], [`ThresholdError::Key`].
    pub fn open(&self, key: &EncryptedKey, derivation: &Derivation) -> Result<DerivedKey, ThresholdError> {
        if !pairing_product_is_one(&[(key.c1.neg(), G2::generator()), (G1::generator(), key.c2)]) {
            return Err(ThresholdError::Ciphertext);
        }
        let opened = Zeroizing::new(key.c3.add(&key.c1.mul(&self.0).neg()));
        let good =
            pairing_product_is_one(&[(opened.neg(), G2::generator()), (derivation.message, derivation.public_point)]);
        if good { Ok(DerivedKey(Zeroizing::new(opened.encode().0))) } else { Err(ThresholdError::Key) }
    }

    /// Combines shares and opens the key: the cheap way first, each share checked only when that fails. Wrong shares, and
    /// second ones under an index, are dropped if enough right ones remain.
    ///
    /// # Errors
    /// [`ThresholdError::TooFew`]; [`ThresholdError::Share`] naming a wrong share when too few right ones remain;
    /// [`ThresholdError::Master`].
    pub fn recover(
        &self,
        polynomial: &Polynomial,
        derivation: &Derivation,
        shares: &[EncryptedShare],
    ) -> Result<DerivedKey, ThresholdError> {
        if polynomial.master() != derivation.master() {
            return Err(ThresholdError::Master);
        }
        let threshold = polynomial.threshold();
        match combine(shares, threshold).and_then(|key| self.open(&key, derivation)) {
            Ok(key) => return Ok(key),
            Err(error @ ThresholdError::TooFew { .. }) => return Err(error),
            // One of the shares is wrong or there twice.
            Err(_) => {}
        }
        let transport = self.public();
        let mut wrong = None;
        let mut right: Vec<EncryptedShare> = Vec::with_capacity(threshold);
        for share in shares {
            match verify_share(polynomial, derivation, &transport, share) {
                Ok(()) if right.iter().any(|other| other.index == share.index) => {}
                Ok(()) => right.push(*share),
                Err(error) => wrong = Some(error),
            }
        }
        match wrong {
            Some(error) if right.len() < threshold => Err(error),
            _ => self.open(&combine(&right, threshold)?, derivation),
        }
    }
}

/// An opened derived key: a BLS signature of 48 bytes that only this derivation has. Wiped when dropped; never printed.
pub struct DerivedKey(Zeroizing<[u8; 48]>);

impl DerivedKey {
    /// The 48 bytes, as vetKD serialises a key.
    pub fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }

    /// A secret of 32 bytes for one purpose: HKDF-SHA256 without salt, `info` = `purpose` (vetKD's symmetric key).
    pub fn secret(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        hkdf_sha256(&[], &*self.0, &[purpose.as_bytes()], &mut *out);
        out
    }
}
