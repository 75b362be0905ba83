//! Writes the seeds of every fuzz entry of this room below a folder: `cargo xtask fuzz` starts from them.
//!
//! `cargo run -p freehold-attestation --example fuzz_seeds_attestation -- FOLDER`, with `FREEHOLD_VECTORS` where the real
//! files are.
#![allow(clippy::unwrap_used, unreachable_pub)]

use std::{env, path::PathBuf};

#[path = "../fuzz/src/corpus.rs"]
mod corpus;
#[path = "../fuzz/src/entries.rs"]
mod entries;
#[path = "../fuzz/src/seeds.rs"]
mod seeds;

fn main() {
    let vectors = env::var_os("FREEHOLD_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"), PathBuf::from);
    corpus::write(entries::ENTRIES, |name| seeds::seeds(name, &vectors));
}
