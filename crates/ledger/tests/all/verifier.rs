//! Versions of the verifier: announced with notice by who governs, in force from a height, and never passed over.
#![allow(clippy::unwrap_used)]

use crate::registry::{ICollateral, INSTANCE, OWNER, PROVIDER, Refused, Registry, assert_refused, module};
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_ledger::{ExecutedBlock, LedgerError, ModuleRefusal, StateTree as _};
use freehold_primitives::{
    Digest,
    entries::{EntryKind, UsedEvidenceEntry, VerifierSchedule},
};

fn announce(registry: &mut Registry, caller: u8, version: u32, notice: u64) -> Result<ExecutedBlock, Refused> {
    // The call stands in the next block.
    let from_height = registry.chain.tip().number + 1 + notice;
    let call = ICollateral::scheduleVerifierCall { version, fromHeight: from_height };
    registry.send(caller, module(slots::COLLATERAL), call, 0)
}

fn schedule(registry: &Registry) -> Option<VerifierSchedule> {
    registry.entry(EntryKind::Verifier, &slots::VERIFIER_ID)
}

#[test]
fn a_version_is_announced_with_notice_by_who_governs() {
    let mut registry = Registry::new();
    assert_eq!(schedule(&registry), None);
    assert_refused(announce(&mut registry, PROVIDER, 2, 10), ModuleRefusal::NotGovernor);
    assert_refused(announce(&mut registry, OWNER, 1, 10), ModuleRefusal::VerifierOld);
    assert_refused(announce(&mut registry, OWNER, 0, 10), ModuleRefusal::VerifierOld);
    assert_refused(announce(&mut registry, OWNER, 2, 9), ModuleRefusal::VerifierNotice);
    let block = announce(&mut registry, OWNER, 2, 10).unwrap();
    let from = block.header.number + 10;
    assert_eq!(schedule(&registry), Some(VerifierSchedule { current: 1, next: 2, next_from: from }));
    let event = ICollateral::VerifierScheduled::decode_log(&block.receipts[0].envelope.logs()[0]).unwrap();
    assert_eq!((event.version, event.fromHeight), (2, from));
    // What is not in force yet can be announced again, later or otherwise.
    let block = announce(&mut registry, OWNER, 3, 20).unwrap();
    let from = block.header.number + 20;
    assert_eq!(schedule(&registry), Some(VerifierSchedule { current: 1, next: 3, next_from: from }));
}

#[test]
fn a_program_that_does_not_know_the_version_stops_and_loses_nothing() {
    let mut registry = Registry::new();
    let from = announce(&mut registry, OWNER, 2, 10).unwrap().header.number + 10;
    // Until then everything is judged as before.
    let draft = registry.draft(INSTANCE);
    registry.register(&draft).unwrap();
    let signed_part = freehold_crypto::sha256(&draft.evidence[..632]);
    let used: UsedEvidenceEntry = registry.entry(EntryKind::UsedEvidence, signed_part.as_bytes()).unwrap();
    assert_eq!(used.verifier, 1);
    while registry.chain.tip().number + 1 < from {
        registry.chain.block(vec![]);
    }
    let leaves = |registry: &Registry| registry.chain.state.leaves(&Digest::ZERO, 10_000).unwrap();
    let (tip, before) = (registry.chain.tip().clone(), leaves(&registry));
    for _ in 0..2 {
        let refused = registry.chain.try_block(vec![]).unwrap_err();
        assert!(matches!(refused, LedgerError::VerifierUnknown { height, version: 2 } if height == from), "{refused}");
        assert!(refused.to_string().contains("upgrade freehold"), "{refused}");
    }
    assert_eq!((registry.chain.tip(), leaves(&registry)), (&tip, before));
}

#[test]
fn the_version_of_a_height_follows_from_the_schedule() {
    let schedule = VerifierSchedule { current: 4, next: 6, next_from: 100 };
    assert_eq!([0, 99, 100, 101].map(|height| schedule.at(height)), [4, 4, 6, 6]);
    assert_eq!(VerifierSchedule::FIRST.at(0), 1);
}
