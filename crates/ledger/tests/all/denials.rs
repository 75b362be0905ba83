//! Denial by the whole chain, its shadow, tiers, limits by platform, and what contracts learn of a caller.
#![allow(clippy::unwrap_used)]

use crate::common::{Fields, address, key};
use crate::registry::{
    Draft, IApps, IKeys, ILog, INSTANCE, OWNER, Refused, Registry, assert_refused, module, policy, shown,
};
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::{SolCall, SolEvent as _};
use freehold_crypto::{measurement_digest, slots};
use freehold_ledger::{
    ExecutedBlock, ExecutorRefusal, ModuleRefusal, Status, is_denied, read_executor, read_grant_ids, read_shadow,
};
use freehold_primitives::{
    AppId, Canonical as _, Digest, EvidencePolicy, ReleaseModel, TrustDomain,
    entries::{
        ClosedCode, DENIALS_MAX, DenyEntry, DenySubject, EntryKind, GovernorEntry, InstanceEntry, NamedSubject,
        TcbLevel, TierEntry,
    },
};

/// Who governs the chain of these tests.
const GOVERNOR: u8 = 7;
/// What a chain-wide denial is written under.
const CHAIN: [u8; 21] = [0; 21];

/// A registry whose chain is governed by an account that owns no app, and one instance that can pay.
fn governed() -> (Registry, Draft) {
    let mut registry = Registry::new();
    registry.apps(OWNER, IApps::setGovernorCall { newGovernor: address(&key(GOVERNOR)) }).unwrap();
    let mut draft = registry.draft(INSTANCE);
    draft.value = 10_u128.pow(18);
    registry.register(&draft).unwrap();
    (registry, draft)
}

fn deny(registry: &mut Registry, kind: DenySubject, subject: &[u8]) -> Result<ExecutedBlock, Refused> {
    let subject = Bytes::copy_from_slice(subject);
    registry.apps(GOVERNOR, IApps::denyCall { app: CHAIN.into(), kind: kind as u8, subject, reason: 2 })
}

fn lift(registry: &mut Registry, kind: DenySubject, subject: &[u8]) -> Result<ExecutedBlock, Refused> {
    registry.apps(GOVERNOR, IApps::liftCall { kind: kind as u8, subject: Bytes::copy_from_slice(subject) })
}

/// Every subject that names an instance, as a caller writes it: a TCB level with the level that the instance has.
fn subjects(instance: &InstanceEntry) -> Vec<(DenySubject, Vec<u8>)> {
    let level = instance.tcb_level.unwrap().to_subject();
    let whole = |(kind, key): (DenySubject, Vec<u8>)| match kind {
        DenySubject::TcbLevel => (kind, [key, level.clone()].concat()),
        _ => (kind, key),
    };
    instance.deny_subjects().into_iter().map(whole).collect()
}

fn view<C: SolCall>(registry: &Registry, call: C) -> C::Return {
    let outcome = registry.view(module(slots::APPS), call);
    assert_eq!(outcome.status, Status::Success);
    C::abi_decode_returns(&outcome.output).unwrap()
}

fn caller(registry: &Registry, seed: u8) -> IApps::Caller {
    view(registry, IApps::callerCall { account: address(&key(seed)) })
}

fn shadow(registry: &Registry, kind: DenySubject, subject: &[u8]) -> Vec<B256> {
    let (mut ids, mut cursor) = (Vec::new(), 0);
    loop {
        let subject = Bytes::copy_from_slice(subject);
        let page = view(registry, IApps::shadowCall { kind: kind as u8, subject, cursor });
        assert!(page.instances.len() <= 32);
        ids.extend(page.instances);
        if page.next == 0 {
            return ids;
        }
        cursor = page.next;
    }
}

