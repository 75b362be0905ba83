//! The newest header: it does not go back, does not fork, and is judged by the clock.

use alloy_consensus::Header;
use alloy_primitives::B256;
use alloy_rlp::Encodable as _;
use freehold_primitives::{Height, UnixSeconds};

use super::{Head, HeadError, HeadRules, REMEMBERED_MAX};
use crate::light::header::{VerifiedHeader, decode_header};

const NOW: UnixSeconds = 1_800_000_000;

fn header(height: Height, time: UnixSeconds, state: u8) -> VerifiedHeader {
    let header = Header {
        number: height,
        timestamp: time,
        state_root: B256::repeat_byte(state),
        base_fee_per_gas: Some(1),
        withdrawals_root: Some(B256::ZERO),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    };
    let mut rlp = Vec::new();
    header.encode(&mut rlp);
    decode_header(&rlp).expect("the header was just encoded")
}

#[test]
fn a_head_moves_up_and_not_back() {
    let mut head = Head::new(HeadRules::default());
    assert_eq!(head.fresh(NOW), Err(HeadError::None));
    assert_eq!(head.accept(&header(5, NOW, 1), 0, NOW), Ok(()));
    assert_eq!(head.accept(&header(7, NOW, 1), 5, NOW), Ok(()));
    assert_eq!(head.accept(&header(6, NOW, 1), 7, NOW), Err(HeadError::GoesBack { seen: 7, found: 6 }));
    // What was asked for before the newer one was seen still counts.
    assert_eq!(head.accept(&header(6, NOW, 1), 5, NOW), Ok(()));
    assert_eq!(head.fresh(NOW).map(VerifiedHeader::height), Ok(7));
    assert_eq!(head.note(&header(2, NOW - 9_000, 1)), Ok(()));
    assert_eq!(head.newest().map(VerifiedHeader::height), Some(7));
}

#[test]
fn age_is_judged_at_its_bounds() {
    let rules = HeadRules { age_s_max: 30, ahead_s_max: 15 };
    let mut head = Head::new(rules);
    assert_eq!(head.accept(&header(1, NOW - 30, 1), 0, NOW), Ok(()));
    assert!(matches!(head.fresh(NOW + 1), Err(HeadError::Stale { age: 31, bound: 30, .. })));
    assert!(matches!(head.accept(&header(2, NOW - 31, 1), 0, NOW), Err(HeadError::Stale { .. })));
    assert_eq!(head.accept(&header(3, NOW + 15, 1), 0, NOW), Ok(()));
    assert!(matches!(head.accept(&header(4, NOW + 16, 1), 0, NOW), Err(HeadError::Ahead { ahead: 16, .. })));
    assert!(matches!(head.accept(&header(9, u64::MAX, 1), 0, 0), Err(HeadError::Ahead { .. })));
}

#[test]
fn two_blocks_of_one_height_are_never_accepted() {
    let mut head = Head::new(HeadRules::default());
    assert_eq!(head.accept(&header(5, NOW, 1), 0, NOW), Ok(()));
    assert_eq!(head.accept(&header(5, NOW, 2), 0, NOW), Err(HeadError::Fork(5)));
    assert_eq!(head.note(&header(5, NOW, 3)), Err(HeadError::Fork(5)));
    assert_eq!(head.accept(&header(5, NOW, 1), 5, NOW), Ok(()));
}

#[test]
fn memory_is_bounded() {
    let mut head = Head::new(HeadRules::default());
    for height in 0..REMEMBERED_MAX as u64 + 50 {
        assert_eq!(head.note(&header(height, NOW, 1)), Ok(()));
    }
    assert_eq!(head.hashes.len(), REMEMBERED_MAX);
}
