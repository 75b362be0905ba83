//! Who signed: recovery of a transaction's sender, by libsecp256k1 (three times the speed of pure Rust).

use alloy_primitives::{Address, B256, Signature, U256, uint};
use revm::{
    context_interface::{
        either::Either,
        transaction::{RecoveredAuthorization, SignedAuthorization},
    },
    precompile::secp256k1::ecrecover,
};

/// Half of the order of secp256k1: `s` above it is refused (EIP-2).
const S_MAX: U256 = uint!(0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0_U256);

/// The account that signed `prehash`; `None` where the signature is malformed or `s` is in the upper half.
pub fn recover_account(signature: &Signature, prehash: &B256) -> Option<Address> {
    if signature.s() > S_MAX {
        return None;
    }
    let bytes = signature.as_rsy();
    let mut rs = [0; 64];
    rs.copy_from_slice(&bytes[..64]);
    let padded = ecrecover(&rs.into(), u8::from(signature.v()), prehash).ok()?;
    Some(Address::from_word(padded))
}

/// Authorizations of a type 4 transaction (EIP-7702) as the machine takes them; it recovers their signers itself.
pub fn signed_authorizations(list: &[SignedAuthorization]) -> Vec<Either<SignedAuthorization, RecoveredAuthorization>> {
    list.iter().cloned().map(Either::Left).collect()
}
