//! Leases and counters: one writer at a time, a fence that rises, numbers that never fall.
#![allow(clippy::unwrap_used)]

use crate::common::{address, key};
use crate::registry::{Draft, IApps, ILog, INSTANCE, OWNER, PROVIDER, Refused, Registry, assert_refused, module};
use alloy_primitives::B256;
use alloy_sol_types::SolCall as _;
use freehold_crypto::slots;
use freehold_ledger::{ExecutedBlock, ModuleRefusal};
use freehold_primitives::{
    Canonical as _, Digest,
    entries::{
        COUNTERS_MAX, CounterValue, CountersEntry, EntryKind, LEASE_FENCE_CODE, LEASE_HELD_CODE, LeaseEntry,
        NOT_LIVE_CODE,
    },
};

/// Account of another instance of the same app.
const OTHER: u8 = 0x22;
const NAME: &str = "writer";

fn register(registry: &mut Registry, seed: u8) -> Draft {
    let mut draft = registry.draft(seed);
    draft.value = 10_u128.pow(18);
    registry.register(&draft).unwrap();
    draft
}

fn acquire(registry: &mut Registry, from: u8, length_s: u64) -> Result<u64, Refused> {
    let call = IApps::acquireLeaseCall { name: NAME.to_owned(), lengthS: length_s };
    registry.apps(from, call).map(|_| lease(registry).fence)
}

fn lease(registry: &Registry) -> LeaseEntry {
    registry.entry(EntryKind::Lease, &slots::lease_id(&registry.app, NAME)).unwrap()
}

fn counters(registry: &Registry) -> CountersEntry {
    registry.entry(EntryKind::Counters, &slots::lease_id(&registry.app, NAME)).unwrap()
}

fn holder(registry: &Registry) -> IApps::LeaseHolder {
    let call = IApps::leaseHolderCall { id: registry.app.as_bytes().into(), name: NAME.to_owned() };
    let outcome = registry.view(module(slots::APPS), call);
    IApps::leaseHolderCall::abi_decode_returns(&outcome.output).unwrap()
}

fn release(registry: &mut Registry, from: u8, fence: u64) -> Result<ExecutedBlock, Refused> {
    registry.apps(from, IApps::releaseLeaseCall { name: NAME.to_owned(), fence })
}

/// Raises counters under (fence, previous).
fn raise(
    registry: &mut Registry,
    from: u8,
    (fence, previous): (u64, u64),
    raises: &[(&str, u64)],
) -> Result<ExecutedBlock, Refused> {
    let raises = raises.iter().map(|(name, value)| ILog::Raise { name: (*name).to_owned(), value: *value }).collect();
    let batch = B256::repeat_byte(previous as u8 + 1);
    let call = ILog::raiseCountersCall { lease: NAME.to_owned(), fence, previous, batch, raises };
    registry.send(from, module(slots::LOG), call, 0)
}

#[test]
fn one_instance_holds_a_lease_and_each_taking_raises_its_fence() {
    let mut registry = Registry::new();
    let first = register(&mut registry, INSTANCE);
    let second = register(&mut registry, OTHER);
    assert_eq!((holder(&registry).fence, holder(&registry).instance), (0, B256::ZERO));
    assert_eq!(acquire(&mut registry, INSTANCE, 60).unwrap(), 1);
    let taken = lease(&registry);
    assert_eq!((taken.instance_id, taken.account), (first.instance_id(), key(INSTANCE).account()));
    assert_eq!(holder(&registry).account, address(&key(INSTANCE)));
    assert_refused(acquire(&mut registry, OTHER, 60), ModuleRefusal::LeaseHeld);
    // A renewal keeps the fence and moves the end; a shorter one takes nothing away.
    assert_eq!(acquire(&mut registry, INSTANCE, 90).unwrap(), 1);
    let renewed = lease(&registry);
    assert!(renewed.expires_at > taken.expires_at && renewed.renewed_at > taken.renewed_at);
    assert_eq!(renewed.taken_at, taken.taken_at);
    acquire(&mut registry, INSTANCE, 10).unwrap();
    assert_eq!(lease(&registry).expires_at, renewed.expires_at);
    // Only the holder lets go, under its own fence.
    assert_refused(release(&mut registry, OTHER, 1), ModuleRefusal::LeaseFence);
    assert_refused(release(&mut registry, INSTANCE, 2), ModuleRefusal::LeaseFence);
    release(&mut registry, INSTANCE, 1).unwrap();
    assert_eq!((holder(&registry).fence, holder(&registry).account.is_zero()), (1, true));
    assert_refused(release(&mut registry, INSTANCE, 1), ModuleRefusal::LeaseFence);
    assert_eq!(acquire(&mut registry, OTHER, 60).unwrap(), 2);
    assert_eq!(lease(&registry).instance_id, second.instance_id());
}

