//! Accounts of a development network: twenty for users, those of the operator, and those that own validators' seats, from
//! the well-known test mnemonic.
//!
//! The mnemonic is public, so these keys protect nothing. Users: m/44'/60'/0'/0/i; app owner, provider and fees:
//! m/44'/60'/1'/0/i, seats: m/44'/60'/2'/0/i, so that users' accounts stay untouched.

use anyhow::{Context as _, Result};
use bip32::{DerivationPath, XPrv};
use freehold_crypto::AccountKey;
use freehold_primitives::{Allocation, Seat};

/// The mnemonic that every development tool knows.
pub(crate) const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// Accounts of users.
pub(crate) const USERS: u32 = 20;
/// Path of the users' accounts, without the index.
pub(crate) const USER_PATH: &str = "m/44'/60'/0'/0";
/// 10,000 units of 18 decimals.
const USER_BALANCE: u128 = 10_000 * UNIT;
const OPERATOR_BALANCE: u128 = 1_000_000 * UNIT;
/// Wei in a unit.
pub(crate) const UNIT: u128 = 1_000_000_000_000_000_000;

/// Owner of the app.
pub(crate) const APP_OWNER: u32 = 0;
/// Provider that pays for instances.
pub(crate) const PROVIDER: u32 = 1;
const OPERATORS: u32 = 2;
/// Accounts of seats that hold coins from the start.
const SEATS: u32 = 16;
/// Bond of a development network's validators, in units of 18 decimals.
pub(crate) const BOND_UNITS: u64 = 1_000;

/// Key of the user's account `index`.
pub(crate) fn user(index: u32) -> Result<AccountKey> {
    derive(0, index)
}

/// Key of the operator's account `index`.
pub(crate) fn operator(index: u32) -> Result<AccountKey> {
    derive(1, index)
}

/// Key of the account that owns the seat `index`.
pub(crate) fn seat(index: u32) -> Result<AccountKey> {
    derive(2, index)
}

/// The seats of a development network's validators.
pub(crate) fn seats(validators: u32) -> Result<Vec<Seat>> {
    let seat = |index| {
        let bond = word(u128::from(BOND_UNITS) * UNIT);
        Ok(Seat { account: seat(index)?.account(), bond, address: String::new() })
    };
    (0..validators).map(seat).collect()
}

/// What a development network's accounts hold from the start.
pub(crate) fn allocations() -> Result<Vec<Allocation>> {
    let mut all = Vec::new();
    for index in 0..USERS {
        all.push(Allocation { account: user(index)?.account(), balance: word(USER_BALANCE) });
    }
    for index in 0..OPERATORS {
        all.push(Allocation { account: operator(index)?.account(), balance: word(OPERATOR_BALANCE) });
    }
    for index in 0..SEATS {
        all.push(Allocation { account: seat(index)?.account(), balance: word(USER_BALANCE) });
    }
    Ok(all)
}

/// A number as a big-endian word.
pub(crate) fn word(value: u128) -> [u8; 32] {
    let mut word = [0; 32];
    word[16..].copy_from_slice(&value.to_be_bytes());
    word
}

fn derive(purpose: u32, index: u32) -> Result<AccountKey> {
    let mnemonic = bip39::Mnemonic::parse_normalized(MNEMONIC).context("the test mnemonic")?;
    let path: DerivationPath = format!("m/44'/60'/{purpose}'/0/{index}").parse().context("a derivation path")?;
    let key = XPrv::derive_from_path(mnemonic.to_seed(""), &path).context("deriving an account")?;
    let bytes: [u8; 32] = key.to_bytes();
    AccountKey::from_bytes(&bytes).context("deriving an account")
}
