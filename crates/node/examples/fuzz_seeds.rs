//! Writes the seeds of every fuzz entry below a folder, `FOLDER/ENTRY/seed-N`: coverage-guided runs start from them.
//!
//! `cargo run -p freehold-node --example fuzz_seeds -- FOLDER`
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

use std::{env, fs, path::PathBuf};

#[path = "../fuzz/src/entries.rs"]
mod entries;
#[path = "../fuzz/src/seeds.rs"]
mod seeds;

fn main() {
    let folder = PathBuf::from(env::args_os().nth(1).expect("the folder is the argument"));
    for (entry, _) in entries::ENTRIES {
        let folder = folder.join(entry);
        fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds::seeds(entry).iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    }
}
