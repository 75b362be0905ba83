//! The registry seen from outside: an app's life, an instance's life, keys, and the machine's rules.
#![allow(clippy::unwrap_used)]

use crate::common::{address, key};
use crate::registry::{
    Draft, IApps, ICollateral, IKeys, INSTANCE, OWNER, PROVIDER, Registry, assert_refused, collateral_key, module,
    other_register, policy, registers, shown,
};
use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::{SolCall as _, SolEvent as _};
use freehold_crypto::{content_digest, slots};
use freehold_ledger::{ModuleRefusal, Status};
use freehold_primitives::{
    AppPolicy, Canonical as _, PlatformFamily, TcbStatus, TdxPolicy, TrustDomain,
    entries::{AccountEntry, AppEntry, ClosedCode, DenySubject, EntryKind, GrantEntry, UsedEvidenceEntry},
};

fn app_of(registry: &Registry) -> AppEntry {
    registry.entry(EntryKind::App, registry.app.as_bytes()).unwrap()
}

#[test]
fn app_is_created_changed_handed_over_and_closed() {
    let mut registry = Registry::new();
    let app = app_of(&registry);
    assert_eq!((app.version, app.owner, app.policy), (0, key(OWNER).account(), policy()));
    let id = registry.app.as_bytes().into();

    let mut stricter = policy();
    stricter.lease_s_max = 100;
    registry.update(&stricter).unwrap();
    assert_eq!(app_of(&registry).policy.lease_s_max, 100);
    let first: AppEntry = registry.entry(EntryKind::AppVersion, &slots::app_version_id(&registry.app, 0)).unwrap();
    assert_eq!(first.policy, policy(), "every version stays provable");

    let policy_bytes: Bytes = policy().to_canonical().into();
    let update = IApps::updateCall { app: id, policy: policy_bytes.clone() };
    assert_refused(registry.apps(5, update.clone()), ModuleRefusal::NotOwner);
    let new_owner = address(&key(5));
    registry.apps(OWNER, IApps::setOwnerCall { app: id, newOwner: new_owner }).unwrap();
    assert_refused(registry.apps(OWNER, update.clone()), ModuleRefusal::NotOwner);
    registry.apps(5, update.clone()).unwrap();
    let block = registry.apps(5, IApps::closeCall { app: id }).unwrap();
    assert_refused(registry.apps(5, update), ModuleRefusal::AppClosed);
    assert_eq!(app_of(&registry).closed_at, Some(block.header.number));
    let unknown = IApps::closeCall { app: [0; 21].into() };
    assert_refused(registry.apps(5, unknown), ModuleRefusal::AppUnknown);
    assert_refused(registry.apps(5, IApps::createCall { scheme: 2, policy: policy_bytes }), ModuleRefusal::Scheme);
}

#[test]
fn app_ids_follow_both_schemes() {
    let mut registry = Registry::new();
    let policy_bytes: Bytes = policy().to_canonical().into();
    let create = IApps::createCall { scheme: 0, policy: policy_bytes };
    let block = registry.apps(4, create.clone()).unwrap();
    let id = freehold_crypto::app_id_from_creator_round_index(&key(4).account(), block.header.number, 0);
    let app: AppEntry = registry.entry(EntryKind::App, id.as_bytes()).unwrap();
    assert_eq!(app.owner, key(4).account());
    let log = IApps::AppCreated::decode_log(&block.receipts[0].envelope.logs()[0]).unwrap();
    assert_eq!((log.address, log.app.0), (module(slots::APPS), *id.as_bytes()));
    // A call outside of a block names the id that the transaction will make.
    let create = IApps::createCall { scheme: 1, ..create };
    let outcome = registry.chain.call(address(&key(4)), module(slots::APPS), create.abi_encode());
    let predicted = IApps::createCall::abi_decode_returns(&outcome.output).unwrap();
    let nonce = registry.chain.nonce(&key(4));
    assert_eq!(predicted.0, *freehold_crypto::app_id_from_creator_nonce(&key(4).account(), nonce).as_bytes());
}

