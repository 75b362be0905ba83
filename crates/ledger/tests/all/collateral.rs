//! Collateral: newer only, and only what the genesis's roots vouch for.
#![allow(clippy::unwrap_used)]

use crate::registry::{ICollateral, Registry, assert_refused, collateral_key, module, platform};
use alloy_primitives::Bytes;
use freehold_attestation::Refusal;
use freehold_crypto::{content_digest, slots};
use freehold_emulator::CollateralPlan;
use freehold_ledger::ModuleRefusal;
use freehold_primitives::entries::{CollateralEntry, EntryKind};

#[test]
fn collateral_never_goes_back() {
    let mut registry = Registry::new();
    let now = registry.chain.time_ms / 1000;
    let same = platform().collateral(now);
    assert_refused(registry.submit(same), ModuleRefusal::CollateralOld);
    let with = |number: u32| CollateralPlan { tcb_evaluation_data_number: number, ..Default::default() };
    assert_refused(registry.submit(platform().collateral_with(now, &with(19))), ModuleRefusal::CollateralOld);
    registry.submit(platform().collateral_with(now, &with(22))).unwrap();
    registry.chain.time_ms += 86_400_000;
    registry.chain.block(vec![]);
    let tomorrow = registry.chain.time_ms / 1000;
    let fewer = platform().collateral_with(tomorrow, &with(21));
    assert_refused(registry.submit(fewer), ModuleRefusal::CollateralOld);
    let document = platform().collateral_with(tomorrow, &with(22));
    registry.submit(document.clone()).unwrap();
    let id = slots::collateral_id(freehold_primitives::entries::CollateralKind::Dcap, &collateral_key());
    let entry: CollateralEntry = registry.entry(EntryKind::Collateral, &id).unwrap();
    assert_eq!((entry.digest, entry.numbers[0]), (content_digest(&document), 22));
}

#[test]
fn collateral_of_elsewhere_is_refused() {
    let mut registry = Registry::new();
    let now = registry.chain.time_ms / 1000 + 2 * 86_400;
    let refused = registry.submit(platform().collateral(now)).unwrap_err().0.unwrap();
    assert_eq!(refused, (ModuleRefusal::CollateralRefused, Some(Refusal::CollateralNotYetValid)));
    let foreign = freehold_emulator::Platform::new(&[9; 32]).collateral(registry.chain.time_ms / 1000);
    let refused = registry.submit(foreign).unwrap_err().0.unwrap();
    assert_eq!(refused, (ModuleRefusal::CollateralRefused, Some(Refusal::UnknownRoot)));
    let document: Bytes = platform().collateral(registry.chain.time_ms / 1000).into();
    let collateral = module(slots::COLLATERAL);
    let call = ICollateral::submitCall { kind: 1, key: vec![1; 7].into(), document: document.clone() };
    assert_refused(registry.send(3, collateral, call, 0), ModuleRefusal::CollateralKey);
    let call = ICollateral::submitCall { kind: 9, key: collateral_key().into(), document };
    assert_refused(registry.send(3, collateral, call, 0), ModuleRefusal::CollateralKind);
}
