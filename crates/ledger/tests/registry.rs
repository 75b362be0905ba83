//! The registry seen from outside: an app's life, an instance's life, and one refusal for every check of the list.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/registry.rs"]
mod registry;

use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::{SolCall as _, SolEvent as _};
use common::{CHAIN_ID, address, key};
use freehold_attestation::Refusal;
use freehold_crypto::{content_digest, slots};
use freehold_emulator::{CollateralPlan, Condition};
use freehold_ledger::{ModuleRefusal, Status};
use freehold_primitives::{
    AppId, Blob, Canonical as _, Digest, TcbStatus, TlsKey, TrustDomain,
    entries::{
        AccountEntry, AppEntry, ClosedCode, CollateralEntry, DenyEntry, DenySubject, EntryKind, GrantEntry,
        UsedEvidenceEntry,
    },
};
use registry::{
    Draft, IApps, ICollateral, IKeys, INSTANCE, OWNER, PROVIDER, Registry, assert_refused, collateral_key, module,
    other_register, platform, policy, shown, sign,
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
    refuse(&|policy| policy.evidence.fmspc_denied = vec![[0; 6]; 65]);
    refuse(&|policy| policy.boot_contexts = vec!["a b".to_owned()]);
    refuse(&|policy| policy.boot_contexts = vec![String::new()]);
    refuse(&|policy| policy.boot_contexts = vec!["root".to_owned(); 2]);
    refuse(&|policy| policy.boot_contexts = (0..9).map(|i| format!("c{i}")).collect());
    refuse(&|policy| policy.evidence.advisories_denied = vec!["x".repeat(17_000)]);
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
    assert_eq!((entry.trust_domain, entry.tcb_status), (TrustDomain::Emulated, TcbStatus::UpToDate));
    assert_eq!(entry.measurement, shown());
    assert_eq!(registry.chain.content[&entry.evidence_digest], draft.evidence);
    assert!(registry.chain.content.contains_key(&entry.collateral_digest));
    assert_eq!(registry.chain.balance(&address(&key(INSTANCE))), U256::from(5_000));
    let account: AccountEntry = registry.entry(EntryKind::Account, key(INSTANCE).account().as_bytes()).unwrap();
    assert_eq!(account.instance_id, id);
    let signed_part = freehold_crypto::sha256(&draft.evidence[..632]);
    let used: UsedEvidenceEntry = registry.entry(EntryKind::UsedEvidence, signed_part.as_bytes()).unwrap();
    assert_eq!(used.instance_id, id);
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
    assert_eq!(content_digest(&document), registry.instance(&id).collateral_digest);
    let outcome = registry.chain.call(address(&key(9)), apps, hex_call());
    assert_eq!(ModuleRefusal::from_revert(&outcome.output).unwrap().0, ModuleRefusal::Call);
}

fn hex_call() -> Bytes {
    vec![1, 2, 3, 4].into()
}

/// Registers a changed draft and expects this refusal.
fn refuse(registry: &mut Registry, change: impl FnOnce(&mut Draft), refusal: ModuleRefusal) {
    let mut draft = registry.draft(INSTANCE);
    change(&mut draft);
    assert_refused(registry.register(&draft), refusal);
    assert!(!registry.is_authorized(INSTANCE));
}

/// As [`refuse`], but the evidence binds the change.
fn refuse_quoted(registry: &mut Registry, change: impl FnOnce(&mut Draft), refusal: ModuleRefusal) {
    let mut draft = registry.draft(INSTANCE);
    change(&mut draft);
    assert_refused(registry.register(&draft.quoted()), refusal);
    assert!(!registry.is_authorized(INSTANCE));
}

