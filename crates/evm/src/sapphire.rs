//! Sapphire's precompiles and `SUBCALL` (`spec/sapphire.md`), at Sapphire's own addresses.
//!
//! Each charges its gas before it works, reads its input in bounds, and gives the same answer on every executor. A
//! refusal spends all gas that was sent along, as on Sapphire; only a Deoxys-II box that does not open reverts. What is
//! not here: cryptography (`freehold_crypto`), and what `rofl.*` means (a [`SubcallHandler`] of the ledger's).

mod abi;
mod boxes;
mod context;
mod gas;
mod hashes;
mod random;
mod signing;
mod subcall;
#[cfg(test)]
mod tests;

use alloy_primitives::Address;
use thiserror::Error;

pub use context::{BlockRandomness, CallDataKey, SapphireContext};
pub use subcall::{Subcall, SubcallFailure, SubcallHandler, SubcallRefusal};
pub(crate) use subcall::{SubcallError, SubcallPlace, run_subcall};

/// Bytes of a word.
const WORD: u64 = 32;

/// A precompile of Sapphire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SapphirePrecompile {
    RandomBytes,
    X25519Derive,
    DeoxysSeal,
    DeoxysOpen,
    KeyPairGenerate,
    Sign,
    Verify,
    Curve25519Public,
    GasUsed,
    PadGas,
    Sha512Half,
    Sha512,
    Subcall,
    Sha384,
}

impl SapphirePrecompile {
    pub(crate) const ALL: [Self; 14] = [
        Self::RandomBytes,
        Self::X25519Derive,
        Self::DeoxysSeal,
        Self::DeoxysOpen,
        Self::KeyPairGenerate,
        Self::Sign,
        Self::Verify,
        Self::Curve25519Public,
        Self::GasUsed,
        Self::PadGas,
        Self::Sha512Half,
        Self::Sha512,
        Self::Subcall,
        Self::Sha384,
    ];

    /// Where it stands: first byte 1, the last two bytes as here, zeros between.
    pub(crate) fn address(self) -> Address {
        let place: u16 = match self {
            Self::RandomBytes => 0x0001,
            Self::X25519Derive => 0x0002,
            Self::DeoxysSeal => 0x0003,
            Self::DeoxysOpen => 0x0004,
            Self::KeyPairGenerate => 0x0005,
            Self::Sign => 0x0006,
            Self::Verify => 0x0007,
            Self::Curve25519Public => 0x0008,
            Self::GasUsed => 0x0009,
            Self::PadGas => 0x000a,
            Self::Sha512Half => 0x0101,
            Self::Sha512 => 0x0102,
            Self::Subcall => 0x0103,
            Self::Sha384 => 0x0104,
        };
        let mut address = [0; 20];
        address[0] = 1;
        address[18..].copy_from_slice(&place.to_be_bytes());
        Address::from(address)
    }

    /// The precompile at an address.
    pub(crate) fn at(address: &Address) -> Option<Self> {
        if address[0] != 1 {
            return None;
        }
        Self::ALL.into_iter().find(|precompile| precompile.address() == *address)
    }
}

/// Why a precompile refuses; the text reaches whoever called it directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    #[error("input is malformed")]
    Input,
    #[error("signature algorithm is not known")]
    Algorithm,
    #[error("seed or secret key is malformed")]
    Secret,
    #[error("public key is malformed")]
    Public,
    #[error("digest has the wrong length")]
    Digest,
    #[error("this node has no randomness: it holds no state keys")]
    NoRandomness,
    #[error("more gas is used than should be padded to")]
    Padding,
    #[error("a subcall is a plain call or a static call, without value")]
    Scheme,
    #[error("subcall method or body is malformed")]
    Malformed,
    #[error("a subcall does not lead back into the EVM")]
    Reentry,
}

/// How a precompile fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// All gas is spent.
    Refused(Refusal),
    /// All gas is spent, and it was not enough.
    OutOfGas,
    /// Without data; gas that is left goes back.
    Revert,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Gas of one call.
pub(crate) struct GasMeter {
    left: u64,
}

impl GasMeter {
    pub(crate) const fn new(limit: u64) -> Self {
        Self { left: limit }
    }

    pub(crate) const fn left(&self) -> u64 {
        self.left
    }

    fn charge(&mut self, gas: u64) -> Result<(), Failure> {
        self.left = self.left.checked_sub(gas).ok_or(Failure::OutOfGas)?;
        Ok(())
    }

    /// `base`, and `word` for each 32 bytes or part of them.
    fn charge_linear(&mut self, base: u64, word: u64, bytes: usize) -> Result<(), Failure> {
        self.charge((bytes as u64).div_ceil(WORD).saturating_mul(word).saturating_add(base))
    }
}

/// What of the block and the transaction a precompile may see, and the one thing it may change.
pub(crate) struct Surroundings<'a> {
    pub(crate) context: &'a SapphireContext,
    /// Index of the transaction in the block.
    pub(crate) tx_index: u32,
    /// Draws of randomness in this transaction so far; a revert does not take them back.
    pub(crate) draws: &'a mut u64,
    /// Gas limit of the transaction without what callers keep for themselves.
    pub(crate) gas_available: u64,
}

/// Answers a call to any precompile but `SUBCALL`.
pub(crate) fn run(
    precompile: SapphirePrecompile,
    input: &[u8],
    meter: &mut GasMeter,
    surroundings: &mut Surroundings<'_>,
) -> Result<Vec<u8>, Failure> {
    use SapphirePrecompile as P;
    match precompile {
        P::RandomBytes => random::random_bytes(input, meter, surroundings),
        P::X25519Derive => boxes::derive(input, meter),
        P::DeoxysSeal => boxes::seal(input, meter),
        P::DeoxysOpen => boxes::open(input, meter),
        P::KeyPairGenerate => signing::generate(input, meter),
        P::Sign => signing::sign(input, meter),
        P::Verify => signing::verify(input, meter),
        P::Curve25519Public => boxes::public_key(input, meter),
        P::GasUsed => gas::used(meter, surroundings),
        P::PadGas => gas::pad(input, meter, surroundings),
        P::Sha512Half => hashes::hash(input, meter, |input| freehold_crypto::sha512_256(&[input]).0.to_vec()),
        P::Sha512 => hashes::hash(input, meter, |input| freehold_crypto::sha512(input).to_vec()),
        P::Sha384 => hashes::hash(input, meter, |input| freehold_crypto::sha384(input).0.to_vec()),
        // Needs the journal; the provider takes it to `run_subcall`.
        P::Subcall => Err(Refusal::Scheme.into()),
    }
}
