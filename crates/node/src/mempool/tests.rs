//! The pool's order, replacement and bounds, and that a refusal changes nothing.
#![allow(clippy::unwrap_used)]

use super::*;

const RICH: AccountState = AccountState { nonce: 0, balance: U256::MAX };
const GWEI: u128 = 1_000_000_000;

fn tx(sender: u8, nonce: u64, tip: u128) -> Pending {
    let mut hash = [0; 32];
    hash[0] = sender;
    hash[1..9].copy_from_slice(&nonce.to_be_bytes());
    hash[9..25].copy_from_slice(&tip.to_be_bytes());
    Pending {
        hash: B256::new(hash),
        sender: Address::repeat_byte(sender),
        nonce,
        gas_limit: 21_000,
        fee_max: 2 * GWEI + tip,
        tip_max: tip,
        cost_max: U256::from(21_000_u128 * (2 * GWEI + tip)),
        raw: vec![sender, u8::try_from(nonce).unwrap(), 0],
    }
}

fn bounds(count: u64) -> Bounds {
    Bounds { gas_max: 21_000 * count, bytes_max: 1_000_000 }
}

#[test]
fn picks_by_tip_and_keeps_nonce_order() {
    let mut pool = Mempool::default();
    for pending in [tx(1, 1, 9), tx(1, 0, 1), tx(2, 0, 5)] {
        pool.add(pending, RICH).unwrap();
    }
    let picked = pool.pick(GWEI, &BTreeSet::new(), bounds(10));
    assert_eq!(picked, [vec![2, 0, 0], vec![1, 0, 0], vec![1, 1, 0]]);
    assert_eq!(pool.pick(GWEI, &BTreeSet::new(), bounds(1)).len(), 1);
}

#[test]
fn a_gap_waits() {
    let mut pool = Mempool::default();
    pool.add(tx(1, 1, 1), RICH).unwrap();
    assert!(!pool.has_ready(GWEI, &BTreeSet::new()));
    assert_eq!(pool.next_nonce(&Address::repeat_byte(1), RICH), 0);
    pool.add(tx(1, 0, 1), RICH).unwrap();
    assert_eq!(pool.pick(GWEI, &BTreeSet::new(), bounds(10)).len(), 2);
    assert_eq!(pool.next_nonce(&Address::repeat_byte(1), RICH), 2);
}

#[test]
fn what_ancestors_took_is_not_picked_again() {
    let mut pool = Mempool::default();
    pool.add(tx(1, 0, 1), RICH).unwrap();
    pool.add(tx(1, 1, 1), RICH).unwrap();
    let taken = BTreeSet::from([tx(1, 0, 1).hash]);
    assert_eq!(pool.pick(GWEI, &taken, bounds(10)), [vec![1, 1, 0]]);
    let all = BTreeSet::from([tx(1, 0, 1).hash, tx(1, 1, 1).hash]);
    assert!(!pool.has_ready(GWEI, &all));
}

#[test]
fn a_replacement_pays_a_tenth_more() {
    let mut pool = Mempool::default();
    pool.add(tx(1, 0, 10 * GWEI), RICH).unwrap();
    assert_eq!(pool.add(tx(1, 0, 10 * GWEI + 1), RICH), Err(PoolError::Underpriced));
    assert_eq!(pool.add(tx(1, 0, 10 * GWEI), RICH), Err(PoolError::Known));
    pool.add(tx(1, 0, 12 * GWEI), RICH).unwrap();
    assert_eq!(pool.len(), 1);
    assert!(pool.get(&tx(1, 0, 12 * GWEI).hash).is_some());
}

#[test]
fn reserves_the_cost_of_what_waits() {
    let mut pool = Mempool::default();
    let poor = AccountState { nonce: 0, balance: tx(1, 0, 1).cost_max };
    pool.add(tx(1, 0, 1), poor).unwrap();
    assert!(matches!(pool.add(tx(1, 1, 1), poor), Err(PoolError::Funds { .. })));
    assert_eq!(pool.len(), 1);
}

#[test]
fn refuses_nonces_out_of_reach() {
    let mut pool = Mempool::default();
    let used = AccountState { nonce: 5, ..RICH };
    assert!(matches!(pool.add(tx(1, 4, 1), used), Err(PoolError::NonceTooLow { next: 5, nonce: 4 })));
    let far = 5 + ACCOUNT_COUNT_MAX as u64;
    let mut pending = tx(1, 0, 1);
    pending.nonce = far;
    assert!(matches!(pool.add(pending, used), Err(PoolError::NonceTooHigh { .. })));
    assert!(pool.len() == 0);
}

#[test]
fn a_block_clears_used_nonces_and_what_cannot_be_paid() {
    let mut pool = Mempool::default();
    for nonce in 0..3 {
        pool.add(tx(1, nonce, 1), RICH).unwrap();
    }
    let state = AccountState { nonce: 1, balance: tx(1, 1, 1).cost_max };
    pool.refresh(&Address::repeat_byte(1), state);
    assert_eq!(pool.iter().map(|tx| tx.nonce).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_full_pool_makes_room_for_a_better_price_only() {
    let mut pool = Mempool::default();
    for index in 0..POOL_COUNT_MAX {
        let mut pending = tx(1, 0, 5);
        let bytes = u32::try_from(index).unwrap().to_be_bytes();
        pending.sender = Address::left_padding_from(&bytes);
        pending.hash = B256::left_padding_from(&bytes);
        pool.add(pending, RICH).unwrap();
    }
    assert_eq!(pool.add(tx(9, 0, 5), RICH), Err(PoolError::Full));
    pool.add(tx(9, 0, 6), RICH).unwrap();
    assert_eq!(pool.len(), POOL_COUNT_MAX);
}
