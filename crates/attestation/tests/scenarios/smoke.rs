//! A short smoke over every fuzz entry of this room. Coverage-guided runs are made by hand (`docs/attestation.md`).

use std::path::PathBuf;

#[path = "../../fuzz/src/smoke.rs"]
#[allow(unreachable_pub)]
mod driver;
#[path = "../../fuzz/src/entries.rs"]
#[allow(unreachable_pub)]
mod entries;
#[path = "../../fuzz/src/seeds.rs"]
#[allow(unreachable_pub)]
mod seeds;

#[test]
fn no_change_of_a_seed_breaks_a_parser() {
    let vectors = std::env::var_os("FREEHOLD_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"), PathBuf::from);
    driver::smoke(entries::ENTRIES, |name| seeds::seeds(name, &vectors));
}
