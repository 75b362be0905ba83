//! Writes the seeds of every fuzz entry of this room below a folder: `cargo xtask fuzz` starts from them.
//!
//! `cargo run -p freehold-host --example fuzz_seeds_host -- FOLDER`
#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

#[path = "../../attestation/fuzz/src/corpus.rs"]
mod corpus;
#[path = "../fuzz/src/entries.rs"]
mod entries;
#[path = "../fuzz/src/seeds.rs"]
mod seeds;

fn main() {
    corpus::write(entries::ENTRIES, seeds::seeds);
}
