//! BLS12-381 points, scalars and pairing products: the one module that calls the curve library's C interface.
//!
//! Invariants: every [`G1`] and [`G2`] lies in the prime-order subgroup (decoding checks it, arithmetic keeps it), and
//! every [`Scalar`] is reduced. Multiplication by a scalar takes the same time for every scalar (the library's
//! `blst_p*_mult` at full width); scalars are wiped when dropped. Protocols are not here.
//
// Why unsafe: the library's safe interface covers signatures only; sums, multiples and products of pairings, which
// threshold keys need, exist only as C functions. Each call passes references to initialised values of the library's own
// plain-old-data types, or slices with their true lengths; the functions keep no pointer and touch no other memory.
#![allow(unsafe_code)]

use blst::{
    BLST_ERROR, blst_bendian_from_scalar, blst_expand_message_xmd, blst_fp12, blst_fr, blst_fr_add,
    blst_fr_eucl_inverse, blst_fr_from_scalar, blst_fr_from_uint64, blst_fr_mul, blst_fr_sub, blst_hash_to_g1, blst_p1,
    blst_p1_add_or_double, blst_p1_affine, blst_p1_affine_in_g1, blst_p1_affine_is_inf, blst_p1_cneg, blst_p1_compress,
    blst_p1_from_affine, blst_p1_generator, blst_p1_is_inf, blst_p1_mult, blst_p1_to_affine, blst_p1_uncompress,
    blst_p2, blst_p2_add_or_double, blst_p2_affine, blst_p2_affine_in_g2, blst_p2_affine_is_inf, blst_p2_compress,
    blst_p2_from_affine, blst_p2_generator, blst_p2_is_inf, blst_p2_mult, blst_p2_to_affine, blst_p2_uncompress,
    blst_scalar, blst_scalar_fr_check, blst_scalar_from_be_bytes, blst_scalar_from_bendian, blst_scalar_from_fr,
};
use freehold_primitives::{G1Point, NetworkKey};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

/// Bits of a full scalar.
const SCALAR_BITS: usize = 255;
/// Uniform bytes from which a scalar is reduced (RFC 9380 §5.1: 255 bits of modulus and 128 of margin).
const WIDE: usize = 48;

/// An element of the scalar field, reduced; wiped when dropped.
#[derive(Clone)]
pub(crate) struct Scalar(blst_fr);

impl Zeroize for Scalar {
    fn zeroize(&mut self) {
        self.0.l.zeroize();
    }
}

impl Drop for Scalar {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl Scalar {
    /// The integer `value`.
    pub(crate) fn from_u128(value: u128) -> Self {
        let mut wide = [0; 32];
        wide[16..].copy_from_slice(&value.to_be_bytes());
        Self::from_wide(&wide)
    }

    /// A uniform scalar.
    pub(crate) fn random(rng: &mut impl CryptoRng) -> Self {
        let mut wide = Zeroizing::new([0; WIDE]);
        rng.fill_bytes(&mut *wide);
        Self::from_wide(&*wide)
    }

    /// The scalar of 32 big-endian bytes, if they are below the order and not zero.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let mut scalar = blst_scalar::default();
        let mut fr = blst_fr::default();
        // SAFETY: `bytes` has the 32 bytes that the decoder reads; the other arguments are initialised values.
        let reduced = unsafe {
            blst_scalar_from_bendian(&mut scalar, bytes.as_ptr());
            blst_fr_from_scalar(&mut fr, &scalar);
            blst_scalar_fr_check(&scalar)
        };
        // Built before the checks, so that it is wiped on every path.
        let value = Self(fr);
        (reduced && bytes != &[0; 32]).then_some(value)
    }

