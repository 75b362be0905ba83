//! Choosing the next token: greedy, or by a seeded draw in integers.
//!
//! Greedy takes the largest logit, the lowest id among equals. Otherwise each candidate gets an integer weight
//! ⌊e^((logit − most) / temperature) · 2³²⌋; the nucleus and the draw use integers only, so that the same logits and the
//! same seed give the same token everywhere.

use freehold_primitives::Sampling;

use super::math;

/// Largest seed: integers in a receipt stay below 2⁵³.
pub const SEED_MAX: u64 = (1 << 53) - 1;

/// A sampler of one answer.
pub(crate) struct Sampler {
    sampling: Sampling,
    state: u64,
}

impl Sampler {
    pub(crate) fn new(sampling: Sampling) -> Self {
        Self { state: sampling.seed, sampling }
    }

    /// The next token; `logits` is not empty.
    pub(crate) fn next(&mut self, logits: &[f32]) -> u32 {
        let best = greedy(logits);
        if self.sampling.temperature_milli == 0 {
            return best;
        }
        let most = logits[best as usize];
        let temperature = self.sampling.temperature_milli as f32 / 1000.0;
        let mut candidates: Vec<(u64, u32)> = (0..)
            .zip(logits)
            .map(|(id, logit)| (weight((logit - most) / temperature), id))
            .filter(|(weight, _)| *weight > 0)
            .collect();
        candidates.sort_unstable_by_key(|(weight, id)| (std::cmp::Reverse(*weight), *id));
        if self.sampling.top_k > 0 {
            candidates.truncate(self.sampling.top_k as usize);
        }
        let kept = nucleus(&candidates, self.sampling.top_p_milli);
        draw(kept, self.random()).unwrap_or(best)
    }

    /// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.state;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }
}

/// Id of the largest logit, the lowest among equals; a logit that is no number never wins.
fn greedy(logits: &[f32]) -> u32 {
    let mut best = (f32::NEG_INFINITY, 0);
    for (id, logit) in (0..).zip(logits) {
        if *logit > best.0 {
            best = (*logit, id);
        }
    }
    best.1
}

/// ⌊e^x · 2³²⌋ for x ≤ 0; nothing for a logit that is no number or far below.
fn weight(x: f32) -> u64 {
    if x.is_nan() || x < -23.0 {
        return 0;
    }
    (math::exp(x.min(0.0)) * 4_294_967_296.0) as u64
}

/// The shortest head of the sorted candidates that holds `top_p_milli` thousandths of the weight.
fn nucleus(candidates: &[(u64, u32)], top_p_milli: u32) -> &[(u64, u32)] {
    let total: u64 = candidates.iter().map(|(weight, _)| weight).sum();
    let wanted = u128::from(total) * u128::from(top_p_milli.min(1000)) / 1000;
    let mut sum = 0_u128;
    for (index, (weight, _)) in candidates.iter().enumerate() {
        sum += u128::from(*weight);
        if sum >= wanted {
            return &candidates[..=index];
        }
    }
    candidates
}

/// Maps a random word to a candidate, in proportion to the weights.
fn draw(candidates: &[(u64, u32)], random: u64) -> Option<u32> {
    let total: u64 = candidates.iter().map(|(weight, _)| weight).sum();
    let mut point = ((u128::from(random) * u128::from(total)) >> 64) as u64;
    for (weight, id) in candidates {
        if point < *weight {
            return Some(*id);
        }
        point -= weight;
    }
    None
}

#[cfg(test)]
mod tests;