#[test]
fn check_1_sizes_and_form() {
    let mut registry = Registry::new();
    refuse(&mut registry, |draft| draft.evidence = vec![0; 16 * 1024 + 1], ModuleRefusal::RegistrationTooLong);
    let draft = registry.draft(INSTANCE);
    let signature = sign(&key(INSTANCE), &draft);
    let long = registry.register_raw(&draft, vec![1; 4 * 1024 + 1], signature.clone());
    assert_refused(long, ModuleRefusal::RegistrationTooLong);
    let long = registry.register_raw(&draft, draft.registration.to_canonical(), vec![0; 66]);
    assert_refused(long, ModuleRefusal::RegistrationTooLong);
    let mut trailing = draft.registration.to_canonical();
    trailing.push(0);
    let malformed = registry.register_raw(&draft, trailing, signature);
    assert_refused(malformed, ModuleRefusal::RegistrationMalformed);
}

#[test]
fn check_2_foreign_chain_and_genesis() {
    let mut registry = Registry::new();
    refuse_quoted(&mut registry, |draft| draft.registration.subject.chain_id = CHAIN_ID + 1, ModuleRefusal::Chain);
    let foreign = Digest([3; 32]);
    refuse_quoted(&mut registry, |draft| draft.registration.subject.genesis_hash = foreign, ModuleRefusal::Genesis);
}

#[test]
fn check_3_app_unknown_and_closed() {
    let mut registry = Registry::new();
    let foreign = AppId::new([7; 20]);
    refuse_quoted(
        &mut registry,
        |draft| draft.registration.subject.app_id = foreign,
        ModuleRefusal::RegistrationAppUnknown,
    );
    let close = IApps::closeCall { app: registry.app.as_bytes().into() };
    registry.apps(OWNER, close).unwrap();
    refuse(&mut registry, |_| {}, ModuleRefusal::RegistrationAppClosed);
}

#[test]
fn check_4_provider_pays() {
    let mut registry = Registry::new();
    refuse(&mut registry, |draft| draft.sender = 4, ModuleRefusal::Provider);
}

#[test]
fn check_5_signature_of_the_account() {
    let mut registry = Registry::new();
    refuse(&mut registry, |draft| draft.signer = 4, ModuleRefusal::Signature);
    let draft = registry.draft(INSTANCE);
    for bad in [vec![], vec![0; 65], vec![0xff; 65]] {
        let result = registry.register_raw(&draft, draft.registration.to_canonical(), bad);
        assert_refused(result, ModuleRefusal::Signature);
    }
    // Evidence that was changed after it was signed for.
    let signature = sign(&key(INSTANCE), &draft);
    let mut changed = draft.clone();
    changed.evidence[700] ^= 1;
    let result = registry.register_raw(&changed, draft.registration.to_canonical(), signature);
    assert_refused(result, ModuleRefusal::Signature);
}

#[test]
fn check_5_account_is_live_in_one_instance_only() {
    let mut registry = Registry::new();
    let first = registry.draft(INSTANCE);
    registry.register(&first).unwrap();
    let mut second = registry.draft(INSTANCE);
    second.registration.subject.config_digest = Digest([5; 32]);
    let second = second.quoted();
    assert_refused(registry.register(&second), ModuleRefusal::AccountLive);
    // Once the first is gone the account may serve another.
    registry.apps(PROVIDER, IApps::deregisterCall { instance: first.instance_id().0.into() }).unwrap();
    let second = registry.renewal(&second);
    registry.register(&second).unwrap();
    assert!(registry.is_authorized(INSTANCE));
}

#[test]
fn check_6_nonce_is_a_recent_block() {
    let mut registry = Registry::new();
    refuse_quoted(&mut registry, |draft| draft.registration.nonce = Digest([1; 32]), ModuleRefusal::NonceUnknown);
    refuse_quoted(&mut registry, |draft| draft.registration.nonce_height += 1, ModuleRefusal::NonceUnknown);
    refuse_quoted(&mut registry, |draft| draft.registration.nonce_height = u64::MAX, ModuleRefusal::NonceUnknown);
    let draft = registry.draft(INSTANCE);
    registry.chain.time_ms += 600_000;
    assert_refused(registry.register(&draft), ModuleRefusal::NonceOld);
    let draft = registry.draft(INSTANCE);
    registry.chain.time_ms += 597_000;
    registry.chain.block(vec![]);
    registry.register(&draft).unwrap();
}

