//! Derivations separate generations, chains, epochs and purposes.

use freehold_primitives::{Digest, G1Point};
use zeroize::Zeroizing;

use super::{StateKeyOrigin, StateKeys, StateRootKey};

const CHAIN: Digest = Digest([7; 32]);

fn key(generation: u32) -> StateRootKey {
    StateKeys::development(Zeroizing::new([1; 32])).get(generation).unwrap()
}

#[test]
fn a_seed_gives_the_same_keys_and_each_generation_its_own() {
    assert_eq!(key(0).commitment(), key(0).commitment());
    assert_ne!(key(0).commitment(), key(1).commitment());
    let other = StateKeys::development(Zeroizing::new([2; 32]));
    assert_ne!(other.get(0).unwrap().commitment(), key(0).commitment());
    assert_eq!(other.origin(), StateKeyOrigin::Development);
    // The same secret in two generations has two commitments.
    let same = |generation| StateRootKey::new(generation, Zeroizing::new([3; 32])).commitment();
    assert_ne!(same(0), same(1));
}

#[test]
fn a_quorums_keys_are_those_it_derived_and_no_others() {
    let keys = StateKeys::from_quorum([key(2)]);
    assert_eq!(keys.origin(), StateKeyOrigin::Quorum);
    assert_eq!(keys.get(2).unwrap().commitment(), key(2).commitment());
    assert!(keys.get(0).is_none());
}

#[test]
fn call_data_keys_differ_by_epoch_chain_and_generation() {
    let public = |generation, chain: &Digest, epoch| key(generation).call_data_secret(chain, epoch).public();
    let first = public(0, &CHAIN, 5);
    assert_eq!(first, public(0, &CHAIN, 5));
    for other in [public(0, &CHAIN, 6), public(0, &Digest([8; 32]), 5), public(1, &CHAIN, 5)] {
        assert_ne!(first, other);
    }
}

#[test]
fn randomness_differs_by_seed_and_height() {
    let root = |height, seed: Option<&G1Point>| key(0).block_randomness(&CHAIN, height, seed);
    let seed = G1Point([9; 48]);
    assert_eq!(*root(4, Some(&seed)), *root(4, Some(&seed)));
    assert_ne!(*root(4, Some(&seed)), *root(4, Some(&G1Point([8; 48]))));
    assert_ne!(*root(4, Some(&seed)), *root(5, Some(&seed)));
    assert_ne!(*root(4, None), *root(4, Some(&seed)));
}
