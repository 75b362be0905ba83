//! Solidity's ABI, as far as the precompiles need it: words and byte strings, borrowed from the input.
//!
//! As Solidity's own decoder reads it: offsets may point anywhere inside the input, and bytes behind are not looked at.

use super::Refusal;

const WORD: usize = 32;

/// Arguments of a call, without a selector.
pub(super) struct Arguments<'a>(pub(super) &'a [u8]);

impl<'a> Arguments<'a> {
    /// The word of the argument at `index`.
    pub(super) fn word(&self, index: usize) -> Result<&'a [u8; 32], Refusal> {
        self.word_at(index * WORD)
    }

    /// An unsigned integer of up to 128 bits, [`None`] where it is larger.
    pub(super) fn integer(&self, index: usize) -> Result<Option<u128>, Refusal> {
        let (high, low) = self.word(index)?.split_at(16);
        let value = low.iter().fold(0, |value, byte| (value << 8) | u128::from(*byte));
        Ok(high.iter().all(|byte| *byte == 0).then_some(value))
    }

    /// The byte string of the argument at `index`.
    pub(super) fn bytes(&self, index: usize) -> Result<&'a [u8], Refusal> {
        let at = self.place(index * WORD)?;
        let length = self.place(at)?;
        let start = at.checked_add(WORD).ok_or(Refusal::Input)?;
        let end = start.checked_add(length).ok_or(Refusal::Input)?;
        self.0.get(start..end).ok_or(Refusal::Input)
    }

    /// An offset or a length: no larger than the input.
    fn place(&self, at: usize) -> Result<usize, Refusal> {
        let (high, low) = self.word_at(at)?.split_at(24);
        let value = low.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
        if high.iter().any(|byte| *byte != 0) || value > self.0.len() as u64 {
            return Err(Refusal::Input);
        }
        usize::try_from(value).map_err(|_| Refusal::Input)
    }

    fn word_at(&self, at: usize) -> Result<&'a [u8; 32], Refusal> {
        let word = self.0.get(at..).and_then(|rest| rest.first_chunk());
        word.ok_or(Refusal::Input)
    }
}

/// ABI encoding of a word and a byte string: `(uint64, bytes)`.
pub(super) fn encode_word_and_bytes(word: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 * WORD + bytes.len());
    push_word(&mut out, word);
    push_word(&mut out, 2 * WORD as u64);
    push_bytes(&mut out, bytes);
    out
}

/// ABI encoding of two byte strings: `(bytes, bytes)`.
pub(super) fn encode_two_bytes(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(6 * WORD + first.len() + second.len());
    push_word(&mut out, 2 * WORD as u64);
    push_word(&mut out, (3 * WORD + first.len().next_multiple_of(WORD)) as u64);
    push_bytes(&mut out, first);
    push_bytes(&mut out, second);
    out
}

/// ABI encoding of an integer.
pub(super) fn encode_word(word: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(WORD);
    push_word(&mut out, word);
    out
}

fn push_word(out: &mut Vec<u8>, word: u64) {
    out.extend([0; WORD - 8]);
    out.extend(word.to_be_bytes());
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_word(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(WORD), 0);
}