#[test]
fn check_7_keyset_and_report_data() {
    let mut registry = Registry::new();
    let tls = TlsKey { domain: "a\"b".to_owned(), spki_sha256: Digest([1; 32]) };
    refuse_quoted(&mut registry, |draft| draft.registration.keyset.tls_keys = vec![tls], ModuleRefusal::Keyset);
    refuse(&mut registry, |draft| draft.registration.keyset.subject = Digest([1; 32]), ModuleRefusal::Keyset);
    refuse(&mut registry, |draft| draft.registration.keyset.receipt_key.0[0] ^= 1, ModuleRefusal::ReportData);
    refuse(&mut registry, |draft| draft.evidence = vec![4; 700], ModuleRefusal::EvidenceMalformed);
    refuse(&mut registry, |draft| draft.evidence.truncate(631), ModuleRefusal::EvidenceMalformed);
    // A quote for no nonce, and one with something in the upper half.
    let null_nonce = |draft: &mut Draft| {
        let digest = freehold_crypto::keyset_digest(&draft.registration.keyset);
        draft.evidence = platform().quote_v4(&registry::report(), &freehold_crypto::report_data(&digest, None));
    };
    refuse(&mut registry, null_nonce, ModuleRefusal::ReportData);
    let upper = |draft: &mut Draft| {
        let digest = freehold_crypto::keyset_digest(&draft.registration.keyset);
        let mut bound = freehold_crypto::report_data(&digest, Some(&draft.registration.nonce));
        bound[63] = 1;
        draft.evidence = platform().quote_v4(&registry::report(), &bound);
    };
    refuse(&mut registry, upper, ModuleRefusal::ReportData);
    // Evidence of another instance.
    let other = registry.draft(0x22).evidence;
    refuse(&mut registry, |draft| draft.evidence = other, ModuleRefusal::ReportData);
}

#[test]
fn check_8_evidence_verifies_under_the_collateral() {
    let mut registry = Registry::new();
    refuse(&mut registry, |draft| draft.registration.fmspc = [1; 6], ModuleRefusal::CollateralMissing);
    refuse(
        &mut registry,
        |draft| draft.registration.trust_domain = TrustDomain::Intel,
        ModuleRefusal::CollateralMissing,
    );
    // A broken signature, kept in its canonical form.
    let forged = |draft: &mut Draft| draft.evidence[650] ^= 1;
    let mut draft = registry.draft(INSTANCE);
    forged(&mut draft);
    let refused = registry.register(&draft).unwrap_err().0.unwrap();
    assert_eq!(refused, (ModuleRefusal::Evidence, Some(Refusal::QuoteSignature)));
    // Revoked by newer collateral.
    let plan =
        CollateralPlan { tcb_evaluation_data_number: 21, condition: Condition::TcbRevoked, ..Default::default() };
    let now = registry.chain.time_ms / 1000;
    registry.submit(platform().collateral_with(now, &plan)).unwrap();
    let draft = registry.draft(INSTANCE);
    let refused = registry.register(&draft).unwrap_err().0.unwrap();
    assert_eq!(refused, (ModuleRefusal::Evidence, Some(Refusal::TcbRevoked)));
}

#[test]
fn check_9_policy_judges() {
    let mut wanted = policy();
    wanted.evidence.tdx_measurements[0].mrtd = other_register();
    let mut registry = Registry::with(wanted);
    let draft = registry.draft(INSTANCE);
    let refused = registry.register(&draft).unwrap_err().0.unwrap();
    assert_eq!(refused, (ModuleRefusal::EvidencePolicy, Some(Refusal::PolicyMeasurement)));
}

