//! Limits hold one by one and together, across restarts, for two askers at once, and on a disk that was tampered with.
#![allow(clippy::unwrap_used)]

use freehold_primitives::Generation;
use zeroize::Zeroizing;

use super::*;
use crate::roots::{Root, Roots};

const NOW: u64 = 1_800_000_000;

fn roots(generation: Generation) -> Arc<HeldRoots> {
    let root = |byte| Root { generation: u32::from(byte), secret: Zeroizing::new([byte; 32]) };
    let newest = root(u8::try_from(generation).unwrap());
    Arc::new(HeldRoots::new(Roots { newest, previous: None, previous_until: 0 }))
}

fn limits() -> SpendingLimits {
    SpendingLimits {
        per_transaction_wei: 100,
        per_day_wei: 250,
        per_day_count: 4,
        contracts: vec![Account([1; 20]), Account([3; 20])],
        may_create: false,
    }
}

fn wanted(cost_wei: u128, now: u64) -> Wanted {
    Wanted { to: Some(Account([3; 20])), cost_wei, now }
}

#[tokio::test]
async fn each_limit_refuses_by_its_own_word() {
    let dir = tempfile::tempdir().unwrap();
    let spending = Spending::new(dir.path(), roots(1));
    let limits = limits();
    let refused = async |wanted: Wanted| {
        let error = spending.reserve(Some(&limits), wanted).await.err().unwrap().to_string();
        error.split(':').next().unwrap().to_owned()
    };
    assert_eq!(refused(Wanted { to: Some(Account([2; 20])), ..wanted(1, NOW) }).await, "spending_contract");
    assert_eq!(refused(Wanted { to: None, ..wanted(1, NOW) }).await, "spending_create");
    assert_eq!(refused(wanted(101, NOW)).await, "spending_per_transaction");
    assert_eq!(refused(wanted(u128::MAX, NOW)).await, "spending_per_transaction");
    spending.reserve(Some(&limits), wanted(100, NOW)).await.unwrap();
    let second = spending.reserve(Some(&limits), wanted(100, NOW)).await.unwrap();
    assert_eq!(refused(wanted(51, NOW)).await, "spending_per_day");
    // What it did cost makes room; it is never more than what it might.
    spending.settle(second, 10).await;
    spending.settle(second, 90).await;
    spending.reserve(Some(&limits), wanted(100, NOW)).await.unwrap();
    spending.reserve(Some(&limits), wanted(1, NOW)).await.unwrap();
    assert_eq!(refused(wanted(1, NOW)).await, "spending_count");
    // A day later everything is free again; the second before, nothing is.
    assert_eq!(refused(wanted(1, NOW + DAY_S - 1)).await, "spending_count");
    spending.reserve(Some(&limits), wanted(100, NOW + DAY_S)).await.unwrap();
}

#[tokio::test]
async fn restarts_and_limits_set_later_count_what_was_spent() {
    let dir = tempfile::tempdir().unwrap();
    // Without limits it is counted all the same.
    Spending::new(dir.path(), roots(1)).reserve(None, wanted(200, NOW)).await.unwrap();
    let again = Spending::new(dir.path(), roots(1));
    let refused = again.reserve(Some(&limits()), wanted(51, NOW + 1)).await;
    assert!(matches!(refused, Err(SpendingError::PerDay { spent: 200, .. })));
    // A clock that was earlier at the next boot forgets nothing.
    let refused = again.reserve(Some(&limits()), wanted(51, NOW - 1000)).await;
    assert!(matches!(refused, Err(SpendingError::PerDay { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_askers_at_once_get_no_more_than_one() {
    let dir = tempfile::tempdir().unwrap();
    let spending = Arc::new(Spending::new(dir.path(), roots(1)));
    let limits = SpendingLimits { per_day_count: 1000, per_day_wei: 100, per_transaction_wei: 10, ..limits() };
    let asks = (0..64).map(|_| {
        let (spending, limits) = (Arc::clone(&spending), limits.clone());
        tokio::spawn(async move { spending.reserve(Some(&limits), wanted(10, NOW)).await.is_ok() })
    });
    let mut granted = 0;
    for ask in asks.collect::<Vec<_>>() {
        granted += u32::from(ask.await.unwrap());
    }
    assert_eq!(granted, 10);
}

#[tokio::test]
async fn a_damaged_record_lets_nothing_be_spent() {
    let dir = tempfile::tempdir().unwrap();
    Spending::new(dir.path(), roots(1)).reserve(None, wanted(1, NOW)).await.unwrap();
    // Another root key: that of another app, or one that was retired.
    let refused = Spending::new(dir.path(), roots(2)).reserve(None, wanted(1, NOW)).await;
    assert!(matches!(refused, Err(SpendingError::Record(_))));
    std::fs::write(dir.path().join("spending"), [0; 40]).unwrap();
    let refused = Spending::new(dir.path(), roots(1)).reserve(None, wanted(1, NOW)).await;
    assert!(matches!(refused, Err(SpendingError::Record(_))));
}
