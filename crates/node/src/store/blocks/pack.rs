//! A small packing of stored records: runs of zeros and the hashes of empty lists, which fill most of an empty block.
//!
//! A zero byte is followed by a code: 1 to 239 is a run of so many zeros, from 240 on an entry of the dictionary. All
//! other bytes stand for themselves. Invariant: `unpack(pack(b)) == b`; unpacking never yields more than its bound.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;

/// Longest run of zeros that one code holds.
const RUN_MAX: u8 = 239;
/// Hashes that have a code of their own.
const DICTIONARY: [[u8; 32]; 3] = [EMPTY_ROOT_HASH.0, EMPTY_OMMER_ROOT_HASH.0, EMPTY_REQUESTS_HASH.0];

/// Packs `bytes`.
pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        if let Some(entry) = DICTIONARY.iter().position(|entry| rest.starts_with(entry)) {
            out.extend([0, RUN_MAX + 1 + entry as u8]);
            rest = &rest[32..];
        } else if *first == 0 {
            let run = rest.iter().take(RUN_MAX.into()).take_while(|byte| **byte == 0).count();
            out.extend([0, run as u8]);
            rest = &rest[run..];
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    out
}

/// Unpacks `bytes` into at most `bound` bytes; `None` when they are damaged.
pub(super) fn unpack(bytes: &[u8], bound: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        if *byte != 0 {
            out.push(*byte);
        } else {
            match *rest.next()? {
                0 => return None,
                run @ 1..=RUN_MAX => out.resize(out.len() + usize::from(run), 0),
                code => out.extend_from_slice(DICTIONARY.get(usize::from(code - RUN_MAX - 1))?),
            }
        }
        if out.len() > bound {
            return None;
        }
    }
    Some(out)
}