#[test]
fn check_10_denied_subjects() {
    type Subject = fn(&Registry) -> Vec<u8>;
    let kinds: [(DenySubject, Subject); 4] = [
        (DenySubject::Platform, |_| platform_digest()),
        (DenySubject::Fmspc, |_| freehold_emulator::FMSPC.to_vec()),
        (DenySubject::Mrtd, |_| shown().mrtd.0.to_vec()),
        (DenySubject::Instance, |registry| registry.draft(INSTANCE).instance_id().0.to_vec()),
    ];
    for (kind, subject) in kinds {
        let mut registry = Registry::new();
        let subject = subject(&registry);
        registry.deny(kind as u8, &subject).unwrap();
        assert_refused(registry.deny(kind as u8, &subject), ModuleRefusal::AlreadyDenied);
        assert_refused(registry.deny(kind as u8, &subject[1..]), ModuleRefusal::Subject);
        refuse(&mut registry, |_| {}, ModuleRefusal::DeniedSubject);
        let id = slots::deny_id(&registry.app, kind, &subject);
        let entry: DenyEntry = registry.entry(EntryKind::Deny, &id).unwrap();
        assert_eq!(entry.subject, Blob(subject));
    }
}

/// SHA-256 of the emulated machine's PPID, as a registration records it.
fn platform_digest() -> Vec<u8> {
    let mut registry = Registry::new();
    let draft = registry.draft(INSTANCE);
    registry.register(&draft).unwrap();
    registry.instance(&draft.instance_id()).platform.0.to_vec()
}

#[test]
fn check_11_keyset_outlives_the_lease() {
    let mut registry = Registry::new();
    let soon = registry.chain.time_ms / 1000 + 100;
    refuse_quoted(&mut registry, |draft| draft.registration.keyset.not_after = soon, ModuleRefusal::KeysetExpiry);
}

#[test]
fn check_12_evidence_counts_once() {
    let mut registry = Registry::new();
    let draft = registry.draft(INSTANCE);
    registry.register(&draft).unwrap();
    assert_refused(registry.register(&draft), ModuleRefusal::EvidenceUsed);
    // The same signed part under another signature of the account: still the same evidence.
    let mut longer = draft.clone();
    longer.registration.lease_s = 400;
    assert_refused(registry.register(&longer), ModuleRefusal::EvidenceUsed);
}

#[test]
fn check_13_lease_is_not_empty_and_bounded() {
    let mut registry = Registry::new();
    refuse(&mut registry, |draft| draft.registration.lease_s = 0, ModuleRefusal::LeaseEmpty);
    let mut draft = registry.draft(INSTANCE);
    draft.registration.lease_s = u64::MAX;
    registry.register(&draft).unwrap();
    let entry = registry.instance(&draft.instance_id());
    assert_eq!(entry.expires_at, registry.chain.tip().timestamp - 1 + 500, "the app's policy bounds the lease");
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
            registry.deny(DenySubject::Mrtd as u8, &shown().mrtd.0).unwrap();
        }),
        (ClosedCode::Policy, |registry, _| {
            let mut policy = policy();
            policy.evidence.tdx_measurements[0].mrtd = other_register();
            registry.update(&policy).unwrap();
        }),
        // Not in the entry, but in the evidence that is kept.
        (ClosedCode::Policy, |registry, _| {
            let mut policy = policy();
            policy.evidence.tcb_evaluation_data_number_min = 1_000;
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
    wider.evidence.tcb_statuses.push(TcbStatus::SwHardeningNeeded);
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
    assert_eq!((entry.digest, entry.evaluation_data_number), (content_digest(&document), 22));
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
    let call = ICollateral::submitCall { kind: 2, key: collateral_key().into(), document };
    assert_refused(registry.send(3, collateral, call, 0), ModuleRefusal::CollateralKind);
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
    let fields = common::Fields {
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
    let fields = common::Fields { data: common::init_code(&code), nonce, ..Default::default() };
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
    full.evidence.tdx_measurements[0].mrtd = other_register();
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
        registry.deny(DenySubject::Mrtd as u8, &shown().mrtd.0).unwrap();
        (registry.chain.tip().hash_slow(), registry.chain.root())
    };
    assert_eq!(run(), run());
}