    /// The 32 big-endian bytes.
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        let scalar = self.to_raw();
        // SAFETY: `out` has the 32 bytes that the encoder writes.
        unsafe { blst_bendian_from_scalar(out.as_mut_ptr(), &scalar) };
        out
    }

    /// Hash to the scalar field: RFC 9380 §5.2 with expand_message_xmd and SHA-256.
    pub(crate) fn hash(message: &[u8], tag: &[u8]) -> Self {
        let mut wide = [0; WIDE];
        // SAFETY: pointers and lengths are those of live slices.
        unsafe {
            blst_expand_message_xmd(wide.as_mut_ptr(), WIDE, message.as_ptr(), message.len(), tag.as_ptr(), tag.len());
        }
        Self::from_wide(&wide)
    }

    /// Sum.
    pub(crate) fn add(&self, other: &Self) -> Self {
        let mut out = blst_fr::default();
        // SAFETY: all three are initialised field elements.
        unsafe { blst_fr_add(&mut out, &self.0, &other.0) };
        Self(out)
    }

    /// Difference.
    pub(crate) fn sub(&self, other: &Self) -> Self {
        let mut out = blst_fr::default();
        // SAFETY: all three are initialised field elements.
        unsafe { blst_fr_sub(&mut out, &self.0, &other.0) };
        Self(out)
    }

    /// Product.
    pub(crate) fn mul(&self, other: &Self) -> Self {
        let mut out = blst_fr::default();
        // SAFETY: all three are initialised field elements.
        unsafe { blst_fr_mul(&mut out, &self.0, &other.0) };
        Self(out)
    }

    /// Inverse of a public scalar, in variable time; the inverse of zero is zero.
    pub(crate) fn inverse_public(&self) -> Self {
        let mut out = blst_fr::default();
        // SAFETY: both are initialised field elements.
        unsafe { blst_fr_eucl_inverse(&mut out, &self.0) };
        Self(out)
    }

    /// The integer 1.
    pub(crate) fn one() -> Self {
        let mut out = blst_fr::default();
        // SAFETY: the function reads four limbs.
        unsafe { blst_fr_from_uint64(&mut out, [1, 0, 0, 0].as_ptr()) };
        Self(out)
    }

    fn from_wide(bytes: &[u8]) -> Self {
        let mut scalar = blst_scalar::default();
        let mut fr = blst_fr::default();
        // SAFETY: pointer and length are those of a live slice. The result says whether the value is zero, which is a
        // scalar like any other here.
        unsafe {
            blst_scalar_from_be_bytes(&mut scalar, bytes.as_ptr(), bytes.len());
            blst_fr_from_scalar(&mut fr, &scalar);
        }
        Self(fr)
    }

    /// The little-endian form that multiplication reads; wiped when dropped.
    fn to_raw(&self) -> blst_scalar {
        let mut scalar = blst_scalar::default();
        // SAFETY: both are initialised values.
        unsafe { blst_scalar_from_fr(&mut scalar, &self.0) };
        scalar
    }
}

/// A point of G1.
#[derive(Clone, Copy)]
pub(crate) struct G1(blst_p1);

impl G1 {
    /// The generator.
    pub(crate) fn generator() -> Self {
        // SAFETY: the function returns the address of a constant.
        Self(unsafe { *blst_p1_generator() })
    }

    /// Decodes a compressed point; refuses what is not on the curve, not in the subgroup, or the identity.
    pub(crate) fn decode(point: &G1Point) -> Option<Self> {
        let mut affine = blst_p1_affine::default();
        // SAFETY: the decoder reads 48 bytes, the size of a `G1Point`; the checks read an initialised point.
        let good = unsafe {
            blst_p1_uncompress(&mut affine, point.0.as_ptr()) == BLST_ERROR::BLST_SUCCESS
                && !blst_p1_affine_is_inf(&affine)
                && blst_p1_affine_in_g1(&affine)
        };
        let mut out = blst_p1::default();
        // SAFETY: both are initialised values.
        unsafe { blst_p1_from_affine(&mut out, &affine) };
        good.then_some(Self(out))
    }

    /// The compressed point.
    pub(crate) fn encode(&self) -> G1Point {
        let mut out = G1Point::ZERO;
        // SAFETY: the encoder writes 48 bytes, the size of a `G1Point`.
        unsafe { blst_p1_compress(out.0.as_mut_ptr(), &self.0) };
        out
    }

    /// Hash to the curve (RFC 9380, random oracle, SSWU, SHA-256) of `prefix ‖ message` under `tag`.
    pub(crate) fn hash(prefix: &[u8], message: &[u8], tag: &[u8]) -> Self {
        let mut out = blst_p1::default();
        // SAFETY: pointers and lengths are those of live slices.
        unsafe {
            blst_hash_to_g1(
                &mut out,
                message.as_ptr(),
                message.len(),
                tag.as_ptr(),
                tag.len(),
                prefix.as_ptr(),
                prefix.len(),
            );
        }
        Self(out)
    }

    /// Sum.
    pub(crate) fn add(&self, other: &Self) -> Self {
        let mut out = blst_p1::default();
        // SAFETY: all three are initialised points.
        unsafe { blst_p1_add_or_double(&mut out, &self.0, &other.0) };
        Self(out)
    }

    /// Negation.
    pub(crate) fn neg(mut self) -> Self {
        // SAFETY: an initialised point.
        unsafe { blst_p1_cneg(&mut self.0, true) };
        self
    }

    /// Multiple, in constant time.
    pub(crate) fn mul(&self, scalar: &Scalar) -> Self {
        let raw = scalar.to_raw();
        let mut out = blst_p1::default();
        // SAFETY: the scalar has 32 bytes, of which 255 bits are read.
        unsafe { blst_p1_mult(&mut out, &self.0, raw.b.as_ptr(), SCALAR_BITS) };
        Self(out)
    }