#[test]
fn every_kind_of_denial_counts_at_once_and_closes_nothing() {
    let (registry, draft) = governed();
    let all = subjects(&registry.instance(&draft.instance_id()));
    let kinds: Vec<DenySubject> = all.iter().map(|(kind, _)| *kind).collect();
    assert!(DenySubject::ALL.iter().all(|kind| kinds.contains(kind)));
    for (kind, subject) in all {
        let (mut registry, draft) = governed();
        let id = draft.instance_id();
        let before = registry.instance(&id);
        assert!(registry.is_authorized(INSTANCE));

        let block = deny(&mut registry, kind, &subject).unwrap();
        let log = IApps::Denied::decode_log(&block.receipts[0].envelope.logs()[0]).unwrap();
        assert_eq!((log.app.0, log.kind, &log.subject[..]), (CHAIN, kind as u8, &subject[..]));
        assert!(!registry.is_authorized(INSTANCE), "{kind}");
        assert!(view(&registry, IApps::isDeniedCall { instance: id.0.into() }));
        assert!(is_denied(&AppId::CHAIN, &before, &registry.chain.state, &registry.chain.content).unwrap());
        assert_eq!(registry.instance(&id), before, "the entry says what its app did, and it did nothing");
        assert_eq!(caller(&registry, INSTANCE).app, [0; 21]);

        // What asks for a live instance finds none: keys, anchors, renewals, registrations.
        let request = IKeys::requestCall { context: "root".to_owned() };
        assert_refused(registry.send(INSTANCE, module(slots::KEYS), request, 0), ModuleRefusal::NotLive);
        let anchor = ILog::anchorCall { size: 1, root: B256::repeat_byte(1), instance: id.0.into() };
        assert_refused(registry.send(INSTANCE, module(slots::LOG), anchor, 0), ModuleRefusal::NotLive);
        let renewal = registry.renewal(&draft);
        assert_refused(registry.register(&renewal), ModuleRefusal::DeniedByChain);
        let other = registry.draft(0x22);
        match kind {
            DenySubject::Instance => drop(registry.register(&other).unwrap()),
            _ => assert_refused(registry.register(&other), ModuleRefusal::DeniedByChain),
        }

        // Lifted, it goes on, and the entry tells both heights.
        assert_refused(deny(&mut registry, kind, &subject), ModuleRefusal::AlreadyDenied);
        let lifted = lift(&mut registry, kind, &subject).unwrap().header.number;
        assert!(registry.is_authorized(INSTANCE), "{kind}");
        let renewal = registry.renewal(&draft);
        registry.register(&renewal).unwrap();
        assert_refused(lift(&mut registry, kind, &subject), ModuleRefusal::NotDenied);
        deny(&mut registry, kind, &subject).unwrap();
        assert!(!registry.is_authorized(INSTANCE));
        let named = NamedSubject::read(kind, &subject).unwrap();
        let entry: DenyEntry =
            registry.entry(EntryKind::Deny, &slots::deny_id(&AppId::CHAIN, kind, named.key())).unwrap();
        let heights: Vec<_> = entry.denials.iter().map(|denial| (denial.since, denial.lifted_at)).collect();
        assert_eq!(heights[0], (block.header.number, Some(lifted)));
        assert_eq!((heights.len(), heights[1].1), (2, None));
        let shown = view(&registry, IApps::deniedCall { id: CHAIN.into(), kind: kind as u8, subject: subject.into() });
        assert_eq!(shown.as_ref(), entry.to_canonical());
    }
}

#[test]
fn a_denial_counts_for_the_next_transaction_of_its_block() {
    let (mut registry, draft) = governed();
    let (kind, subject) = subjects(&registry.instance(&draft.instance_id())).remove(0);
    let sign = |registry: &Registry, from: u8, to: Address, data: Vec<u8>| {
        let key = key(from);
        let fields = Fields { to: Some(to), data: data.into(), nonce: registry.chain.nonce(&key), ..Fields::default() };
        registry.chain.sign_with(&key, fields)
    };
    let request = IKeys::requestCall { context: "root".to_owned() }.abi_encode();
    let denial = IApps::denyCall { app: CHAIN.into(), kind: kind as u8, subject: subject.into(), reason: 1 };
    let before = sign(&registry, INSTANCE, module(slots::KEYS), request.clone());
    let block = registry.chain.block(vec![before]);
    assert!(block.receipts[0].envelope.status());
    let transactions = vec![
        sign(&registry, GOVERNOR, module(slots::APPS), denial.abi_encode()),
        sign(&registry, INSTANCE, module(slots::KEYS), request),
    ];
    let block = registry.chain.block(transactions);
    assert!(block.receipts[0].envelope.status());
    let refusal = ModuleRefusal::from_revert(&block.receipts[1].output).unwrap().0;
    assert_eq!(refusal, ModuleRefusal::NotLive);
}

