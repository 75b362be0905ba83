//! The arithmetic against plain double precision, and both compilations against each other.
#![allow(clippy::unwrap_used)]

use super::*;

fn numbers(count: usize, mut state: u64) -> Vec<f32> {
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1 << 23) as f32) - 1.0
        })
        .collect()
}

#[test]
fn exp_is_close_to_double_precision() {
    for step in 0..20_000 {
        let x = -60.0 + step as f32 * 0.005;
        let exact = f64::from(x).exp();
        assert!((f64::from(exp(x)) / exact - 1.0).abs() < 1e-6, "at {x}");
    }
    assert_eq!(exp(0.0), 1.0);
    assert!(exp(-1000.0) > 0.0 && exp(1000.0).is_finite());
}

#[test]
fn both_compilations_give_the_same_bits() {
    let (width, rows) = (72, 37);
    let q = numbers(width, 1);
    let keys = numbers(width * rows, 2);
    let values = numbers(width * rows, 3);
    type Attention = fn(&[f32], (&[f32], &[f32]), &mut [f32], &mut [f32]);
    let run = |function: Attention| {
        let (mut scores, mut out) = (vec![0.0; rows], vec![0.0; width]);
        function(&q, (&keys, &values), &mut scores, &mut out);
        out.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(run(attend), run(attend_body));
    let weight = numbers(width, 4);
    let norm = |function: fn(&[f32], &[f32], f32, &mut [f32])| {
        let mut out = vec![0.0; width];
        function(&q, &weight, 1e-5, &mut out);
        out.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(norm(rms_norm), norm(rms_norm_body));
    let (mut one, mut two) = (keys.clone(), keys.clone());
    gate_silu(&mut one, &values);
    gate_silu_body(&mut two, &values);
    assert_eq!(one, two);
}

#[test]
fn attention_is_a_weighted_mean() {
    let width = 32;
    let q = numbers(width, 9);
    let keys = numbers(width * 3, 10);
    let values = [vec![1.0; width], vec![2.0; width], vec![3.0; width]].concat();
    let (mut scores, mut out) = (vec![0.0; 3], vec![0.0; width]);
    attend(&q, (&keys, &values), &mut scores, &mut out);
    let total: f32 = scores.iter().sum();
    let mean = (scores[0] + 2.0 * scores[1] + 3.0 * scores[2]) / total;
    assert!(out.iter().all(|value| (value - mean).abs() < 1e-5));
}
