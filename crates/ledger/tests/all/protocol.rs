//! Versions of the protocol: announced with notice by who governs, in force from a height, and never passed over.
#![allow(clippy::unwrap_used)]

use crate::registry::{IApps, OWNER, PROVIDER, Refused, Registry, assert_refused, module};
use alloy_sol_types::{SolCall as _, SolEvent as _};
use freehold_crypto::slots;
use freehold_ledger::{ExecutedBlock, LedgerError, ModuleRefusal, PROTOCOL_NEWEST, StateTree as _, read_protocol};
use freehold_primitives::{Digest, entries::ProtocolSchedule};

const RELEASE: &str = "freehold-0.2.0";

fn announce(
    registry: &mut Registry,
    caller: u8,
    (version, notice): (u32, u64),
    release: &str,
) -> Result<ExecutedBlock, Refused> {
    // The call stands in the next block.
    let from_height = registry.chain.tip().number + 1 + notice;
    let call = IApps::scheduleProtocolCall { version, fromHeight: from_height, release: release.to_owned() };
    registry.apps(caller, call)
}

fn schedule(registry: &Registry) -> ProtocolSchedule {
    read_protocol(&registry.chain.state, &registry.chain.content).unwrap()
}

#[test]
fn a_version_is_announced_with_notice_by_who_governs() {
    let mut registry = Registry::new();
    assert_eq!(schedule(&registry), ProtocolSchedule::FIRST);
    assert_refused(announce(&mut registry, PROVIDER, (2, 10), RELEASE), ModuleRefusal::NotGovernor);
    assert_refused(announce(&mut registry, OWNER, (1, 10), RELEASE), ModuleRefusal::ProtocolOld);
    assert_refused(announce(&mut registry, OWNER, (0, 10), RELEASE), ModuleRefusal::ProtocolOld);
    assert_refused(announce(&mut registry, OWNER, (2, 9), RELEASE), ModuleRefusal::ProtocolNotice);
    for release in ["", "a b", "näme", &"x".repeat(65)] {
        assert_refused(announce(&mut registry, OWNER, (2, 10), release), ModuleRefusal::ProtocolRelease);
    }
    assert_eq!(schedule(&registry), ProtocolSchedule::FIRST);
    let block = announce(&mut registry, OWNER, (2, 10), RELEASE).unwrap();
    let next_from = block.header.number + 10;
    let expected = ProtocolSchedule { current: 1, next: 2, next_from, release: RELEASE.to_owned() };
    assert_eq!(schedule(&registry), expected);
    let event = IApps::ProtocolScheduled::decode_log(&block.receipts[0].envelope.logs()[0]).unwrap();
    assert_eq!((event.version, event.fromHeight, event.release.as_str()), (2, next_from, RELEASE));
    let shown = registry.view(module(slots::APPS), IApps::protocolCall {});
    let shown = IApps::protocolCall::abi_decode_returns(&shown.output).unwrap();
    assert_eq!((shown.current, shown.next, shown.fromHeight, shown.release.as_str()), (1, 2, next_from, RELEASE));
    // What is not in force yet can be announced again, later or otherwise.
    let block = announce(&mut registry, OWNER, (3, 20), "freehold-0.3.0").unwrap();
    let next_from = block.header.number + 20;
    let expected = ProtocolSchedule { current: 1, next: 3, next_from, release: "freehold-0.3.0".to_owned() };
    assert_eq!(schedule(&registry), expected);
}

#[test]
fn an_older_program_stops_before_the_height_and_a_newer_one_goes_on_from_there() {
    let mut registry = Registry::new();
    let next = PROTOCOL_NEWEST + 1;
    let from = announce(&mut registry, OWNER, (next, 10), RELEASE).unwrap().header.number + 10;
    while registry.chain.tip().number + 1 < from {
        registry.chain.block(vec![]);
    }
    let leaves = |registry: &Registry| registry.chain.state.leaves(&Digest::ZERO, 10_000).unwrap();
    let (tip, before) = (registry.chain.tip().clone(), leaves(&registry));
    for _ in 0..2 {
        let refused = registry.chain.try_block(vec![]).unwrap_err();
        assert!(
            matches!(&refused, LedgerError::ProtocolUnknown { height, version, release }
                if *height == from && *version == next && release == RELEASE),
            "{refused}"
        );
        assert!(refused.to_string().contains("install release freehold-0.2.0"), "{refused}");
    }
    assert_eq!((registry.chain.tip(), leaves(&registry)), (&tip, before));
    // The newer program, over the same stores.
    registry.chain.ctx = registry.chain.ctx.clone().knowing(next);
    assert_eq!(registry.chain.block(vec![]).header.number, from);
    // It is in force: nothing below it can be announced.
    assert_refused(announce(&mut registry, OWNER, (next, 10), RELEASE), ModuleRefusal::ProtocolOld);
    assert_eq!(schedule(&registry).at(from), next);
}