#[test]
fn policies_are_bounded() {
    let mut registry = Registry::new();
    let mut refuse = |change: &dyn Fn(&mut freehold_primitives::AppPolicy)| {
        let mut policy = policy();
        change(&mut policy);
        assert_refused(registry.update(&policy), ModuleRefusal::Policy);
    };
    refuse(&|policy| policy.evidence.families_denied = vec![PlatformFamily([0; 6]); 65]);
    refuse(&|policy| tdx(policy).measurements = vec![registers(); 65]);
    refuse(&|policy| policy.boot_contexts = vec!["a b".to_owned()]);
    refuse(&|policy| policy.boot_contexts = vec![String::new()]);
    refuse(&|policy| policy.boot_contexts = vec!["root".to_owned(); 2]);
    refuse(&|policy| policy.boot_contexts = (0..9).map(|i| format!("c{i}")).collect());
    refuse(&|policy| tdx(policy).platform.advisories_denied = vec!["x".repeat(17_000)]);
    let update = IApps::updateCall { app: registry.app.as_bytes().into(), policy: vec![2].into() };
    assert_refused(registry.apps(OWNER, update), ModuleRefusal::Policy);
}

#[test]
fn instance_is_registered_with_everything_that_follows() {
    let mut registry = Registry::new();
    let mut draft = registry.draft(INSTANCE);
    draft.value = 5_000;
    let block = registry.register(&draft).unwrap();
    let id = draft.instance_id();
    let entry = registry.instance(&id);
    let now = registry.chain.tip().timestamp - 1;
    assert_eq!((entry.expires_at, entry.judged_at_unix_s), (now + 300, now));
    assert_eq!((entry.opened_at, entry.renewed_at, entry.closed_at), (block.header.number, block.header.number, None));
    assert_eq!((entry.trust_domain, entry.tcb_status), (TrustDomain::Emulated, Some(TcbStatus::UpToDate)));
    assert_eq!(entry.measurement, shown());
    assert_eq!(registry.chain.content[&entry.evidence_digest], draft.evidence);
    assert!(registry.chain.content.contains_key(&entry.collateral_digests[0]));
    assert_eq!(registry.chain.balance(&address(&key(INSTANCE))), U256::from(5_000));
    let account: AccountEntry = registry.entry(EntryKind::Account, key(INSTANCE).account().as_bytes()).unwrap();
    assert_eq!(account.instance_id, id);
    let signed_part = freehold_crypto::sha256(&draft.evidence[..632]);
    let used: UsedEvidenceEntry = registry.entry(EntryKind::UsedEvidence, signed_part.as_bytes()).unwrap();
    assert_eq!((used.instance_id, used.verifier), (id, 1));
    let grant_id = slots::grant_id(&id, "root", 0);
    let grant: GrantEntry = registry.entry(EntryKind::Grant, grant_id.as_bytes()).unwrap();
    assert_eq!((grant.until, grant.transport_key), (entry.expires_at, entry.transport_key));
    let logs = block.receipts[0].envelope.logs();
    let registered = IApps::InstanceRegistered::decode_log(&logs[0]).unwrap();
    assert_eq!((registered.instance.0, registered.entry.0), (id.0, content_digest(&entry.to_canonical()).0));
    let granted = IKeys::Granted::decode_log(&logs[1]).unwrap();
    assert_eq!((granted.address, granted.grant.0), (module(slots::KEYS), grant_id.0));
    assert!(registry.is_authorized(INSTANCE));
    assert!(!registry.is_authorized(PROVIDER));
    let gas = block.receipts[0].gas_used;
    assert!((300_000..1_500_000).contains(&gas), "a registration costs {gas} gas");
}

