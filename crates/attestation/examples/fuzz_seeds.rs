//! Writes the seeds of every fuzz entry below a folder, `FOLDER/ENTRY/seed-N`: `cargo xtask fuzz` starts from them.
//!
//! `cargo run -p freehold-attestation --example fuzz_seeds -- FOLDER`, with `FREEHOLD_VECTORS` where the real files are.
#![allow(clippy::unwrap_used, unreachable_pub)]

use std::{env, fs, path::PathBuf};

#[path = "../fuzz/src/entries.rs"]
mod entries;
#[path = "../fuzz/src/seeds.rs"]
mod seeds;

fn main() {
    let folder = PathBuf::from(env::args_os().nth(1).expect("the folder is the argument"));
    let vectors = env::var_os("FREEHOLD_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"), PathBuf::from);
    for (entry, _) in entries::ENTRIES {
        let folder = folder.join(entry);
        fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds::seeds(entry, &vectors).iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    }
}
