//! The call data of `Apps.register(bytes registration, bytes evidence, bytes signature)`, read back from a block.

use freehold_crypto::keccak256;
use freehold_primitives::{Canonical, EVIDENCE_BYTES_MAX, REGISTRATION_BYTES_MAX, Registration};

/// Signature of the method.
const METHOD: &[u8] = b"register(bytes,bytes,bytes)";
/// Bytes of an account's signature.
const SIGNATURE_BYTES: usize = 65;
const WORD: usize = 32;

/// Arguments of one registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegisterCall {
    pub(crate) registration: Registration,
    pub(crate) evidence: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl RegisterCall {
    /// Reads call data; `None` where it is another call, or malformed.
    pub(crate) fn read(input: &[u8]) -> Option<Self> {
        let arguments = input.strip_prefix(&keccak256(&[METHOD]).0[..4])?;
        let registration = bytes_argument(arguments, 0, REGISTRATION_BYTES_MAX)?;
        let evidence = bytes_argument(arguments, 1, EVIDENCE_BYTES_MAX)?;
        let signature = bytes_argument(arguments, 2, SIGNATURE_BYTES)?;
        Some(Self {
            registration: Registration::from_canonical(registration).ok()?,
            evidence: evidence.to_vec(),
            signature: signature.to_vec(),
        })
    }
}

/// The dynamic argument at `index` (Solidity ABI): its offset in the head, there its length, then its bytes.
fn bytes_argument(arguments: &[u8], index: usize, bound: usize) -> Option<&[u8]> {
    let offset = small_word(arguments, index * WORD)?;
    let length = small_word(arguments, offset)?;
    let start = offset.checked_add(WORD)?;
    if length > bound {
        return None;
    }
    arguments.get(start..start.checked_add(length)?)
}

/// A 32-byte word that fits 32 bits.
fn small_word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at.checked_add(WORD)?)?;
    let (high, low) = word.split_at(WORD - 4);
    let low = u32::from_be_bytes(low.try_into().ok()?);
    high.iter().all(|&byte| byte == 0).then_some(low as usize)
}
