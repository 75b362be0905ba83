//! App ids (`spec/encoding.md` §6): Oasis ROFL's schemes, so that an id made here is an id there.
//!
//! An id is 20 bytes of SHA-512/256 over a context, a zero version byte and the scheme's data; the creator enters as an
//! Oasis address, itself a hash over the Ethereum address.

use freehold_primitives::{Account, AppId};

use crate::hash::sha512_256;

const ETHEREUM_CONTEXT: &[u8] = b"oasis-runtime-sdk/address: secp256k1eth";
const ROUND_INDEX_CONTEXT: &[u8] = b"oasis-sdk/rofl: cri app id";
const NONCE_CONTEXT: &[u8] = b"oasis-sdk/rofl: cn app id";
const NAME_CONTEXT: &[u8] = b"oasis-sdk/rofl: global name app id";

/// Oasis address of an Ethereum account: 21 bytes, a zero version byte and 20 bytes of hash.
pub fn oasis_address(account: &Account) -> [u8; 21] {
    versioned(ETHEREUM_CONTEXT, &[account.as_bytes()])
}

/// Id of the app that an account creates by the transaction with its `nonce`.
pub fn app_id_from_creator_nonce(creator: &Account, nonce: u64) -> AppId {
    creator_nonce(&oasis_address(creator), nonce)
}

/// Id of the app that a contract creates in block `round` by the transaction at `index`.
pub fn app_id_from_creator_round_index(creator: &Account, round: u64, index: u32) -> AppId {
    creator_round_index(&oasis_address(creator), round, index)
}

/// Id of an app that a genesis names.
pub fn app_id_from_name(name: &str) -> AppId {
    app_id(NAME_CONTEXT, &[name.as_bytes()])
}

fn creator_nonce(creator: &[u8; 21], nonce: u64) -> AppId {
    app_id(NONCE_CONTEXT, &[creator, &nonce.to_be_bytes()])
}

fn creator_round_index(creator: &[u8; 21], round: u64, index: u32) -> AppId {
    app_id(ROUND_INDEX_CONTEXT, &[creator, &round.to_be_bytes(), &index.to_be_bytes()])
}

fn app_id(context: &[u8], data: &[&[u8]]) -> AppId {
    let bytes = versioned(context, data);
    AppId::from_bytes(bytes).expect("the version byte is zero")
}

fn versioned(context: &[u8], data: &[&[u8]]) -> [u8; 21] {
    let mut parts = vec![context, &[0]];
    parts.extend_from_slice(data);
    let mut out = [0; 21];
    out[1..].copy_from_slice(&sha512_256(&parts).0[..20]);
    out
}

#[cfg(test)]
mod tests;
