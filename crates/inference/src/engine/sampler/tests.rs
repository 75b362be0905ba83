//! Sampling: ties, seeds, nucleus, frequencies.
#![allow(clippy::unwrap_used)]

use super::*;

fn sampling(temperature_milli: u32, top_p_milli: u32, seed: u64) -> Sampling {
    Sampling { temperature_milli, top_p_milli, top_k: 0, seed, max_tokens: 1 }
}

#[test]
fn greedy_takes_the_lowest_of_equals() {
    let mut sampler = Sampler::new(sampling(0, 1000, 0));
    assert_eq!(sampler.next(&[1.0, 3.0, 3.0, f32::NAN]), 1);
    assert_eq!(sampler.next(&[f32::NAN, f32::NAN]), 0);
}

#[test]
fn one_seed_gives_one_sequence() {
    let logits: Vec<f32> = (0..100).map(|id| (id % 7) as f32).collect();
    let run = |seed| {
        let mut sampler = Sampler::new(sampling(900, 950, seed));
        (0..50).map(|_| sampler.next(&logits)).collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn draws_follow_the_weights() {
    let logits = [0.0, (3.0_f32).ln(), f32::NEG_INFINITY];
    let mut sampler = Sampler::new(sampling(1000, 1000, 42));
    let mut counts = [0; 3];
    for _ in 0..8000 {
        counts[sampler.next(&logits) as usize] += 1;
    }
    assert!((5800..6200).contains(&counts[1]) && counts[2] == 0, "{counts:?}");
}

#[test]
fn a_narrow_nucleus_is_greedy() {
    let mut sampler = Sampler::new(sampling(2000, 1, 3));
    assert!((0..100).all(|_| sampler.next(&[0.0, 0.5, 0.1]) == 1));
}