#[test]
fn views_answer_with_entries() {
    let mut registry = Registry::new();
    let draft = registry.draft(INSTANCE);
    registry.register(&draft).unwrap();
    let id = draft.instance_id();
    let apps = module(slots::APPS);
    let outcome = registry.view(apps, IApps::instanceCall { id: id.0.into() });
    let bytes = IApps::instanceCall::abi_decode_returns(&outcome.output).unwrap();
    assert_eq!(bytes.as_ref(), registry.instance(&id).to_canonical());
    let outcome = registry.view(apps, IApps::instancesCall { id: registry.app.as_bytes().into(), cursor: 0 });
    let page = IApps::instancesCall::abi_decode_returns(&outcome.output).unwrap();
    assert_eq!((page.ids, page.next), (vec![B256::from(id.0)], 0));
    let outcome = registry.view(apps, IApps::appCall { id: [0; 21].into() });
    assert_eq!(ModuleRefusal::from_revert(&outcome.output).unwrap().0, ModuleRefusal::AppUnknown);
    let outcome = registry.view(module(slots::KEYS), IKeys::grantsCall { instance: id.0.into() });
    assert_eq!(IKeys::grantsCall::abi_decode_returns(&outcome.output).unwrap().len(), 1);
    let call = ICollateral::documentCall { kind: 1, key: collateral_key().into() };
    let outcome = registry.view(module(slots::COLLATERAL), call);
    let document = ICollateral::documentCall::abi_decode_returns(&outcome.output).unwrap();
    assert_eq!(content_digest(&document), registry.instance(&id).collateral_digests[0]);
    let outcome = registry.chain.call(address(&key(9)), apps, hex_call());
    assert_eq!(ModuleRefusal::from_revert(&outcome.output).unwrap().0, ModuleRefusal::Call);
}

fn tdx(policy: &mut AppPolicy) -> &mut TdxPolicy {
    policy.evidence.tdx.as_mut().unwrap()
}

fn hex_call() -> Bytes {
    vec![1, 2, 3, 4].into()
}

#[test]
fn renewal_moves_the_lease_and_a_gap_ends_it() {
    let mut registry = Registry::new();
    let draft = registry.draft(INSTANCE);
    registry.register(&draft).unwrap();
    let first = registry.instance(&draft.instance_id());
    registry.chain.time_ms += 100_000;
    registry.chain.block(vec![]);
    let renewal = registry.renewal(&draft);
    let block = registry.register(&renewal).unwrap();
    let second = registry.instance(&draft.instance_id());
    assert_eq!((second.opened_at, second.renewed_at), (first.opened_at, block.header.number));
    assert!(second.expires_at > first.expires_at);
    let grant: GrantEntry =
        registry.entry(EntryKind::Grant, slots::grant_id(&draft.instance_id(), "root", 0).as_bytes()).unwrap();
    assert_eq!((grant.until, grant.granted_at), (second.expires_at, first.opened_at));

    let mut other_keys = registry.renewal(&draft);
    other_keys.registration.keyset.receipt_key.0[0] ^= 1;
    assert_refused(registry.register(&other_keys.quoted()), ModuleRefusal::RenewalKeyset);

    registry.chain.time_ms += 300_000;
    registry.chain.block(vec![]);
    assert!(!registry.is_authorized(INSTANCE), "the lease has ended");
    let late = registry.renewal(&draft);
    assert_refused(registry.register(&late), ModuleRefusal::RenewalLate);
}

#[test]
fn what_ends_an_instance_counts_in_the_next_call() {
    type End = fn(&mut Registry, &Draft);
    let ends: [(ClosedCode, End); 6] = [
        (ClosedCode::Owner, |registry, draft| {
            let (app, instance) = (registry.app.as_bytes().into(), draft.instance_id().0.into());
            registry.apps(OWNER, IApps::revokeCall { app, instance, reason: 1 }).unwrap();
        }),
        (ClosedCode::Instance, |registry, draft| {
            registry.apps(PROVIDER, IApps::deregisterCall { instance: draft.instance_id().0.into() }).unwrap();
        }),
        (ClosedCode::Denied, |registry, _| {
            registry.deny(DenySubject::Measurement as u8, shown().launched()).unwrap();
        }),
        (ClosedCode::Policy, |registry, _| {
            let mut policy = policy();
            tdx(&mut policy).measurements[0].mrtd = other_register();
            registry.update(&policy).unwrap();
        }),
        // Not in the entry, but in the evidence that is kept.
        (ClosedCode::Policy, |registry, _| {
            let mut policy = policy();
            tdx(&mut policy).platform.tcb_evaluation_data_number_min = 1_000;
            registry.update(&policy).unwrap();
        }),
        (ClosedCode::AppClosed, |registry, _| {
            registry.apps(OWNER, IApps::closeCall { app: registry.app.as_bytes().into() }).unwrap();
        }),
    ];
    for (code, end) in ends {
        let mut registry = Registry::new();
        let draft = registry.draft(INSTANCE);
        registry.register(&draft).unwrap();
        assert!(registry.is_authorized(INSTANCE));
        end(&mut registry, &draft);
        assert!(!registry.is_authorized(INSTANCE), "{code:?}");
        let entry = registry.instance(&draft.instance_id());
        assert_eq!((entry.closed_code, entry.closed_at), (Some(code), Some(registry.chain.tip().number)));
        let grant_id = slots::grant_id(&draft.instance_id(), "root", 0);
        let grant: GrantEntry = registry.entry(EntryKind::Grant, grant_id.as_bytes()).unwrap();
        assert_eq!(grant.closed_at, entry.closed_at, "a grant ends with its instance");
        let deregister = IApps::deregisterCall { instance: draft.instance_id().0.into() };
        assert_refused(registry.apps(PROVIDER, deregister), ModuleRefusal::InstanceClosed);
        if !matches!(code, ClosedCode::AppClosed) {
            let renewal = registry.renewal(&draft);
            assert_refused(registry.register(&renewal), ModuleRefusal::RenewalLate);
        }
    }
}