#[test]
fn a_level_denies_itself_and_lower_ones() {
    let (mut registry, draft) = governed();
    let instance = registry.instance(&draft.instance_id());
    let Some(TcbLevel::Dated(date)) = instance.tcb_level else { panic!("Intel's levels have dates") };
    assert_eq!(instance.tcb_level_lowest, instance.tcb_level);
    let (_, family) = instance.deny_subjects().remove(5);
    let at = |date: u64| [&family[..], &date.to_be_bytes()].concat();
    deny(&mut registry, DenySubject::TcbLevel, &at(date - 1)).unwrap();
    assert!(registry.is_authorized(INSTANCE), "a lower level is another one");
    deny(&mut registry, DenySubject::TcbLevel, &at(date + 1)).unwrap();
    assert!(!registry.is_authorized(INSTANCE), "below the level that is denied");
    lift(&mut registry, DenySubject::TcbLevel, &at(date + 1)).unwrap();
    assert!(registry.is_authorized(INSTANCE));
    assert_eq!(shadow(&registry, DenySubject::TcbLevel, &at(date)).len(), 1);
    assert_eq!(shadow(&registry, DenySubject::TcbLevel, &at(date - 1)).len(), 0);
}

#[test]
fn only_the_governor_decides_for_the_chain() {
    let mut registry = Registry::new();
    let first = |registry: &Registry| view(registry, IApps::governorCall {});
    assert_eq!(first(&registry), address(&key(1)), "the first account of the genesis");
    let entry: GovernorEntry = registry.entry(EntryKind::Governor, &slots::GOVERNOR_ID).unwrap();
    assert_eq!((entry.governor, entry.since), (key(1).account(), 0));
    let platform: Bytes = vec![3; 32].into();
    let denial = IApps::denyCall { app: CHAIN.into(), kind: 1, subject: platform.clone(), reason: 1 };
    let to = |seed: u8| IApps::setGovernorCall { newGovernor: address(&key(seed)) };
    let tier =
        IApps::setTierCall { tier: 4, name: "x".to_owned(), policy: EvidencePolicy::default().to_canonical().into() };
    for refused in [
        registry.apps(GOVERNOR, denial.clone()),
        registry.apps(GOVERNOR, IApps::liftCall { kind: 1, subject: platform.clone() }),
        registry.apps(GOVERNOR, to(GOVERNOR)),
        registry.apps(GOVERNOR, tier.clone()),
    ] {
        assert_refused(refused, ModuleRefusal::NotGovernor);
    }
    let nobody = IApps::setGovernorCall { newGovernor: Address::ZERO };
    assert_refused(registry.apps(1, nobody), ModuleRefusal::GovernorZero);
    let block = registry.apps(1, to(GOVERNOR)).unwrap();
    let log = IApps::GovernorChanged::decode_log(&block.receipts[0].envelope.logs()[0]).unwrap();
    assert_eq!((log.previousGovernor, log.newGovernor), (address(&key(1)), address(&key(GOVERNOR))));
    assert_refused(registry.apps(1, denial.clone()), ModuleRefusal::NotGovernor);
    assert_refused(registry.apps(GOVERNOR, IApps::liftCall { kind: 1, subject: platform }), ModuleRefusal::NotDenied);
    registry.apps(GOVERNOR, denial).unwrap();
    registry.apps(GOVERNOR, tier).unwrap();
    for subject in [vec![1, 1, 0, 0], vec![2, 3, 0, 0, 1], vec![1, 1, 0, 0, 1]] {
        assert_refused(deny(&mut registry, DenySubject::Generation, &subject), ModuleRefusal::Subject);
    }
}

#[test]
fn an_entry_holds_a_bounded_history() {
    let (mut registry, draft) = governed();
    let (kind, subject) = subjects(&registry.instance(&draft.instance_id())).remove(0);
    for _ in 0..DENIALS_MAX {
        deny(&mut registry, kind, &subject).unwrap();
        lift(&mut registry, kind, &subject).unwrap();
    }
    assert_refused(deny(&mut registry, kind, &subject), ModuleRefusal::DenialsFull);
}

