//! `SHA512_256`, `SHA512` and `SHA384` (`spec/sapphire.md` §3): of the raw input.

use super::{Failure, GasMeter};

/// Gas of hashing, and of a word of its input.
const GAS: u64 = 115;
const WORD_GAS: u64 = 13;

pub(super) fn hash(input: &[u8], meter: &mut GasMeter, of: fn(&[u8]) -> Vec<u8>) -> Result<Vec<u8>, Failure> {
    meter.charge_linear(GAS, WORD_GAS, input.len())?;
    Ok(of(input))
}