#[test]
fn a_lease_ends_by_time_and_with_its_holder() {
    let mut registry = Registry::new();
    let first = register(&mut registry, INSTANCE);
    register(&mut registry, OTHER);
    acquire(&mut registry, INSTANCE, 10).unwrap();
    registry.chain.time_ms += 20_000;
    registry.chain.block(Vec::new());
    assert_eq!(acquire(&mut registry, OTHER, 60).unwrap(), 2);
    registry.chain.time_ms += 70_000;
    registry.chain.block(Vec::new());
    // Even the same instance takes it anew after a gap.
    assert_eq!(acquire(&mut registry, OTHER, 10).unwrap(), 3);
    registry.chain.time_ms += 20_000;
    registry.chain.block(Vec::new());
    // Never past the holder's own lease (300 s here), and not past its life.
    assert_eq!(acquire(&mut registry, INSTANCE, 3_600).unwrap(), 4);
    assert_eq!(lease(&registry).expires_at, registry.instance(&first.instance_id()).expires_at);
    registry.apps(PROVIDER, IApps::deregisterCall { instance: first.instance_id().0.into() }).unwrap();
    assert_refused(release(&mut registry, INSTANCE, 4), ModuleRefusal::NotLive);
    assert!(holder(&registry).account.is_zero());
    assert_eq!(acquire(&mut registry, OTHER, 60).unwrap(), 5);
    // A denial by the app closes the holder at once.
    let id = lease(&registry).instance_id;
    registry.deny(4, id.as_bytes()).unwrap();
    assert!(holder(&registry).account.is_zero());
    assert_eq!(holder(&registry).fence, 5);
}

#[test]
fn codes_that_guests_read_are_the_ledgers() {
    let codes = [ModuleRefusal::LeaseHeld, ModuleRefusal::LeaseFence, ModuleRefusal::NotLive].map(ModuleRefusal::code);
    assert_eq!(codes, [LEASE_HELD_CODE, LEASE_FENCE_CODE, NOT_LIVE_CODE]);
}

#[test]
fn names_lengths_and_strangers_are_refused() {
    let mut registry = Registry::new();
    register(&mut registry, INSTANCE);
    let long = "x".repeat(65);
    for name in ["", "a b", "a/b", "ü", &long] {
        let call = IApps::acquireLeaseCall { name: name.to_owned(), lengthS: 60 };
        assert_refused(registry.apps(INSTANCE, call), ModuleRefusal::LeaseName);
    }
    for length in [0, 9, 3_601, u64::MAX] {
        assert_refused(acquire(&mut registry, INSTANCE, length), ModuleRefusal::LeaseLength);
    }
    assert_refused(acquire(&mut registry, OWNER, 60), ModuleRefusal::NotLive);
    assert_refused(raise(&mut registry, INSTANCE, (0, 0), &[("a", 1)]), ModuleRefusal::LeaseFence);
}

