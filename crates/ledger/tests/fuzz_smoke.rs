//! A short smoke over every fuzz entry: seeds of each kind, changed by a fixed generator. Coverage-guided runs are made by
//! hand (`docs/contracts.md`).
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../fuzz/src/entries.rs"]
#[allow(unreachable_pub, missing_docs)]
mod entries;

use std::time::{Duration, Instant};

use alloy_primitives::hex;
use common::{CHAIN_ID, Fields, address, key, legacy, sign};
use freehold_crypto::{FailureForm, seal_call, wrap_call};
use freehold_primitives::X25519Key;
use rand::{SeedableRng as _, rngs::StdRng};

/// For each of the nine entries.
const TIME: Duration = Duration::from_millis(350);
/// A machine that is slower than this tells nothing.
const CHANGES_MIN: u32 = 20;

/// xorshift64: the same changes on every run.
struct Changes(u64);

impl Changes {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, 0),
            2 => bytes.extend([0, 1]),
            3 if !bytes.is_empty() => drop(bytes.remove(at)),
            4 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
            _ if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            _ => bytes.push(0),
        }
    }
}

/// Words of zeros with some that could be offsets, lengths and numbers.
fn words(first: u8, values: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    for value in values {
        out.extend([0; 31]);
        out.push(*value);
    }
    out
}

fn seeds(entry: &str) -> Vec<Vec<u8>> {
    let public = X25519Key([9; 32]);
    let sealed = seal_call((&public, 0), b"data", FailureForm::Sealed, &mut StdRng::seed_from_u64(1)).0;
    match entry {
        "cbor" => {
            vec![sealed, hex!("a262746f5500112233445566778899aabbccddeeff00112233").to_vec(), vec![0x82, 0x41, 1, 0x40]]
        }
        "call_data" | "signed_query" => vec![sealed, wrap_call(b"data")],
        "call_inner" => {
            vec![wrap_call(b"data"), hex!("a264626f6479446461746f6f7365616c65645f6661696c75726573f5").to_vec()]
        }
        "call_answer" => {
            vec![hex!("a1626f6b4464617461").to_vec(), hex!("a1646661696ca264636f646502666d6f64756c656365766d").to_vec()]
        }
        "precompiles" => (0..31).map(|place| words(place, &[64, 128, 160, 192, 32, 0, 32, 0, 32, 0, 32, 0])).collect(),
        "subcall" => {
            (0..16).flat_map(|method| [vec![method, 0xf6], [&[method, 0x55][..], &[0; 21]].concat()]).collect()
        }
        "modules" => (0..31).map(|function| words(function, &[64, 96, 128, 32, 1, 32, 1, 32, 1])).collect(),
        "transaction" => {
            let fields = Fields { to: Some(address(&key(2))), nonce: 0, ..Fields::default() };
            vec![sign(&key(1), fields), legacy(&key(1), 0, address(&key(2)), Some(CHAIN_ID))]
        }
        other => panic!("{other} has no seeds"),
    }
}

#[test]
fn no_change_of_a_seed_breaks_the_chain() {
    for (name, entry) in entries::ENTRIES {
        let seeds = seeds(name);
        seeds.iter().for_each(|seed| entry(seed));
        let (begun, mut changes, mut done) = (Instant::now(), Changes(0x9e37_79b9_7f4a_7c15), 0_u32);
        while begun.elapsed() < TIME {
            let mut bytes = seeds[changes.below(seeds.len())].clone();
            for _ in 0..=changes.below(4) {
                changes.change(&mut bytes);
            }
            entry(&bytes);
            done += 1;
        }
        assert!(done >= CHANGES_MIN, "{name}: {done} changes only");
    }
}
