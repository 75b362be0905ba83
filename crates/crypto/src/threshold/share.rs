//! A validator's share of a derived key, encrypted to an instance and checked by anyone.
//!
//! c1 = r·G1, c2 = r·G2, c3 = r·T + (k + offset)·H. Two equations say that the share is right: e(c1, G2) = e(G1, c2),
//! and e(c3, G2) = e(T, c2)·e(H, PK + offset·G2). They are checked as one product of three pairings.

use freehold_primitives::{G1Point, NetworkKey};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{Derivation, PointName, Polynomial, ThresholdError, evaluation_point};
use crate::{
    bls::{G1, G2, Scalar, pairing_product_is_one, weight},
    hash::hash,
};

/// Bytes of an encrypted share: index (u32, big-endian), c1 (48), c2 (96), c3 (48).
pub const ENCRYPTED_SHARE_BYTES: usize = 196;

/// A validator's share of a master secret. Wiped when dropped; never printed.
pub struct Share {
    index: u32,
    secret: Scalar,
}

impl Share {
    /// The share at `index` in the sorted validator set.
    ///
    /// # Errors
    /// [`ThresholdError::Scalar`], [`ThresholdError::Index`].
    pub fn from_bytes(index: u32, secret: &[u8; 32]) -> Result<Self, ThresholdError> {
        evaluation_point(index)?;
        let secret = Scalar::from_bytes(secret).ok_or(ThresholdError::Scalar)?;
        Ok(Self { index, secret })
    }

    /// The secret, 32 bytes, big-endian.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.secret.to_bytes()
    }

    /// Index of the validator.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Public key of the share.
    pub fn public(&self) -> NetworkKey {
        G2::generator().mul(&self.secret).encode()
    }

    /// Checks that the share lies on a polynomial. A node does so before it serves.
    ///
    /// # Errors
    /// [`ThresholdError::Share`].
    pub fn check(&self, polynomial: &Polynomial) -> Result<(), ThresholdError> {
        let expected = polynomial.share_public(self.index)?;
        if self.public() == expected { Ok(()) } else { Err(ThresholdError::Share(self.index)) }
    }
}

/// An encrypted share whose points were checked to be points.
#[derive(Clone, Copy)]
pub struct EncryptedShare {
    pub(super) index: u32,
    pub(super) c1: G1,
    pub(super) c2: G2,
    pub(super) c3: G1,
}

impl core::fmt::Debug for EncryptedShare {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EncryptedShare").field("index", &self.index).finish_non_exhaustive()
    }
}

impl EncryptedShare {
    /// Index of the validator that made it.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The wire form.
    pub fn to_bytes(&self) -> [u8; ENCRYPTED_SHARE_BYTES] {
        let mut out = [0; ENCRYPTED_SHARE_BYTES];
        out[..4].copy_from_slice(&self.index.to_be_bytes());
        out[4..52].copy_from_slice(self.c1.encode().as_bytes());
        out[52..148].copy_from_slice(self.c2.encode().as_bytes());
        out[148..].copy_from_slice(self.c3.encode().as_bytes());
        out
    }

    /// Reads the wire form.
    ///
    /// # Errors
    /// [`ThresholdError::Length`], [`ThresholdError::Index`], [`ThresholdError::Point`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ThresholdError> {
        let bytes: &[u8; ENCRYPTED_SHARE_BYTES] = bytes
            .try_into()
            .map_err(|_| ThresholdError::Length { expected: ENCRYPTED_SHARE_BYTES, length: bytes.len() })?;
        let (index, points) = bytes.split_first_chunk::<4>().expect("196 bytes begin with 4");
        let index = u32::from_be_bytes(*index);
        evaluation_point(index)?;
        let (c1, c2, c3) = decode_points(points)?;
        Ok(Self { index, c1, c2, c3 })
    }
}

/// Decodes c1 ‖ c2 ‖ c3 from exactly 192 bytes.
pub(super) fn decode_points(bytes: &[u8]) -> Result<(G1, G2, G1), ThresholdError> {
    assert!(bytes.len() == 192, "callers split 192 bytes off");
    let (mut c1, mut c2, mut c3) = (G1Point::ZERO, NetworkKey::ZERO, G1Point::ZERO);
    c1.0.copy_from_slice(&bytes[..48]);
    c2.0.copy_from_slice(&bytes[48..144]);
    c3.0.copy_from_slice(&bytes[144..]);
    Ok((
        G1::decode(&c1).ok_or(ThresholdError::Point(PointName::C1))?,
        G2::decode(&c2).ok_or(ThresholdError::Point(PointName::C2))?,
        G1::decode(&c3).ok_or(ThresholdError::Point(PointName::C3))?,
    ))
}

/// Checks that a transport key is a point that shares can be encrypted to. The chain does so before it registers one.
///
/// # Errors
/// [`ThresholdError::Point`].
pub fn check_transport_key(key: &G1Point) -> Result<(), ThresholdError> {
    G1::decode(key).map(|_| ()).ok_or(ThresholdError::Point(PointName::Transport))
}

/// Encrypts a validator's share of one derived key to a transport key.
///
/// # Errors
/// [`ThresholdError::Point`] when the transport key is no point.
pub fn encrypt_share(
    share: &Share,
    derivation: &Derivation,
    transport_key: &G1Point,
    rng: &mut impl CryptoRng,
) -> Result<EncryptedShare, ThresholdError> {
    let transport = G1::decode(transport_key).ok_or(ThresholdError::Point(PointName::Transport))?;
    let r = Scalar::random(rng);
    let derived = share.secret.add(&derivation.offset);
    Ok(EncryptedShare {
        index: share.index,
        c1: G1::generator().mul(&r),
        c2: G2::generator().mul(&r),
        c3: transport.mul(&r).add(&derivation.message.mul(&derived)),
    })
}

/// Checks that `share` is its validator's share of this derived key, encrypted to this transport key.
///
/// # Errors
/// [`ThresholdError::Share`]; [`ThresholdError::Master`] and [`ThresholdError::Point`] when the other arguments do not
/// fit.
pub fn verify_share(
    polynomial: &Polynomial,
    derivation: &Derivation,
    transport_key: &G1Point,
    share: &EncryptedShare,
) -> Result<(), ThresholdError> {
    if polynomial.master() != derivation.master() {
        return Err(ThresholdError::Master);
    }
    let transport = G1::decode(transport_key).ok_or(ThresholdError::Point(PointName::Transport))?;
    let public = polynomial.evaluate(share.index)?.add(&derivation.offset_point);

    // e(c3 + ρ·c1, G2) · e(−(T + ρ·G1), c2) · e(−H, PK) = 1, with a weight that depends on all that is checked.
    let rho = weight(&hash(
        "freehold share weight",
        &[derivation.public_key().as_bytes(), public.encode().as_bytes(), transport_key.as_bytes(), &share.to_bytes()],
    ));
    let pairs = [
        (share.c3.add(&share.c1.mul_public(rho)), G2::generator()),
        (transport.add(&G1::generator().mul_public(rho)).neg(), share.c2),
        (derivation.message.neg(), public),
    ];
    if pairing_product_is_one(&pairs) { Ok(()) } else { Err(ThresholdError::Share(share.index)) }
}
