//! Anchoring receipt logs: who may, in which order, and what a successor may do.
#![allow(clippy::unwrap_used)]

use crate::registry::{Draft, IApps, ILog, INSTANCE, PROVIDER, Refused, Registry, assert_refused, module};
use alloy_primitives::B256;
use alloy_sol_types::SolCall as _;
use freehold_crypto::slots;
use freehold_ledger::{ExecutedBlock, ModuleRefusal};
use freehold_primitives::{
    Digest,
    entries::{AnchorEntry, EntryKind, LogEntry},
};

/// Account of another instance of the same app.
const SUCCESSOR: u8 = 0x22;

fn register(registry: &mut Registry, seed: u8) -> Draft {
    let mut draft = registry.draft(seed);
    draft.value = 10_u128.pow(18);
    registry.register(&draft).unwrap();
    draft
}

fn anchor(registry: &mut Registry, from: u8, size: u64, instance: &Draft) -> Result<ExecutedBlock, Refused> {
    let root = B256::repeat_byte(size as u8);
    let call = ILog::anchorCall { size, root, instance: instance.instance_id().0.into() };
    registry.send(from, module(slots::LOG), call, 0)
}

#[test]
fn an_instance_anchors_its_own_growing_log() {
    let mut registry = Registry::new();
    let draft = register(&mut registry, INSTANCE);
    let id = draft.instance_id();
    anchor(&mut registry, INSTANCE, 1, &draft).unwrap();
    let block = anchor(&mut registry, INSTANCE, 5, &draft).unwrap();
    let entry: AnchorEntry = registry.entry(EntryKind::Anchor, &slots::anchor_id(&id, 1)).unwrap();
    let expected = AnchorEntry {
        instance_id: id,
        index: 1,
        size: 5,
        root: Digest([5; 32]),
        anchored_by: id,
        height: block.header.number,
        time_unix_s: block.header.timestamp,
    };
    assert_eq!(entry, expected);
    let log: LogEntry = registry.entry(EntryKind::Log, id.as_bytes()).unwrap();
    assert_eq!(log, LogEntry { anchors: 2, size: 5, root: Digest([5; 32]) });
    assert_refused(anchor(&mut registry, INSTANCE, 5, &draft), ModuleRefusal::LogSize);
    assert_refused(anchor(&mut registry, INSTANCE, 4, &draft), ModuleRefusal::LogSize);
    assert_refused(anchor(&mut registry, PROVIDER, 6, &draft), ModuleRefusal::NotLive);
    let call = ILog::anchorAtCall { instance: id.0.into(), index: 1 };
    let outcome = registry.view(module(slots::LOG), call);
    let bytes = ILog::anchorAtCall::abi_decode_returns(&outcome.output).unwrap();
    assert_eq!(bytes.as_ref(), freehold_primitives::Canonical::to_canonical(&expected));
}

#[test]
fn a_successor_adopts_the_log_of_the_dead_only() {
    let mut registry = Registry::new();
    let first = register(&mut registry, INSTANCE);
    let second = register(&mut registry, SUCCESSOR);
    assert_refused(anchor(&mut registry, SUCCESSOR, 3, &first), ModuleRefusal::LogForeign);
    registry.apps(PROVIDER, IApps::deregisterCall { instance: first.instance_id().0.into() }).unwrap();
    assert_refused(anchor(&mut registry, INSTANCE, 3, &first), ModuleRefusal::NotLive);
    anchor(&mut registry, SUCCESSOR, 3, &first).unwrap();
    let id = slots::anchor_id(&first.instance_id(), 0);
    let entry: AnchorEntry = registry.entry(EntryKind::Anchor, &id).unwrap();
    assert_eq!((entry.instance_id, entry.anchored_by), (first.instance_id(), second.instance_id()));
}

#[test]
fn a_log_of_nobody_is_refused() {
    let mut registry = Registry::new();
    register(&mut registry, INSTANCE);
    let unknown = registry.draft(SUCCESSOR);
    assert_refused(anchor(&mut registry, INSTANCE, 1, &unknown), ModuleRefusal::InstanceUnknown);
}
