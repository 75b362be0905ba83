//! The vectors in `spec/vectors/crypto`: made here from fixed inputs and compared with the files, so that the formats
//! cannot change unseen. `FREEHOLD_WRITE_VECTORS=1` rewrites the files; other implementations read them.
#![allow(clippy::unwrap_used)]

mod bodies;
mod call_data;
mod digests;
mod signatures;
mod succession;

use core::convert::Infallible;
use std::{env, fs, path::Path};

use freehold_crypto::sha256;
use rand::{TryCryptoRng, TryRng};
use serde_json::Value;

/// Compares `made` with the vector file of this name, or writes it.
#[track_caller]
fn check(name: &str, made: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/crypto").join(name);
    let text = serde_json::to_string_pretty(made).unwrap() + "\n";
    if env::var_os("FREEHOLD_WRITE_VECTORS").is_some_and(|set| set == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert!(
        kept == *made,
        "{name} differs from what the code makes; if the format was meant to change, say so in the specification and rewrite it with FREEHOLD_WRITE_VECTORS=1"
    );
}

/// SHA-256 of a seed and a counter: numbers that any implementation can make again, and that protect nothing.
struct Counter {
    seed: &'static str,
    next: u64,
}

impl Counter {
    const fn new(seed: &'static str) -> Self {
        Self { seed, next: 0 }
    }
}

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            let block = sha256(&[self.seed.as_bytes(), &self.next.to_be_bytes()].concat());
            chunk.copy_from_slice(&block.0[..chunk.len()]);
            self.next += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}
