//! `GAS_USED` and `PAD_GAS` (`spec/sapphire.md` §3): what the whole transaction has used, its intrinsic gas included.
//!
//! Refunds do not count: they are settled at the end.

use super::{
    Failure, GasMeter, Refusal, Surroundings,
    abi::{Arguments, encode_word},
};

/// Gas of asking, and of padding beside what is padded.
const GAS: u64 = 10;

/// Input: not looked at. Output: `abi(uint64)`.
pub(super) fn used(meter: &mut GasMeter, surroundings: &Surroundings<'_>) -> Result<Vec<u8>, Failure> {
    meter.charge(GAS)?;
    Ok(encode_word(used_so_far(meter, surroundings)))
}

/// Input: `abi(uint128 amount)`. Output: nothing; from here on the transaction has used that amount.
pub(super) fn pad(input: &[u8], meter: &mut GasMeter, surroundings: &Surroundings<'_>) -> Result<Vec<u8>, Failure> {
    meter.charge(GAS)?;
    let amount = Arguments(input).integer(0)?.ok_or(Refusal::Input)?;
    let amount = u64::try_from(amount).unwrap_or(u64::MAX);
    let missing = amount.checked_sub(used_so_far(meter, surroundings)).ok_or(Refusal::Padding)?;
    meter.charge(missing)?;
    Ok(Vec::new())
}

/// A stipend is gas that no one paid for, so that a callee may seem to have more than there is.
const fn used_so_far(meter: &GasMeter, surroundings: &Surroundings<'_>) -> u64 {
    surroundings.gas_available.saturating_sub(meter.left())
}