#[test]
fn counters_rise_in_batches_under_the_newest_fence() {
    let mut registry = Registry::new();
    let first = register(&mut registry, INSTANCE);
    register(&mut registry, OTHER);
    acquire(&mut registry, INSTANCE, 60).unwrap();
    let block = raise(&mut registry, INSTANCE, (1, 0), &[("b", 7), ("a", 1)]).unwrap();
    let expected = CountersEntry {
        app_id: registry.app,
        lease: NAME.to_owned(),
        sequence: 1,
        fence: 1,
        instance_id: first.instance_id(),
        batch: Digest([1; 32]),
        values: [("a", 1), ("b", 7)].map(|(name, value)| CounterValue { name: name.to_owned(), value }).to_vec(),
        height: block.header.number,
        time_unix_s: block.header.timestamp,
    };
    assert_eq!(counters(&registry), expected);
    let app: alloy_primitives::FixedBytes<21> = registry.app.as_bytes().into();
    let view = registry.view(module(slots::LOG), ILog::countersCall { app, lease: NAME.to_owned() });
    assert_eq!(ILog::countersCall::abi_decode_returns(&view.output).unwrap().as_ref(), expected.to_canonical());
    let value = |registry: &Registry, name: &str| {
        let call = ILog::counterCall { app, lease: NAME.to_owned(), name: name.to_owned() };
        ILog::counterCall::abi_decode_returns(&registry.view(module(slots::LOG), call).output).unwrap()
    };
    assert_eq!((value(&registry, "a"), value(&registry, "b"), value(&registry, "c")), (1, 7, 0));

    // Nothing falls, stands still, or is written twice.
    assert_refused(raise(&mut registry, INSTANCE, (1, 1), &[("b", 7)]), ModuleRefusal::CounterFalls);
    assert_refused(raise(&mut registry, INSTANCE, (1, 1), &[("a", 2), ("b", 6)]), ModuleRefusal::CounterFalls);
    assert_refused(raise(&mut registry, INSTANCE, (1, 1), &[("c", 0)]), ModuleRefusal::CounterFalls);
    assert_refused(raise(&mut registry, INSTANCE, (1, 0), &[("a", 2)]), ModuleRefusal::CountersSequence);
    assert_refused(raise(&mut registry, INSTANCE, (1, 2), &[("a", 2)]), ModuleRefusal::CountersSequence);
    assert_eq!(counters(&registry), expected);

    // The next holder goes on from there; the one before is fenced.
    release(&mut registry, INSTANCE, 1).unwrap();
    acquire(&mut registry, OTHER, 60).unwrap();
    assert_refused(raise(&mut registry, INSTANCE, (1, 1), &[("a", 2)]), ModuleRefusal::LeaseFence);
    assert_refused(raise(&mut registry, INSTANCE, (2, 1), &[("a", 2)]), ModuleRefusal::LeaseFence);
    raise(&mut registry, OTHER, (2, 1), &[("a", 2)]).unwrap();
    assert_eq!((counters(&registry).sequence, counters(&registry).fence, counters(&registry).value("a")), (2, 2, 2));
}

#[test]
fn counters_are_bounded_in_number_and_name() {
    let mut registry = Registry::new();
    register(&mut registry, INSTANCE);
    acquire(&mut registry, INSTANCE, 300).unwrap();
    let names: Vec<String> = (0..=COUNTERS_MAX).map(|index| format!("counter-{index:02}")).collect();
    let all: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    assert_refused(raise(&mut registry, INSTANCE, (1, 0), &all), ModuleRefusal::CountersBounds);
    assert_refused(raise(&mut registry, INSTANCE, (1, 0), &[]), ModuleRefusal::CountersBounds);
    assert_refused(raise(&mut registry, INSTANCE, (1, 0), &[("a b", 1)]), ModuleRefusal::CounterName);
    let block = raise(&mut registry, INSTANCE, (1, 0), &all[..COUNTERS_MAX]).unwrap();
    println!("gas of a batch of {COUNTERS_MAX} new counters: {}", block.header.gas_used);
    assert_refused(raise(&mut registry, INSTANCE, (1, 1), &all[COUNTERS_MAX..]), ModuleRefusal::CountersBounds);
    let block = raise(&mut registry, INSTANCE, (1, 1), &[("counter-05", 9)]).unwrap();
    println!("gas of raising one of {COUNTERS_MAX}: {}", block.header.gas_used);
}

#[test]
fn a_batch_of_one_counter_costs_little() {
    let mut registry = Registry::new();
    register(&mut registry, INSTANCE);
    acquire(&mut registry, INSTANCE, 300).unwrap();
    let first = raise(&mut registry, INSTANCE, (1, 0), &[("commits", 1)]).unwrap().header.gas_used;
    let next = raise(&mut registry, INSTANCE, (1, 1), &[("commits", 257)]).unwrap().header.gas_used;
    println!("gas of the first batch of one counter: {first}; of every later one, however much it raises: {next}");
    assert!(next < first && next < 90_000, "{first} {next}");
}
