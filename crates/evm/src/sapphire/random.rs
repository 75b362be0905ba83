//! `RANDOM_BYTES` (`spec/sapphire.md` §4): bytes that nobody could know before the block was final, and every executor
//! draws alike.

use super::{Failure, GasMeter, Refusal, Surroundings, WORD, abi::Arguments};

/// Most bytes in one answer.
const BYTES_MAX: u64 = 1_024;
/// Gas of drawing, of a word drawn, and of a word of the personalisation.
const GAS: u64 = 10_000;
const WORD_GAS: u64 = 240;
const PERSONALISATION_WORD_GAS: u64 = 60;

/// Input: `abi(uint256 count, bytes personalisation)`. Output: so many bytes, at most 1,024.
pub(super) fn random_bytes(
    input: &[u8],
    meter: &mut GasMeter,
    surroundings: &mut Surroundings<'_>,
) -> Result<Vec<u8>, Failure> {
    let arguments = Arguments(input);
    let count = arguments.integer(0)?.map_or(BYTES_MAX, |count| count.min(u128::from(BYTES_MAX)) as u64);
    let personalisation = arguments.bytes(1)?;
    meter.charge_linear(GAS + WORD_GAS * count.div_ceil(WORD), PERSONALISATION_WORD_GAS, personalisation.len())?;
    let randomness = surroundings.context.randomness.as_ref().ok_or(Refusal::NoRandomness)?;
    let mut out = vec![0; count as usize];
    randomness.draw(surroundings.tx_index, *surroundings.draws, personalisation, &mut out);
    *surroundings.draws += 1;
    Ok(out)
}
