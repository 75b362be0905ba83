//! Leaves of the state tree under a verified header: accounts and storage slots (`spec/state-proof.md`).

use freehold_crypto::{
    StateProofError,
    slots::{account_key, storage_key},
    verify_state,
};
use freehold_primitives::{Account, Digest};
use thiserror::Error;

use super::header::VerifiedHeader;

/// Bytes of an account leaf: nonce, balance, code hash, visibility.
const ACCOUNT_LEAF_BYTES: usize = 8 + 32 + 32 + 1;

/// Why a leaf is not proven.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateError {
    /// The proof does not hold under the header's state root.
    #[error("the state proof does not hold: {0}")]
    Proof(#[from] StateProofError),
    /// The proof holds, and the leaf has a form that no account or slot has.
    #[error("the leaf has {0} bytes, which no leaf of its kind has")]
    Leaf(usize),
}

/// An account as the state holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountState {
    /// Transactions sent.
    pub nonce: u64,
    /// Balance, a big-endian integer of 18 decimals.
    pub balance: [u8; 32],
    /// Keccak-256 of the code.
    pub code_hash: Digest,
    /// Visibility byte: 1 public, 2 confidential (`spec/confidential-state.md` §1).
    pub visibility: u8,
}

/// What the state holds under any key of the tree; `None` where it is proven absent.
///
/// # Errors
/// [`StateError::Proof`].
pub fn verify_leaf(header: &VerifiedHeader, key: &Digest, proof: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
    Ok(verify_state(&header.state_root(), key, proof)?)
}

/// What the state holds of an account; `None` where it is proven absent.
///
/// # Errors
/// Every [`StateError`].
pub fn verify_account(
    header: &VerifiedHeader,
    account: &Account,
    proof: &[u8],
) -> Result<Option<AccountState>, StateError> {
    let Some(leaf) = verify_state(&header.state_root(), &account_key(account), proof)? else {
        return Ok(None);
    };
    let leaf: [u8; ACCOUNT_LEAF_BYTES] = leaf.as_slice().try_into().map_err(|_| StateError::Leaf(leaf.len()))?;
    let part = |from: usize| {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&leaf[from..from + 32]);
        bytes
    };
    let mut nonce = [0; 8];
    nonce.copy_from_slice(&leaf[..8]);
    Ok(Some(AccountState {
        nonce: u64::from_be_bytes(nonce),
        balance: part(8),
        code_hash: Digest(part(40)),
        visibility: leaf[72],
    }))
}

/// What a public storage slot holds; `None` where it is proven absent, which is zero. Of a confidential account it says
/// nothing: its slots stand under other keys.
///
/// # Errors
/// Every [`StateError`].
pub fn verify_storage(
    header: &VerifiedHeader,
    account: &Account,
    slot: &[u8; 32],
    proof: &[u8],
) -> Result<Option<Digest>, StateError> {
    match verify_state(&header.state_root(), &storage_key(account, slot), proof)? {
        None => Ok(None),
        Some(leaf) => {
            let value = leaf.as_slice().try_into().map_err(|_| StateError::Leaf(leaf.len()))?;
            Ok(Some(Digest(value)))
        }
    }
}