#[test]
fn an_app_denies_generations_and_levels_too_and_closes() {
    for place in [4, 5] {
        let mut registry = Registry::new();
        let draft = registry.draft(INSTANCE);
        registry.register(&draft).unwrap();
        let (kind, subject) = subjects(&registry.instance(&draft.instance_id())).remove(place);
        registry.deny(kind as u8, &subject).unwrap();
        let entry = registry.instance(&draft.instance_id());
        assert_eq!(entry.closed_code, Some(ClosedCode::Denied), "{kind}");
        let next = registry.draft(0x22);
        assert_refused(registry.register(&next), ModuleRefusal::DeniedSubject);
        assert!(!view(&registry, IApps::isDeniedCall { instance: draft.instance_id().0.into() }), "the chain has not");
    }
}

#[test]
fn a_denial_costs_the_same_however_much_it_reaches() {
    let costs = [0_u8, 40].map(|count| {
        let mut registry = Registry::new();
        let draft = registry.draft(INSTANCE);
        registry.register(&draft).unwrap();
        for seed in 0x40..0x40 + count {
            let draft = registry.draft(seed);
            registry.register(&draft).unwrap();
        }
        registry.apps(OWNER, IApps::setGovernorCall { newGovernor: address(&key(GOVERNOR)) }).unwrap();
        let generation = registry.instance(&draft.instance_id()).deny_subjects().remove(4).1;
        let block = deny(&mut registry, DenySubject::Generation, &generation).unwrap();
        assert!((0x40..0x40 + count).all(|seed| !registry.is_authorized(seed)));
        (block.receipts[0].gas_used, shadow(&registry, DenySubject::Generation, &generation).len())
    });
    println!("a chain-wide denial costs {} gas", costs[0].0);
    assert_eq!((costs[0].1, costs[1].1), (1, 41));
    assert_eq!(costs[0].0, costs[1].0);
    assert!(costs[0].0 < 100_000);
}

#[test]
fn a_shadow_holds_whoever_stood_there_once() {
    let mut registry = Registry::new();
    let drafts: Vec<Draft> = (0x40..0x68)
        .map(|seed| {
            let draft = registry.draft(seed);
            registry.register(&draft).unwrap();
            draft
        })
        .collect();
    let ids: Vec<B256> = drafts.iter().map(|draft| draft.instance_id().0.into()).collect();
    // A renewal adds nothing, and a closed instance stays.
    let renewal = registry.renewal(&drafts[0]);
    registry.register(&renewal).unwrap();
    let revoke = IApps::revokeCall { app: registry.app.as_bytes().into(), instance: ids[1], reason: 1 };
    registry.apps(OWNER, revoke).unwrap();
    let first = registry.instance(&drafts[0].instance_id());
    for (kind, subject) in subjects(&first) {
        let found = shadow(&registry, kind, &subject);
        let expected = if kind == DenySubject::Instance { &ids[..1] } else { &ids[..] };
        assert_eq!(found, expected, "{kind}");
        // Whoever reads the state finds the same.
        let named = NamedSubject::read(kind, &subject).unwrap();
        let (mut read, mut cursor) = (Vec::new(), Some(0));
        while let Some(at) = cursor {
            let page = read_shadow(&named, at, &registry.chain.state, &registry.chain.content).unwrap();
            read.extend(page.instances.iter().map(|instance| B256::from(instance.instance_id.0)));
            cursor = page.next;
        }
        assert_eq!(read, expected, "{kind}");
        assert_eq!(read_shadow(&named, u64::MAX, &registry.chain.state, &registry.chain.content).unwrap().next, None);
    }
    assert!(shadow(&registry, DenySubject::Platform, &[9; 32]).is_empty());
    assert!(shadow(&registry, DenySubject::Instance, &[9; 32]).is_empty());
    let grants = read_grant_ids(&drafts[0].instance_id(), &registry.chain.state, &registry.chain.content).unwrap();
    assert_eq!(grants, [slots::grant_id(&drafts[0].instance_id(), "root", 0)]);
    assert!(read_grant_ids(&Digest::ZERO, &registry.chain.state, &registry.chain.content).unwrap().is_empty());
}

