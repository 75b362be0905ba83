//! Sealed slots: bound to chain, contract, slot, generation and place; every changed bit is refused.

use std::time::Instant;

use freehold_primitives::{Account, Digest};
use proptest::prelude::{any, proptest};
use zeroize::Zeroizing;

use super::{SEALED_SLOT_BYTES, SealError, StateCipher, sealed_generation};
use crate::state_keys::StateKeys;

const CHAIN: Digest = Digest([7; 32]);
const CONTRACT: Account = Account([0x11; 20]);

fn cipher(generation: u32, chain: Digest) -> StateCipher {
    StateCipher::new(StateKeys::development(Zeroizing::new([1; 32])).get(generation).unwrap(), chain)
}

fn slot(last: u8) -> [u8; 32] {
    let mut slot = [0; 32];
    slot[31] = last;
    slot
}

#[test]
fn a_slot_opens_where_it_was_sealed_and_nowhere_else() {
    let contract = cipher(3, CHAIN).contract(&CONTRACT);
    let key = contract.tree_key(&slot(5));
    let sealed = contract.seal(&key, &slot(5), 9, &[0xcc; 32]);
    assert_eq!(sealed_generation(&sealed), Ok(3));
    assert_eq!(contract.open(&key, &slot(5), &sealed), Ok([0xcc; 32]));
    let tag = Err(SealError::Tag);
    assert_eq!(contract.open(&contract.tree_key(&slot(6)), &slot(6), &sealed), tag, "another slot");
    assert_eq!(cipher(3, CHAIN).contract(&Account([0x12; 20])).open(&key, &slot(5), &sealed), tag, "another contract");
    assert_eq!(cipher(3, Digest([8; 32])).contract(&CONTRACT).open(&key, &slot(5), &sealed), tag, "another chain");
    let other = cipher(4, CHAIN).contract(&CONTRACT).open(&key, &slot(5), &sealed);
    assert_eq!(other, Err(SealError::Generation { expected: 4, found: 3 }));
}

#[test]
fn changed_bytes_and_wrong_lengths_are_refused() {
    let contract = cipher(0, CHAIN).contract(&CONTRACT);
    let key = contract.tree_key(&slot(1));
    let sealed = contract.seal(&key, &slot(1), 2, &slot(3));
    for bit in 0..8 * SEALED_SLOT_BYTES {
        // The masked address serves re-encryption alone, which opens the slot under the address it finds.
        if (12..32).contains(&(bit / 8)) {
            continue;
        }
        let mut changed = sealed;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(contract.open(&key, &slot(1), &changed).is_err(), "bit {bit}");
    }
    for length in [0, 1, 32, 73, SEALED_SLOT_BYTES - 1] {
        assert_eq!(contract.open(&key, &slot(1), &sealed[..length]), Err(SealError::Length(length)));
    }
}

#[test]
fn writes_are_the_same_for_every_executor_and_differ_by_height() {
    let seal = |height| {
        let contract = cipher(0, CHAIN).contract(&CONTRACT);
        contract.seal(&contract.tree_key(&slot(1)), &slot(1), height, &[0; 32])
    };
    assert_eq!(seal(4), seal(4));
    assert_ne!(seal(4)[12..], seal(5)[12..]);
}

#[test]
fn places_tell_contracts_chains_and_generations_apart() {
    let first = cipher(0, CHAIN).contract(&CONTRACT).tree_key(&slot(0));
    assert_ne!(first, cipher(1, CHAIN).contract(&CONTRACT).tree_key(&slot(0)));
    assert_ne!(first, cipher(0, Digest([8; 32])).contract(&CONTRACT).tree_key(&slot(0)));
    assert_ne!(first, cipher(0, CHAIN).contract(&Account([0x12; 20])).tree_key(&slot(0)));
}

/// Fixes the format. The values come from another implementation, written from the text of `spec/confidential-state.md`.
#[test]
fn a_second_implementation_writes_the_same() {
    let contract = cipher(1, CHAIN).contract(&CONTRACT);
    let key = contract.tree_key(&slot(2));
    let sealed = contract.seal(&key, &slot(2), 3, &slot(4));
    assert_eq!(hex::encode(key.as_bytes()), "e0d7c8deadcae55b695e9fa6b49cc3d0fd5a90da4d97b12b55649c26cd4528fd");
    let expected = "00000001000000000000000301875ea10f3cab2cd3cf0483e89c492f8bdcb610da20c75aad6e0ca9d194be55\
                    41d72e9a0a9f7c6a038f24f863f525b9e250bf9ed5fe032690fc9dc73cbeee0dc6d84c48";
    assert_eq!(hex::encode(sealed), expected);
}

proptest! {
    #[test]
    fn places_lead_back_to_slot_and_contract(
        slot in any::<[u8; 32]>(), account in any::<[u8; 20]>(), height in any::<u64>(), value in any::<[u8; 32]>()
    ) {
        let cipher = cipher(2, CHAIN);
        let contract = cipher.contract(&Account(account));
        let key = contract.tree_key(&slot);
        assert_eq!(contract.slot_at(&key), slot);
        let sealed = contract.seal(&key, &slot, height, &value);
        assert_eq!(cipher.account_of(&key, &sealed), Ok(Account(account)));
        assert_eq!(contract.open(&key, &slot, &sealed), Ok(value));
    }
}

#[test]
fn costs_are_shown() {
    let contract = cipher(0, CHAIN).contract(&CONTRACT);
    let start = Instant::now();
    for number in 0..2_000_u64 {
        let mut slot = [0; 32];
        slot[..8].copy_from_slice(&number.to_be_bytes());
        let key = contract.tree_key(&slot);
        let sealed = contract.seal(&key, &slot, number, &slot);
        assert_eq!(contract.open(&key, &slot, &sealed), Ok(slot));
    }
    println!("place, seal and open: {:.2} us", start.elapsed().as_secs_f64() * 1e6 / 2_000.0);
}