#[test]
fn a_change_of_policy_keeps_whom_it_accepts() {
    let mut registry = Registry::new();
    let draft = registry.draft(INSTANCE);
    registry.register(&draft).unwrap();
    let mut wider = policy();
    tdx(&mut wider).platform.tcb_statuses.push(TcbStatus::SwHardeningNeeded);
    registry.update(&wider).unwrap();
    assert!(registry.is_authorized(INSTANCE));
}

#[test]
fn only_who_may_ends_an_instance() {
    let mut registry = Registry::new();
    let draft = registry.draft(INSTANCE);
    registry.register(&draft).unwrap();
    let instance = draft.instance_id().0.into();
    assert_refused(registry.apps(OWNER, IApps::deregisterCall { instance }), ModuleRefusal::NotInstance);
    let app = registry.app.as_bytes().into();
    let revoke = IApps::revokeCall { app, instance, reason: 0 };
    assert_refused(registry.apps(PROVIDER, revoke), ModuleRefusal::NotOwner);
    let foreign = IApps::revokeCall { app, instance: B256::repeat_byte(1), reason: 0 };
    assert_refused(registry.apps(OWNER, foreign), ModuleRefusal::InstanceUnknown);
    assert!(registry.is_authorized(INSTANCE));
}

#[test]
fn modules_keep_to_the_machines_rules() {
    let mut registry = Registry::new();
    let app = registry.app.as_bytes().into();
    let apps = module(slots::APPS);
    // Value where none belongs.
    assert_refused(registry.send(OWNER, apps, IApps::closeCall { app }, 1), ModuleRefusal::Value);
    // A contract that delegates to the module, and one that calls it statically, get nothing done.
    let close = IApps::closeCall { app }.abi_encode();
    for opcode in [0xf4_u8, 0xfa] {
        let contract = forwarder(&mut registry, opcode);
        let transaction = registry.chain.sign(&key(OWNER), contract, 0, close.clone());
        let block = registry.chain.block(vec![transaction]);
        assert!(block.receipts[0].envelope.status(), "the contract swallows the failure");
        assert_eq!(registry.chain.storage(&contract, 0), U256::ZERO, "opcode {opcode:x}");
        assert_eq!(app_of(&registry).closed_at, None);
    }
    // Too little gas: everything is undone.
    let fields = crate::common::Fields {
        to: Some(apps),
        data: close.into(),
        nonce: registry.chain.nonce(&key(OWNER)),
        gas: 40_000,
        ..Default::default()
    };
    let transaction = registry.chain.sign_with(&key(OWNER), fields);
    let block = registry.chain.block(vec![transaction]);
    assert!(!block.receipts[0].envelope.status());
    assert_eq!(block.receipts[0].gas_used, 40_000);
    assert_eq!(app_of(&registry).closed_at, None);
}

/// Deploys a contract that passes its call data on to `Apps` by an opcode and keeps the success in slot 0.
fn forwarder(registry: &mut Registry, opcode: u8) -> alloy_primitives::Address {
    // CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY; PUSH0 PUSH0 CALLDATASIZE PUSH0 PUSH20 apps GAS opcode; PUSH0 SSTORE STOP
    let mut code = vec![0x36, 0x5f, 0x5f, 0x37, 0x5f, 0x5f, 0x36, 0x5f, 0x73];
    code.extend_from_slice(module(slots::APPS).as_slice());
    code.extend([0x5a, opcode, 0x5f, 0x55, 0x00]);
    let nonce = registry.chain.nonce(&key(OWNER));
    let fields = crate::common::Fields { data: crate::common::init_code(&code), nonce, ..Default::default() };
    let transaction = registry.chain.sign_with(&key(OWNER), fields);
    registry.chain.block(vec![transaction]).receipts[0].contract_address.unwrap()
}

