//! Sealing to a derived key (`spec/settings.md` §3): whoever knows the master public key seals bytes that only a holder of
//! the derived key opens, before there is any holder.
//!
//! Identity-based encryption by Boneh and Franklin (CRYPTO 2001, FullIdent) as a way to hand over a fresh secret, with the
//! bytes under Deoxys-II. What is associated enters the scalar and the tag, so that nothing sealed opens in another place.

use freehold_primitives::{Digest, G1Point, NetworkKey};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{Derivation, DerivedKey, ThresholdError};
use crate::{
    bls::{G1, G2, Scalar, pairing},
    hash::hash,
    kdf::hkdf_sha256,
    mrae::{DEOXYS_NONCE_BYTES, DEOXYS_TAG_BYTES, Deoxys},
};

/// Bytes that sealing adds: point (96), masked secret (32), tag (16).
pub const SEAL_BYTES: usize = POINT_BYTES + SECRET_BYTES + DEOXYS_TAG_BYTES;

const POINT_BYTES: usize = 96;
const SECRET_BYTES: usize = 32;
const SCALAR_TAG: &[u8] = b"FREEHOLD-SEAL-V1-SCALAR-BLS12381-SHA-256";
const MASK_DOMAIN: &str = "freehold seal mask v1";
const PLACE_DOMAIN: &str = "freehold seal place v1";
const KEY_INFO: &[u8] = b"freehold seal key v1";

impl Derivation {
    /// Seals `plaintext` to the key of this derivation; it opens with the same `associated` bytes only.
    pub fn seal(&self, associated: &[u8], plaintext: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        rng.fill_bytes(&mut *secret);
        let scalar = scalar_of(&secret, &place_of(&self.public, associated));
        let shared = pairing(&self.message.mul(&scalar), &self.public_point);
        // Neither point is the identity: a hash to the curve and a decoded point, times a scalar that is not zero.
        let shared = shared.expect("a hash of 48 uniform bytes is not a multiple of the order");
        let point = G2::generator().mul(&scalar).encode();
        let masked = masked(&secret, &hash(MASK_DOMAIN, &[&shared[..]]));
        let mut sealed = [point.as_bytes().as_slice(), &masked[..]].concat();
        let cipher = cipher_of(&secret, &sealed);
        sealed.extend(cipher.seal(&[0; DEOXYS_NONCE_BYTES], plaintext, associated));
        sealed
    }
}

impl DerivedKey {
    /// Opens what was sealed to this key, whose derivation is given, with the same `associated` bytes.
    ///
    /// # Errors
    /// [`ThresholdError::Sealed`].
    pub fn open(
        &self,
        derivation: &Derivation,
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, ThresholdError> {
        let refused = ThresholdError::Sealed;
        let (point, rest) = sealed.split_first_chunk::<POINT_BYTES>().ok_or(refused)?;
        let (hidden, ciphertext) = rest.split_first_chunk::<SECRET_BYTES>().ok_or(refused)?;
        let given = G2::decode(&NetworkKey(*point)).ok_or(refused)?;
        let key = Zeroizing::new(G1::decode(&G1Point(*self.as_bytes())).ok_or(refused)?);
        let shared = pairing(&key, &given).ok_or(refused)?;
        let secret = masked(hidden, &hash(MASK_DOMAIN, &[&shared[..]]));
        let scalar = scalar_of(&secret, &place_of(&derivation.public, associated));
        if G2::generator().mul(&scalar).encode().0 != *point {
            return Err(refused);
        }
        let cipher = cipher_of(&secret, &sealed[..POINT_BYTES + SECRET_BYTES]);
        let opened = cipher.open(&[0; DEOXYS_NONCE_BYTES], ciphertext, associated).map_err(|_| refused)?;
        Ok(Zeroizing::new(opened.to_vec()))
    }
}

/// Where sealed bytes belong: the derived public key and what is associated.
fn place_of(public: &NetworkKey, associated: &[u8]) -> Digest {
    hash(PLACE_DOMAIN, &[public.as_bytes(), associated])
}

fn scalar_of(secret: &[u8; SECRET_BYTES], place: &Digest) -> Scalar {
    let input = Zeroizing::new([&secret[..], place.as_bytes()].concat());
    Scalar::hash(&input, SCALAR_TAG)
}

fn masked(secret: &[u8; SECRET_BYTES], mask: &Digest) -> Zeroizing<[u8; SECRET_BYTES]> {
    let mut out = Zeroizing::new(*secret);
    out.iter_mut().zip(mask.0).for_each(|(byte, mask)| *byte ^= mask);
    out
}

/// The cipher of one sealed value; its key is used once, so that its nonce may be fixed.
fn cipher_of(secret: &[u8; SECRET_BYTES], head: &[u8]) -> Deoxys {
    let mut key = Zeroizing::new([0; 32]);
    hkdf_sha256(head, &secret[..], &[KEY_INFO], &mut *key);
    Deoxys::new(&key)
}
