//! `X25519_DERIVE`, `CURVE25519_PUBLIC`, `DEOXYSII_SEAL` and `DEOXYSII_OPEN` (`spec/sapphire.md` §3).

use freehold_crypto::{DEOXYS_NONCE_BYTES, Deoxys, deoxys_shared_key, x25519_public};

use super::{Failure, GasMeter, Refusal, abi::Arguments};

/// Gas of deriving a shared key.
const DERIVE_GAS: u64 = 1_100;
/// Gas of computing a public key.
const PUBLIC_GAS: u64 = 1_000;
/// Gas of sealing or opening, and of a word of its input.
const BOX_GAS: u64 = 100;
const BOX_WORD_GAS: u64 = 10;

/// Input: public key, then secret key, 64 bytes in all. Output: the 32 bytes of the shared key.
pub(super) fn derive(input: &[u8], meter: &mut GasMeter) -> Result<Vec<u8>, Failure> {
    meter.charge(DERIVE_GAS)?;
    let keys: &[u8; 64] = input.try_into().map_err(|_| Refusal::Input)?;
    let (public, secret) = (keys.first_chunk().expect("64 > 32"), keys.last_chunk().expect("64 > 32"));
    Ok(deoxys_shared_key(public, secret).to_vec())
}

/// Input: the 32 bytes of a secret key. Output: those of its public key.
pub(super) fn public_key(input: &[u8], meter: &mut GasMeter) -> Result<Vec<u8>, Failure> {
    meter.charge(PUBLIC_GAS)?;
    let secret = input.try_into().map_err(|_| Refusal::Input)?;
    Ok(x25519_public(secret).to_vec())
}

/// Input: `abi(bytes32 key, bytes32 nonce, bytes text, bytes associated)`. Output: ciphertext and tag.
pub(super) fn seal(input: &[u8], meter: &mut GasMeter) -> Result<Vec<u8>, Failure> {
    let sealed = Sealed::read(input, meter)?;
    Ok(sealed.key.seal(&sealed.nonce, sealed.text, sealed.associated))
}

/// Input as of [`seal`]. Output: the text; a box that does not open reverts.
pub(super) fn open(input: &[u8], meter: &mut GasMeter) -> Result<Vec<u8>, Failure> {
    let sealed = Sealed::read(input, meter)?;
    sealed.key.open(&sealed.nonce, sealed.text, sealed.associated).map_err(|_| Failure::Revert)
}

struct Sealed<'a> {
    key: Deoxys,
    nonce: [u8; DEOXYS_NONCE_BYTES],
    text: &'a [u8],
    associated: &'a [u8],
}

impl<'a> Sealed<'a> {
    fn read(input: &'a [u8], meter: &mut GasMeter) -> Result<Self, Failure> {
        meter.charge_linear(BOX_GAS, BOX_WORD_GAS, input.len())?;
        let arguments = Arguments(input);
        // Of the nonce's word the first 15 bytes count.
        let nonce = *arguments.word(1)?.first_chunk().expect("32 > 15");
        let (text, associated) = (arguments.bytes(2)?, arguments.bytes(3)?);
        Ok(Self { key: Deoxys::new(arguments.word(0)?), nonce, text, associated })
    }
}