    /// Multiple by a public weight of 128 bits, in variable time.
    pub(crate) fn mul_public(&self, weight: u128) -> Self {
        let mut out = blst_p1::default();
        // SAFETY: the weight has the 16 bytes whose 128 bits are read.
        unsafe { blst_p1_mult(&mut out, &self.0, weight.to_le_bytes().as_ptr(), 128) };
        Self(out)
    }

    fn affine(&self) -> Option<blst_p1_affine> {
        let mut out = blst_p1_affine::default();
        // SAFETY: both are initialised values.
        let infinite = unsafe {
            blst_p1_to_affine(&mut out, &self.0);
            blst_p1_is_inf(&self.0)
        };
        (!infinite).then_some(out)
    }
}

impl Zeroize for G1 {
    fn zeroize(&mut self) {
        for coordinate in [&mut self.0.x, &mut self.0.y, &mut self.0.z] {
            coordinate.l.zeroize();
        }
    }
}

/// A point of G2.
#[derive(Clone, Copy)]
pub(crate) struct G2(blst_p2);

impl G2 {
    /// The generator.
    pub(crate) fn generator() -> Self {
        // SAFETY: the function returns the address of a constant.
        Self(unsafe { *blst_p2_generator() })
    }

    /// Decodes a compressed point; refuses what is not on the curve, not in the subgroup, or the identity.
    pub(crate) fn decode(point: &NetworkKey) -> Option<Self> {
        let mut affine = blst_p2_affine::default();
        // SAFETY: the decoder reads 96 bytes, the size of a `NetworkKey`; the checks read an initialised point.
        let good = unsafe {
            blst_p2_uncompress(&mut affine, point.0.as_ptr()) == BLST_ERROR::BLST_SUCCESS
                && !blst_p2_affine_is_inf(&affine)
                && blst_p2_affine_in_g2(&affine)
        };
        let mut out = blst_p2::default();
        // SAFETY: both are initialised values.
        unsafe { blst_p2_from_affine(&mut out, &affine) };
        good.then_some(Self(out))
    }

    /// The compressed point.
    pub(crate) fn encode(&self) -> NetworkKey {
        let mut out = NetworkKey::ZERO;
        // SAFETY: the encoder writes 96 bytes, the size of a `NetworkKey`.
        unsafe { blst_p2_compress(out.0.as_mut_ptr(), &self.0) };
        out
    }

    /// Sum.
    pub(crate) fn add(&self, other: &Self) -> Self {
        let mut out = blst_p2::default();
        // SAFETY: all three are initialised points.
        unsafe { blst_p2_add_or_double(&mut out, &self.0, &other.0) };
        Self(out)
    }

    /// Multiple, in constant time.
    pub(crate) fn mul(&self, scalar: &Scalar) -> Self {
        let raw = scalar.to_raw();
        let mut out = blst_p2::default();
        // SAFETY: the scalar has 32 bytes, of which 255 bits are read.
        unsafe { blst_p2_mult(&mut out, &self.0, raw.b.as_ptr(), SCALAR_BITS) };
        Self(out)
    }

    /// Multiple by a small public number, in variable time.
    pub(crate) fn mul_small(&self, factor: u32) -> Self {
        let mut out = blst_p2::default();
        // SAFETY: the factor has the 4 bytes whose 32 bits are read.
        unsafe { blst_p2_mult(&mut out, &self.0, factor.to_le_bytes().as_ptr(), 32) };
        Self(out)
    }

    fn affine(&self) -> Option<blst_p2_affine> {
        let mut out = blst_p2_affine::default();
        // SAFETY: both are initialised values.
        let infinite = unsafe {
            blst_p2_to_affine(&mut out, &self.0);
            blst_p2_is_inf(&self.0)
        };
        (!infinite).then_some(out)
    }
}

/// Whether Π e(aᵢ, bᵢ) = 1. A product with the identity in it is refused.
pub(crate) fn pairing_product_is_one(pairs: &[(G1, G2)]) -> bool {
    let mut product = blst::Pairing::new(false, &[]);
    for (a, b) in pairs {
        match (a.affine(), b.affine()) {
            (Some(a), Some(b)) => product.raw_aggregate(&b, &a),
            _ => return false,
        }
    }
    product.commit();
    product.finalverify(None)
}

/// Bytes of a value of the pairing.
pub(crate) const PAIRING_BYTES: usize = 576;

/// e(a, b) as twelve coordinates of 48 bytes, big-endian; `None` where one of them is the identity.
pub(crate) fn pairing(a: &G1, b: &G2) -> Option<Zeroizing<[u8; PAIRING_BYTES]>> {
    let (a, b) = (a.affine()?, b.affine()?);
    Some(Zeroizing::new(blst_fp12::miller_loop(&b, &a).final_exp().to_bendian()))
}

/// The first 16 bytes of a digest as a weight for batching two equations; odd, so that it is never zero.
pub(crate) fn weight(digest: &freehold_primitives::Digest) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    u128::from_be_bytes(bytes) | 1
}

#[cfg(test)]
mod tests;
