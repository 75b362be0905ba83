//! RSA-4096 keys from a seed.
//!
//! A prime of a label is the first of its candidates that is one; a candidate is a hash of seed, label and counter. For the
//! development seed the counters are written down, so that nobody searches again; a test repeats the search.

use core::convert::Infallible;

use crypto_primes::{Flavor, is_prime};
use rsa::{
    BoxedUint, PrivateKey, Pss,
    rand_core::{TryCryptoRng, TryRng},
    traits::PublicKeyParts as _,
};
use sha2::{Digest as _, Sha256, Sha384};

use crate::{
    DEVELOPMENT_SEED,
    der::{bit_string, oid, sequence, tlv, unsigned},
};

const EXPONENT: u32 = 65_537;
const PRIME_BITS: u32 = 2048;

/// Counters of the development seed's primes.
const DEVELOPMENT_COUNTERS: [(&str, u32); 6] = [
    ("snp ark p", 1344),
    ("snp ark q", 525),
    ("snp ask p", 167),
    ("snp ask q", 328),
    ("snp asvk p", 324),
    ("snp asvk q", 597),
];

/// An RSA-4096 key.
pub(crate) struct RsaKey(PrivateKey);

impl RsaKey {
    /// The key of this label. For another seed than the development one this searches for seconds.
    pub(crate) fn derive(seed: &[u8; 32], label: &str) -> Self {
        let prime = |part: &str| {
            let label = format!("{label} {part}");
            let known = DEVELOPMENT_COUNTERS.iter().find(|(known, _)| *known == label && *seed == DEVELOPMENT_SEED);
            let counter = known.map_or_else(|| search(seed, &label, 0), |(_, counter)| *counter);
            candidate(seed, &label, counter)
        };
        let key = PrivateKey::from_p_q(prime("p"), prime("q"), BoxedUint::from(EXPONENT));
        Self(key.expect("two primes of 2048 bits, neither of them one above a multiple of the exponent"))
    }

    /// Signs bytes: PSS with SHA-384 and a salt that is a hash of the bytes.
    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let digest = Sha384::digest(bytes);
        let mut scheme = Pss::<Sha384>::new();
        // Emulated keys are public: nothing has to be hidden from who measures time.
        scheme.blinded = false;
        let mut salt =
            Salt(Sha384::new().chain_update(b"freehold emulator salt\n").chain_update(digest).finalize().into());
        self.0.sign_with_rng(&mut salt, scheme, &digest).expect("the key is large enough for the scheme")
    }

    /// SubjectPublicKeyInfo.
    pub(crate) fn public(&self) -> Vec<u8> {
        let algorithm = sequence(&[oid(&[1, 2, 840, 113_549, 1, 1, 1]), tlv(5, &[])]);
        let key = sequence(&[unsigned(&self.0.n_bytes()), unsigned(&EXPONENT.to_be_bytes())]);
        sequence(&[algorithm, bit_string(&key)])
    }
}

/// The counter of the first candidate, from `from` on, that makes a prime for our exponent.
fn search(seed: &[u8; 32], label: &str, from: u32) -> u32 {
    (from..u32::MAX)
        .find(|counter| {
            let bytes = candidate_bytes(seed, label, *counter);
            let remainder = |divisor: u32| {
                let step = |rest: u64, byte: &u8| (rest << 8 | u64::from(*byte)) % u64::from(divisor);
                bytes.iter().fold(0, step)
            };
            let possible = (3..2000).step_by(2).all(|divisor| remainder(divisor) != 0) && remainder(EXPONENT) != 1;
            possible && is_prime(Flavor::Any, &candidate(seed, label, *counter))
        })
        .expect("one candidate in 710 is prime")
}

fn candidate(seed: &[u8; 32], label: &str, counter: u32) -> BoxedUint {
    BoxedUint::from_be_slice(&candidate_bytes(seed, label, counter), PRIME_BITS).expect("256 bytes are 2048 bits")
}

/// 2048 bits: the two highest set, so that two primes make 4096 bits, and the lowest.
fn candidate_bytes(seed: &[u8; 32], label: &str, counter: u32) -> [u8; 256] {
    let mut bytes = [0; 256];
    for (block, out) in (0u8..).zip(bytes.chunks_exact_mut(32)) {
        let hash = Sha256::new().chain_update(b"freehold emulator prime\n").chain_update(seed).chain_update(label);
        out.copy_from_slice(&hash.chain_update(counter.to_be_bytes()).chain_update([block]).finalize());
    }
    bytes[0] |= 0xc0;
    bytes[255] |= 1;
    bytes
}

/// "Randomness" that is one salt, again and again.
struct Salt([u8; 48]);

impl TryRng for Salt {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let [a, b, c, d, ..] = self.0;
        Ok(u32::from_le_bytes([a, b, c, d]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let low = self.try_next_u32()?;
        Ok(u64::from(low))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(self.0.len()) {
            chunk.copy_from_slice(&self.0[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Salt {}

#[cfg(test)]
mod tests;
