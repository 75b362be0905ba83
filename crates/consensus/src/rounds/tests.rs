//! Memory of rounds: bounds, and waiting for a seed.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;

const SEED: G1Point = G1Point([4; 48]);

fn certificate(view: u64) -> Certificate {
    let payload = Digest([view.to_le_bytes()[0]; 32]);
    Certificate { term: 0, view, parent_view: view - 1, payload, signature: G1Point([1; 48]), seed: SEED }
}

#[test]
fn certificate_brings_the_seed() {
    let rounds = Rounds::default();
    assert_eq!(rounds.record(0, 3), Record::default());
    rounds.note_certificate(&certificate(3));
    assert_eq!(rounds.record(0, 3), Record { seed: Some(SEED), certificate: Some(certificate(3)) });
    rounds.note_seed(0, 3, SEED);
    assert_eq!(rounds.record(0, 3).certificate, Some(certificate(3)));
}

#[test]
fn oldest_rounds_go_first() {
    let rounds = Rounds::default();
    for view in 0..=ROUNDS_MAX as u64 {
        rounds.note_seed(0, view, SEED);
    }
    assert_eq!(rounds.record(0, 0).seed, None);
    assert_eq!(rounds.record(0, 1).seed, Some(SEED));
}

#[test]
fn oldest_heights_go_first() {
    let rounds = Rounds::default();
    let digest = |height: u64| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&height.to_be_bytes());
        Digest(bytes)
    };
    for height in 0..=HEIGHTS_MAX as u64 {
        rounds.note_height(digest(height), height);
        rounds.note_height(digest(height), height);
    }
    assert_eq!(rounds.height(&digest(0)), None);
    assert_eq!(rounds.height(&digest(1)), Some(1));
}

#[tokio::test]
async fn waits_for_a_seed() {
    let rounds = Arc::new(Rounds::default());
    let waiting = tokio::spawn({
        let rounds = Arc::clone(&rounds);
        async move { rounds.seed(0, 5).await }
    });
    tokio::task::yield_now().await;
    rounds.note_seed(0, 4, G1Point([9; 48]));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    rounds.note_certificate(&certificate(5));
    assert_eq!(waiting.await.unwrap(), SEED);
}
