//! One refusal, at least, for every check of the registration list (`spec/registration.md` §3).
#![allow(clippy::unwrap_used)]

use crate::common::{CHAIN_ID, key};
use crate::registry::{
    Draft, IApps, INSTANCE, OWNER, PROVIDER, Registry, assert_refused, other_register, platform, policy, shown, sign,
};
use freehold_attestation::{Refusal, development_policy};
use freehold_crypto::slots;
use freehold_emulator::{CollateralPlan, Condition, EnclaveReport, TdBody};
use freehold_ledger::ModuleRefusal;
use freehold_primitives::{
    AppId, Blob, Canonical as _, Digest, EVIDENCE_BYTES_MAX, EvidenceKind, PlatformFamily, TlsKey, TrustDomain,
    entries::{CollateralKind, DenyEntry, DenySubject, EntryKind},
};

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
    refuse(&mut registry, |draft| draft.evidence = vec![0; EVIDENCE_BYTES_MAX + 1], ModuleRefusal::RegistrationTooLong);
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
        draft.evidence = platform().quote_v4(&crate::registry::report(), &freehold_crypto::report_data(&digest, None));
    };
    refuse(&mut registry, null_nonce, ModuleRefusal::ReportData);
    let upper = |draft: &mut Draft| {
        let digest = freehold_crypto::keyset_digest(&draft.registration.keyset);
        let mut bound = freehold_crypto::report_data(&digest, Some(&draft.registration.nonce));
        bound[63] = 1;
        draft.evidence = platform().quote_v4(&crate::registry::report(), &bound);
    };
    refuse(&mut registry, upper, ModuleRefusal::ReportData);
    // Evidence of another instance.
    let other = registry.draft(0x22).evidence;
    refuse(&mut registry, |draft| draft.evidence = other, ModuleRefusal::ReportData);
}

#[test]
fn check_8_evidence_verifies_under_the_collateral() {
    let mut registry = Registry::new();
    refuse(&mut registry, |draft| draft.registration.family = PlatformFamily([1; 6]), ModuleRefusal::CollateralMissing);
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

/// `report_data` that a draft's evidence must hold.
fn bound(draft: &Draft) -> [u8; 64] {
    let digest = freehold_crypto::keyset_digest(&draft.registration.keyset);
    freehold_crypto::report_data(&digest, Some(&draft.registration.nonce))
}

#[test]
fn every_form_of_intels_quotes_registers() {
    for body in [TdBody::Td10, TdBody::Td15, TdBody::Td15Ex] {
        let mut registry = Registry::new();
        let mut draft = registry.draft(INSTANCE);
        draft.evidence = platform().quote_v5(&crate::registry::report(), body, &bound(&draft));
        registry.register(&draft).unwrap();
        assert_eq!(registry.instance(&draft.instance_id()).measurement, shown(), "{body:?}");
        assert!(registry.is_authorized(INSTANCE));
    }
    let enclave = EnclaveReport::launch(&Digest([1; 32]), &crate::registry::app_image());
    let mut wanted = policy();
    wanted.evidence = development_policy(enclave.measurement.clone());
    let mut registry = Registry::with(wanted);
    let mut draft = registry.draft(INSTANCE);
    // A TD is no enclave, whatever the registration calls it.
    assert_eq!(
        registry.register(&draft).unwrap_err().0.unwrap(),
        (ModuleRefusal::EvidencePolicy, Some(Refusal::PolicyKind))
    );
    draft.registration.evidence_kind = EvidenceKind::Sgx;
    assert_eq!(
        registry.register(&draft).unwrap_err().0.unwrap(),
        (ModuleRefusal::EvidenceMalformed, Some(Refusal::KindMismatch))
    );
    draft.evidence = platform().quote_v3(&enclave, &bound(&draft));
    assert_refused(registry.register(&draft), ModuleRefusal::CollateralMissing);
    let now = registry.chain.time_ms / 1000;
    let collateral = platform().sgx_collateral_with(now, &CollateralPlan::default());
    assert_refused(registry.submit(collateral.clone()), ModuleRefusal::CollateralRefused);
    registry.submit_of(CollateralKind::SgxDcap, crate::registry::collateral_key(), collateral).unwrap();
    let mut draft = registry.renewal(&draft);
    draft.evidence = platform().quote_v3(&enclave, &bound(&draft));
    registry.register(&draft).unwrap();
    let entry = registry.instance(&draft.instance_id());
    assert_eq!((entry.evidence_kind, entry.measurement), (EvidenceKind::Sgx, enclave.measurement.clone().into()));
    // An enclave is denied by its MRENCLAVE, of 32 bytes.
    registry.deny(DenySubject::Measurement as u8, &enclave.measurement.mr_enclave.0).unwrap();
    assert!(!registry.is_authorized(INSTANCE));
}

#[test]
fn a_gpu_alone_or_a_kind_without_a_verifier_does_not_register() {
    let mut registry = Registry::new();
    for kind in [EvidenceKind::Nvidia, EvidenceKind::Bundle] {
        let mut draft = registry.draft(INSTANCE);
        draft.registration.evidence_kind = kind;
        assert_refused(registry.register(&draft), ModuleRefusal::EvidenceMalformed);
    }
}

#[test]
fn check_9_policy_judges() {
    let mut wanted = policy();
    wanted.evidence.tdx.as_mut().unwrap().measurements[0].mrtd = other_register();
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
        (DenySubject::Family, |_| freehold_emulator::FMSPC.0.to_vec()),
        (DenySubject::Measurement, |_| shown().launched().to_vec()),
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
