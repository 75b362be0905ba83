//! The base fee over seconds that are empty, full, or of many blocks.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use alloy_consensus::Header;

use super::{moved, next_base_fee};
use crate::{LedgerError, context::BASE_FEE_MIN};

fn header(number: u64, timestamp: u64, gas_used: u64) -> Header {
    Header { number, timestamp, gas_used, base_fee_per_gas: Some(8_000_000_000), ..Header::default() }
}

fn check(blocks: &[(u64, u64)], time: u64, expect: u64) {
    let headers: BTreeMap<u64, Header> =
        (0_u64..).zip(blocks).map(|(number, (time, gas))| (number, header(number, *time, *gas))).collect();
    let parent = headers.last_key_value().unwrap().1;
    assert_eq!(next_base_fee(parent, time, &headers).unwrap(), expect);
}

#[test]
fn one_second_one_fee() {
    check(&[(10, 60_000_000)], 10, 8_000_000_000);
}

#[test]
fn gas_of_the_whole_second_counts() {
    check(&[(9, 60_000_000), (10, 15_000_000), (10, 15_000_000)], 11, 8_000_000_000);
    check(&[(9, 0), (10, 30_000_000), (10, 30_000_000)], 11, 9_000_000_000);
    check(&[(10, 0)], 11, 7_000_000_000);
}

#[test]
fn more_than_a_block_moves_no_further() {
    check(&[(10, 60_000_000); 9], 11, 9_000_000_000);
}

#[test]
fn bounds_hold() {
    assert_eq!(moved(BASE_FEE_MIN, 0), BASE_FEE_MIN);
    assert_eq!(moved(u64::MAX, u64::MAX), u64::MAX);
    assert_eq!(moved(BASE_FEE_MIN, 30_000_001), BASE_FEE_MIN + 4, "1/8 of one part in thirty million");
}

#[test]
fn a_missing_ancestor_is_said() {
    let parent = header(5, 10, 0);
    assert!(matches!(next_base_fee(&parent, 11, &BTreeMap::new()), Err(LedgerError::HeaderMissing(4))));
}
