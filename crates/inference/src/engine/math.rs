//! Vector arithmetic whose results are the same bits on every processor.
//!
//! Everything but the quantised products is computed here: additions happen in one written order (sixteen lanes, then a
//! fixed tree), nothing is contracted into fused operations, and `exp` is our own polynomial. Wider registers change the
//! speed only.

#![allow(unsafe_code)] // Reason: calls into AVX2 versions of safe functions, after the processor was asked.

use std::sync::OnceLock;

/// Lanes of a sum.
const LANES: usize = 16;

/// Whether the AVX2 versions may run; the results are the same either way.
fn has_avx2() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        {
            std::arch::is_x86_feature_detected!("avx2")
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            false
        }
    })
}

/// Defines a function twice: as written, and compiled for AVX2 (without fused operations), chosen at run time.
macro_rules! wide {
    ($(#[$meta:meta])* fn $name:ident / $body:ident / $avx2:ident ($($arg:ident: $ty:ty),*) $(-> $ret:ty)? $code:block) => {
        #[inline(always)]
        fn $body($($arg: $ty),*) $(-> $ret)? $code

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn $avx2($($arg: $ty),*) $(-> $ret)? { $body($($arg),*) }

        $(#[$meta])*
        #[inline]
        pub(crate) fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            if has_avx2() {
                // SAFETY: the processor has AVX2.
                return unsafe { $avx2($($arg),*) };
            }
            $body($($arg),*)
        }
    };
}

#[inline(always)]
fn dot_lanes(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    a_rest.iter().zip(b_rest).fold(lanes[0], |sum, (a, b)| sum + a * b)
}

/// e^x by range reduction and a polynomial of degree six; relative error below 2⁻²¹ for x ≤ 0.
#[inline(always)]
fn exp_lane(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding and subtracting rounds to an integer.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let power = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = (x - power * LN2_HIGH) - power * LN2_LOW;
    let mut sum = 1.987_569_1e-4_f32;
    sum = sum * r + 1.398_2e-3;
    sum = sum * r + 8.333_452e-3;
    sum = sum * r + 4.166_579_6e-2;
    sum = sum * r + 1.666_666_5e-1;
    sum = sum * r + 5.0e-1;
    let value = (sum * (r * r) + r) + 1.0;
    // `power` is an integer within ±127, so the exponent stays in range.
    value * f32::from_bits(((power as i32 + 127) as u32) << 23)
}

wide! {
    /// One attention head of one row: softmax(q · K) · V over the cached positions. `keys` and `values` hold
    /// `scores.len()` rows of `q.len()` values.
    fn attend / attend_body / attend_avx2(q: &[f32], cache: (&[f32], &[f32]), scores: &mut [f32], out: &mut [f32]) {
        let (keys, values) = cache;
        let width = q.len();
        let scale = 1.0 / (width as f32).sqrt();
        let mut most = f32::NEG_INFINITY;
        for (score, key) in scores.iter_mut().zip(keys.chunks_exact(width)) {
            *score = dot_lanes(q, key) * scale;
            if *score > most {
                most = *score;
            }
        }
        for score in scores.iter_mut() {
            *score = exp_lane(*score - most);
        }
        let sum: f32 = scores.iter().fold(0.0, |sum, score| sum + score);
        let inverse = 1.0 / sum;
        out.fill(0.0);
        for (score, value) in scores.iter().zip(values.chunks_exact(width)) {
            let weight = score * inverse;
            for (out, value) in out.iter_mut().zip(value) {
                *out += weight * value;
            }
        }
    }
}

wide! {
    /// Root-mean-square norm of one row, into `out`.
    fn rms_norm / rms_norm_body / rms_norm_avx2(row: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
        let mean = dot_lanes(row, row) / row.len() as f32;
        let scale = 1.0 / (mean + epsilon).sqrt();
        for ((out, value), weight) in out.iter_mut().zip(row).zip(weight) {
            *out = (value * scale) * weight;
        }
    }
}

wide! {
    /// `gate` becomes silu(gate) · up.
    fn gate_silu / gate_silu_body / gate_silu_avx2(gate: &mut [f32], up: &[f32]) {
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate = *gate / (1.0 + exp_lane(-*gate)) * up;
        }
    }
}

wide! {
    /// `into` grows by `other`.
    fn add / add_body / add_avx2(into: &mut [f32], other: &[f32]) {
        for (into, other) in into.iter_mut().zip(other) {
            *into += other;
        }
    }
}

/// e^x, the same on every processor.
pub(crate) fn exp(x: f32) -> f32 {
    exp_lane(x)
}

#[cfg(test)]
mod tests;
