//! A short smoke over fuzz entries, for the tests of every room that has some: seeds of each kind, changed by a fixed
//! generator. Coverage-guided runs are `cargo xtask fuzz`.

use std::time::{Duration, Instant};

/// For each entry.
const TIME: Duration = Duration::from_millis(350);
/// A busy machine takes longer: fewer changes tell nothing.
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

/// A fuzz entry.
type Entry = fn(&[u8]);

/// Runs each entry over its seeds and over changed ones; an entry panics where a promise breaks.
pub fn smoke(entries: &[(&str, Entry)], seeds: impl Fn(&str) -> Vec<Vec<u8>>) {
    for (name, entry) in entries {
        let seeds = seeds(name);
        seeds.iter().for_each(|seed| entry(seed));
        let (begun, mut changes, mut done) = (Instant::now(), Changes(0x9e37_79b9_7f4a_7c15), 0_u32);
        while begun.elapsed() < TIME || done < CHANGES_MIN {
            let mut bytes = seeds[changes.below(seeds.len())].clone();
            for _ in 0..=changes.below(4) {
                changes.change(&mut bytes);
            }
            entry(&bytes);
            done += 1;
        }
    }
}