#[test]
fn a_platform_has_as_many_instances_as_the_policy_allows() {
    let mut limited = policy();
    limited.instances_per_platform_max = 2;
    let mut registry = Registry::with(limited.clone());
    let drafts: Vec<Draft> = [0x41, 0x42]
        .into_iter()
        .map(|seed| {
            let draft = registry.draft(seed);
            registry.register(&draft).unwrap();
            draft
        })
        .collect();
    let third = registry.draft(0x43);
    assert_refused(registry.register(&third), ModuleRefusal::PlatformFull);
    let renewal = registry.renewal(&drafts[1]);
    registry.register(&renewal).unwrap();
    // A lower limit lets the oldest go on; who came later ends with its lease.
    limited.instances_per_platform_max = 1;
    registry.update(&limited).unwrap();
    assert!(registry.is_authorized(0x42));
    let renewal = registry.renewal(&drafts[1]);
    assert_refused(registry.register(&renewal), ModuleRefusal::PlatformFull);
    let renewal = registry.renewal(&drafts[0]);
    registry.register(&renewal).unwrap();
    // One that is closed makes room.
    for draft in &drafts {
        let instance = draft.instance_id().0.into();
        registry.apps(crate::registry::PROVIDER, IApps::deregisterCall { instance }).unwrap();
    }
    let third = registry.draft(0x43);
    registry.register(&third).unwrap();
}

#[test]
fn the_entry_records_the_highest_tier() {
    let (mut registry, draft) = governed();
    let id = draft.instance_id();
    let names: Vec<String> = (1..=4).map(|number| view(&registry, IApps::tierCall { number }).name).collect();
    assert_eq!(names, ["verified", "hardware", "hardware-strict", ""]);
    assert_eq!(registry.instance(&id).tier, 1, "emulated evidence verifies, and is no hardware");
    let tier: TierEntry = registry.entry(EntryKind::Tier, &slots::tier_id(2)).unwrap();
    assert!(!tier.policy.trust_domains.contains(&TrustDomain::Emulated));

    // A tier that names the measurement, and one that asks for a number of evaluation that nobody has.
    let set = |tier: u8, policy: &EvidencePolicy| IApps::setTierCall {
        tier,
        name: "ours".to_owned(),
        policy: policy.to_canonical().into(),
    };
    let block = registry.apps(GOVERNOR, set(5, &policy().evidence)).unwrap();
    let log = IApps::TierSet::decode_log(&block.receipts[0].envelope.logs()[0]).unwrap();
    assert_eq!((log.tier, log.name.as_str()), (5, "ours"));
    let renewal = registry.renewal(&draft);
    registry.register(&renewal).unwrap();
    assert_eq!(registry.instance(&id).tier, 5);
    assert_eq!(caller(&registry, INSTANCE).tier, 5);
    let mut strict = policy().evidence;
    strict.dcap_mut().for_each(|platform| platform.tcb_evaluation_data_number_min = 1_000);
    for tier in [1, 5] {
        registry.apps(GOVERNOR, set(tier, &strict)).unwrap();
    }
    let tier: TierEntry = registry.entry(EntryKind::Tier, &slots::tier_id(5)).unwrap();
    assert_eq!((tier.version, tier.name.as_str(), &tier.policy), (1, "ours", &strict));
    assert_eq!(registry.instance(&id).tier, 5, "it counts from the next evidence on");
    let renewal = registry.renewal(&draft);
    registry.register(&renewal).unwrap();
    assert_eq!(registry.instance(&id).tier, 0);

    for (tier, name) in [(0, "ours"), (9, "ours"), (1, ""), (1, "two words"), (1, &*"x".repeat(33))] {
        let call = IApps::setTierCall { tier, name: name.to_owned(), policy: strict.to_canonical().into() };
        assert_refused(registry.apps(GOVERNOR, call), ModuleRefusal::Tier);
    }
    for policy in [vec![], vec![2], vec![0; 5_000]] {
        let call = IApps::setTierCall { tier: 1, name: "ours".to_owned(), policy: policy.into() };
        assert_refused(registry.apps(GOVERNOR, call), ModuleRefusal::Policy);
    }
}