#[test]
fn keys_are_granted_only_as_the_policy_lists() {
    let mut wanted = policy();
    wanted.boot_contexts = Vec::new();
    let mut registry = Registry::with(wanted.clone());
    let mut draft = registry.draft(INSTANCE);
    draft.value = 10_u128.pow(18);
    registry.register(&draft).unwrap();
    let keys = module(slots::KEYS);
    let request = || IKeys::requestCall { context: "disk".to_owned() };
    assert_refused(registry.send(INSTANCE, keys, request(), 0), ModuleRefusal::Context);
    wanted.boot_contexts = vec!["disk".to_owned()];
    registry.update(&wanted).unwrap();
    assert_refused(registry.send(PROVIDER, keys, request(), 0), ModuleRefusal::NotLive);
    registry.send(INSTANCE, keys, request(), 0).unwrap();
    let id = slots::grant_id(&draft.instance_id(), "disk", 0);
    let outcome = registry.view(keys, IKeys::grantCall { id: id.0.into() });
    assert_eq!(outcome.status, Status::Success);
    let grant: GrantEntry = registry.entry(EntryKind::Grant, id.as_bytes()).unwrap();
    assert_eq!(grant.instance_id, draft.instance_id());
}

#[test]
fn a_context_that_the_policy_drops_is_closed_at_once() {
    let mut registry = Registry::new();
    let draft = registry.draft(INSTANCE);
    registry.register(&draft).unwrap();
    let mut without = policy();
    without.boot_contexts = vec!["disk".to_owned()];
    let block = registry.update(&without).unwrap();
    assert!(registry.is_authorized(INSTANCE));
    let id = slots::grant_id(&draft.instance_id(), "root", 0);
    let grant: GrantEntry = registry.entry(EntryKind::Grant, id.as_bytes()).unwrap();
    assert_eq!(grant.closed_at, Some(block.header.number));
    // The new context comes with the next renewal, and the old one when it is listed again.
    let renewal = registry.renewal(&draft);
    registry.register(&renewal).unwrap();
    let disk = slots::grant_id(&draft.instance_id(), "disk", 0);
    assert!(registry.entry::<GrantEntry>(EntryKind::Grant, disk.as_bytes()).is_some());
    registry.update(&policy()).unwrap();
    let renewal = registry.renewal(&draft);
    registry.register(&renewal).unwrap();
    let grant: GrantEntry = registry.entry(EntryKind::Grant, id.as_bytes()).unwrap();
    assert_eq!(grant.closed_at, None);
}

#[test]
fn a_full_app_can_be_emptied_by_one_change_of_policy() {
    let mut full = policy();
    full.boot_contexts = (0..8).map(|i| format!("context-{i}")).collect();
    let mut registry = Registry::with(full.clone());
    for seed in 0x40..0x80 {
        let draft = registry.draft(seed);
        registry.register(&draft).unwrap();
    }
    let draft = registry.draft(INSTANCE);
    assert_refused(registry.register(&draft), ModuleRefusal::InstancesFull);
    tdx(&mut full).measurements[0].mrtd = other_register();
    let block = registry.update(&full).unwrap();
    println!("closing 64 instances with 8 grants each costs {} gas", block.receipts[0].gas_used);
    assert!((0x40..0x80).all(|seed| !registry.is_authorized(seed)));
    registry.update(&policy()).unwrap();
    let draft = registry.draft(INSTANCE);
    registry.register(&draft).unwrap();
}

#[test]
fn a_registry_replayed_is_the_same() {
    let run = || {
        let mut registry = Registry::new();
        let draft = registry.draft(INSTANCE);
        registry.register(&draft).unwrap();
        registry.deny(DenySubject::Measurement as u8, shown().launched()).unwrap();
        (registry.chain.tip().hash_slow(), registry.chain.root())
    };
    assert_eq!(run(), run());
}
