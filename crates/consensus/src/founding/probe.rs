//! A founding fed with whatever a peer can send: for fuzz targets, not for use.

use freehold_primitives::Ed25519Key;
use rand_core::CryptoRng;

use super::{
    Founding, FoundingError,
    state::{Act, State},
};

/// Begins a founding and gives it frames, one after the other; says how many of them it took.
///
/// # Errors
/// [`FoundingError`], as a founding that begins or goes on.
pub fn founding_input<'a>(
    founding: Founding,
    frames: impl Iterator<Item = (Ed25519Key, &'a [u8])>,
    rng: &mut impl CryptoRng,
) -> Result<usize, FoundingError> {
    let (mut state, _) = State::begin(founding, &[], rng)?;
    let mut taken = 0;
    for (from, frame) in frames {
        taken += usize::from(state.receive(&from, frame, rng)?.is_ok());
    }
    Ok(taken)
}

/// Frames that a founder sends when it begins, as others receive them.
///
/// # Errors
/// [`FoundingError`].
pub fn founding_seeds(founding: Founding, rng: &mut impl CryptoRng) -> Result<Vec<Vec<u8>>, FoundingError> {
    let (_, acts) = State::begin(founding, &[], rng)?;
    let frame = |act| match act {
        Act::Send(_, frame) | Act::Broadcast(frame) => Some(frame.to_vec()),
        _ => None,
    };
    Ok(acts.into_iter().filter_map(frame).collect())
}
