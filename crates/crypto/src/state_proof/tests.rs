//! The engine's vectors, and bytes that nobody made on purpose. Random operation sequences are tested in `node`.
#![allow(clippy::unwrap_used)]

use freehold_primitives::{Canonical as _, Digest};
use proptest::prelude::*;
use serde_json::Value;

use super::{StateProof, StateProofError, mountain::Mountain, verify_state};

fn cases(file: &str) -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors/state-proof/");
    let text = std::fs::read_to_string(format!("{folder}{file}")).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["format"], "state-proof/1");
    serde_json::from_value(document["cases"].take()).unwrap()
}

fn parts(case: &Value) -> (&str, Digest, Digest, Vec<u8>) {
    let text = |name: &str| case[name].as_str().unwrap();
    let proof = hex::decode(text("proof")).unwrap();
    (text("name"), text("root").parse().unwrap(), text("key").parse().unwrap(), proof)
}

#[test]
fn valid_vectors_prove_their_values() {
    for case in cases("valid.json") {
        let (name, root, key, proof) = parts(&case);
        let value = case["value"].as_str().map(|value| hex::decode(value).unwrap());
        assert_eq!(verify_state(&root, &key, &proof), Ok(value), "{name}");
        assert_eq!(StateProof::from_canonical(&proof).unwrap().to_canonical(), proof, "{name}");
    }
}

#[test]
fn refused_vectors_are_refused_for_their_reason() {
    for case in cases("refused.json") {
        let (name, root, key, proof) = parts(&case);
        let word = match verify_state(&root, &key, &proof).unwrap_err() {
            StateProofError::TooLarge(_) => "too-large",
            StateProofError::Codec(_) => "codec",
            StateProofError::Value(_) => "value",
            StateProofError::Location { .. } => "location",
            StateProofError::Peaks(_) => "peaks",
            StateProofError::Digests { .. } => "digests",
            StateProofError::PartialChunk => "partial-chunk",
            StateProofError::Inactive => "inactive",
            StateProofError::OutsideGap => "outside-gap",
            StateProofError::Root => "root",
        };
        assert_eq!(word, case["error"], "{name}");
    }
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_valid_vector_is_refused() {
    for case in cases("valid.json") {
        let (name, root, key, proof) = parts(&case);
        for at in 0..proof.len() {
            for bit in 0..8 {
                let mut bad = proof.clone();
                bad[at] ^= 1 << bit;
                assert!(verify_state(&root, &key, &bad).is_err(), "{name}, byte {at}, bit {bit}");
            }
            assert!(verify_state(&root, &key, &proof[..at]).is_err(), "{name} cut to {at}");
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(verify_state(&Digest::ZERO, &Digest::ZERO, &bytes).is_err());
    }

    #[test]
    fn any_shape_is_refused_or_consistent(
        location in any::<u64>(),
        leaves in any::<u64>(),
        shift in 0_u32..64,
        peaks in any::<u8>(),
        digests in 0_usize..130,
    ) {
        let (location, leaves) = (location >> shift, leaves >> shift);
        if let Ok(mountain) = Mountain::new(location, leaves, peaks) {
            let digests = vec![Digest::ZERO; digests];
            if let Ok(layout) = mountain.split(&digests) {
                super::mountain::grafted_root(&mountain, &layout, &[0; 8], &[1; 32]).unwrap();
            }
        }
    }
}
