//! A short smoke over every fuzz entry of this room. Coverage-guided runs are made by hand (`docs/operations.md`).
#![allow(clippy::unwrap_used)]

#[path = "../../fuzz/src/entries.rs"]
#[allow(unreachable_pub, missing_docs)]
mod entries;
#[path = "../../fuzz/src/seeds.rs"]
#[allow(unreachable_pub, missing_docs)]
mod seeds;
#[path = "../../../attestation/fuzz/src/smoke.rs"]
#[allow(unreachable_pub)]
mod smoke;

#[test]
fn no_change_of_a_seed_breaks_the_client_of_registries() {
    smoke::smoke(entries::ENTRIES, seeds::seeds);
}
