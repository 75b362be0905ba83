//! Layers answer for what they hold, and never read a confidential slot below them.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::view::MemoryView;

const PUBLIC: Address = Address::repeat_byte(1);
const SECRET: Address = Address::repeat_byte(2);
const NOBODY: Address = Address::repeat_byte(3);
const SIGNER: Address = Address::repeat_byte(4);

fn base() -> MemoryView {
    let mut view = MemoryView::default();
    view.deploy(PUBLIC, vec![0].into());
    view.deploy_as(Visibility::Confidential, SECRET, vec![0].into());
    let mut changes = Changes::default();
    changes.storage.insert((PUBLIC, U256::ONE), U256::from(7));
    changes.confidential.insert((SECRET, U256::ONE), U256::from(8));
    changes.confidential.insert((SIGNER, U256::ONE), U256::from(9));
    changes.accounts.insert(SIGNER, Some(AccountState { nonce: 1, ..AccountState::default() }));
    view.apply(&changes);
    view
}

fn one(address: Address, said: AccountOverride) -> StateOverrides {
    StateOverrides::from([(address, said)])
}

fn read(layers: &Layers<'_>, address: Address, slot: u64) -> Result<U256, ViewError> {
    let visibility = layers.account(&address).unwrap().unwrap_or_default().visibility;
    layers.storage(&address, &U256::from(slot), visibility)
}

#[test]
fn overrides_stand_over_what_is_below() {
    let base = base();
    let mut layers = Layers::new(&base);
    let slots = BTreeMap::from([(U256::from(2), U256::from(5))]);
    let patched = AccountOverride { storage: StorageOverride::Patched(slots.clone()), ..AccountOverride::default() };
    layers.put(&one(PUBLIC, patched)).unwrap();
    assert_eq!((read(&layers, PUBLIC, 1).unwrap(), read(&layers, PUBLIC, 2).unwrap()), (U256::from(7), U256::from(5)));
    let replaced = AccountOverride { storage: StorageOverride::Replaced(slots), ..AccountOverride::default() };
    layers.put(&one(PUBLIC, replaced)).unwrap();
    assert_eq!((read(&layers, PUBLIC, 1).unwrap(), read(&layers, PUBLIC, 2).unwrap()), (U256::ZERO, U256::from(5)));
    let code = Bytes::from(vec![0x5f]);
    let said = AccountOverride {
        code: Some(code.clone()),
        nonce: Some(3),
        balance: Some(U256::from(4)),
        ..AccountOverride::default()
    };
    layers.put(&one(NOBODY, said)).unwrap();
    let account = layers.account(&NOBODY).unwrap().unwrap();
    assert_eq!((account.nonce, account.balance, account.visibility), (3, U256::from(4), Visibility::Public));
    assert_eq!(layers.code(&account.code_hash).unwrap(), code);
}

#[test]
fn confidential_slots_below_are_withheld() {
    let base = base();
    let mut layers = Layers::new(&base);
    assert!(matches!(read(&layers, SECRET, 1), Err(ViewError::Withheld(SECRET))));
    assert!(matches!(read(&layers, SECRET, 2), Err(ViewError::Withheld(SECRET))), "absent slots look alike");
    assert!(matches!(read(&layers, SIGNER, 1), Err(ViewError::Withheld(SIGNER))), "it may have had code once");
    assert_eq!(read(&layers, NOBODY, 1).unwrap(), U256::ZERO);
    let balance = AccountOverride { balance: Some(U256::ONE), ..AccountOverride::default() };
    layers.put(&one(SECRET, balance)).unwrap();
    assert!(matches!(read(&layers, SECRET, 1), Err(ViewError::Withheld(SECRET))));
}

#[test]
fn a_confidential_contract_takes_no_other_code_and_no_slots() {
    let base = base();
    let mut layers = Layers::new(&base);
    let code = AccountOverride { code: Some(Bytes::new()), ..AccountOverride::default() };
    assert!(matches!(layers.put(&one(SECRET, code)), Err(OverrideRefusal::Confidential(SECRET))));
    for storage in [StorageOverride::Patched(BTreeMap::new()), StorageOverride::Replaced(BTreeMap::new())] {
        let said = AccountOverride { storage, ..AccountOverride::default() };
        assert!(matches!(layers.put(&one(SECRET, said)), Err(OverrideRefusal::Confidential(SECRET))));
    }
}

#[test]
fn code_on_an_account_that_had_sealed_slots_reads_none_of_them() {
    let base = base();
    let mut layers = Layers::new(&base);
    let code = AccountOverride { code: Some(vec![0].into()), ..AccountOverride::default() };
    layers.put(&one(SIGNER, code)).unwrap();
    // As a public account it has other keys in the tree; a view in memory has one space for both, so ask by visibility.
    assert_eq!(layers.account(&SIGNER).unwrap().unwrap().visibility, Visibility::Public);
}

#[test]
fn precompiles_move_once_and_only_ethereums() {
    let base = base();
    let mut layers = Layers::new(&base);
    let ecrecover = Address::with_last_byte(1);
    let to = |to| AccountOverride { precompile_to: Some(to), ..AccountOverride::default() };
    assert!(matches!(layers.put(&one(ecrecover, to(ecrecover))), Err(OverrideRefusal::SelfReference(_))));
    assert!(matches!(layers.put(&one(PUBLIC, to(NOBODY))), Err(OverrideRefusal::NoPrecompile(PUBLIC))));
    let mut layers = Layers::new(&base);
    layers.put(&one(ecrecover, to(NOBODY))).unwrap();
    assert!(matches!(layers.put(&one(Address::with_last_byte(2), to(NOBODY))), Err(OverrideRefusal::Twice(NOBODY))));
}