#[test]
fn contracts_learn_who_calls() {
    let model = Digest([0x33; 32]);
    let release = ReleaseModel { measurement: measurement_digest(&shown()), model };
    let mut named = policy();
    named.models = vec![ReleaseModel { measurement: Digest([1; 32]), model: Digest([2; 32]) }, release];
    let mut registry = Registry::with(named.clone());
    assert_eq!(caller(&registry, INSTANCE).instance, B256::ZERO);
    let draft = registry.draft(INSTANCE);
    let block = registry.register(&draft).unwrap();
    println!("a registration costs {} gas", block.receipts[0].gas_used);
    let entry = registry.instance(&draft.instance_id());
    let call = IApps::callerCall { account: address(&key(INSTANCE)) };
    // Beside the 21,000 of a transaction.
    let gas = registry.view(module(slots::APPS), call).gas_used - 21_000;
    println!("caller costs {gas} gas");
    assert!(gas < 30_000);
    let found = caller(&registry, INSTANCE);
    assert_eq!((found.app.0, found.instance.0), (*registry.app.as_bytes(), draft.instance_id().0));
    assert_eq!(found.measurement.0, measurement_digest(&shown()).0);
    assert_eq!(found.launch, alloy_primitives::keccak256(shown().launched()));
    assert_eq!((found.model.0, found.provider), (model.0, address(&key(crate::registry::PROVIDER))));
    assert_eq!((found.tier, found.trustDomain, found.evidenceKind), (1, TrustDomain::Emulated as u8, 1));
    assert_eq!((found.openedAt, found.expiresAt), (entry.opened_at, entry.expires_at));
    named.models = vec![ReleaseModel { measurement: Digest::ZERO, model }; 65];
    assert_refused(registry.update(&named), ModuleRefusal::Policy);
    named.models.clear();
    registry.update(&named).unwrap();
    assert_eq!(caller(&registry, INSTANCE).model, B256::ZERO);
    registry.apps(OWNER, IApps::closeCall { app: registry.app.as_bytes().into() }).unwrap();
    assert_eq!(caller(&registry, INSTANCE).instance, B256::ZERO);
}

/// Who may hold state root keys and sign answers: each way of being no executor, and no two of them alike.
#[test]
fn only_a_live_and_undenied_instance_of_the_named_app_is_an_executor() {
    let (mut registry, draft) = governed();
    let id = draft.instance_id();
    let entry = registry.instance(&id);
    let standing = |registry: &Registry, app: Option<&AppId>, id: &Digest, now_s: u64| {
        read_executor((app, id), now_s, &registry.chain.state, &registry.chain.content).unwrap()
    };
    let (app, now_s) = (entry.app_id, entry.judged_at_unix_s);
    assert_eq!(standing(&registry, Some(&app), &id, now_s), Ok(entry.clone()));
    assert_eq!(standing(&registry, None, &id, now_s), Err(ExecutorRefusal::NoApp));
    assert_eq!(standing(&registry, Some(&app), &Digest([9; 32]), now_s), Err(ExecutorRefusal::Unknown));
    assert_eq!(standing(&registry, Some(&AppId::new([9; 20])), &id, now_s), Err(ExecutorRefusal::OtherApp));
    assert_eq!(standing(&registry, Some(&app), &id, entry.expires_at), Err(ExecutorRefusal::Expired));
    assert!(standing(&registry, Some(&app), &id, entry.expires_at - 1).is_ok());

    let (kind, subject) = subjects(&entry).remove(0);
    deny(&mut registry, kind, &subject).unwrap();
    assert_eq!(standing(&registry, Some(&app), &id, now_s), Err(ExecutorRefusal::Denied));
    lift(&mut registry, kind, &subject).unwrap();
    assert_eq!(standing(&registry, Some(&app), &id, now_s), Ok(entry));

    registry
        .apps(OWNER, IApps::revokeCall { app: (*app.as_bytes()).into(), instance: id.0.into(), reason: 1 })
        .unwrap();
    assert_eq!(standing(&registry, Some(&app), &id, now_s), Err(ExecutorRefusal::Closed));
}
