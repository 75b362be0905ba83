//! Every status that a machine can be in, produced on purpose: what the verifier says of it, for TDs and for enclaves.

use freehold_attestation::{Evidence, Refusal, VerifiedClaims, judge, read_collateral};
use freehold_emulator::{
    CollateralPlan, Condition, DEVELOPMENT_SEED, EnclaveReport, Platform, PlatformFlags, PlatformPlan, TdBody, TdReport,
};
use freehold_primitives::{EvidenceKind, Register, SgxRelease, TcbStatus, entries::CollateralKind};

use crate::{FORMS, NOW, PLATFORM, REPORT_DATA, claims_at, emulated_roots, enclave, td};

/// What evidence in a condition gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    /// Claims with this status, which the development policy refuses unless it is up to date.
    Status(TcbStatus),
    /// No claims.
    Refused(Refusal),
}

fn collateral(kind: EvidenceKind, condition: Condition) -> Vec<u8> {
    let plan = CollateralPlan { condition, ..CollateralPlan::default() };
    match kind {
        EvidenceKind::Sgx => PLATFORM.sgx_collateral_with(NOW, &plan),
        _ => PLATFORM.collateral_with(NOW, &plan),
    }
}

#[test]
fn every_condition_of_a_platform() {
    use TcbStatus as Status;
    let cases = [
        (Condition::UpToDate, Given::Status(Status::UpToDate)),
        (Condition::SwHardeningNeeded, Given::Status(Status::SwHardeningNeeded)),
        (Condition::ConfigurationNeeded, Given::Status(Status::ConfigurationNeeded)),
        (Condition::ConfigurationAndSwHardeningNeeded, Given::Status(Status::ConfigurationAndSwHardeningNeeded)),
        (Condition::OutOfDate, Given::Status(Status::OutOfDate)),
        (Condition::OutOfDateConfigurationNeeded, Given::Status(Status::OutOfDateConfigurationNeeded)),
        (Condition::QuotingEnclaveOutOfDate, Given::Status(Status::OutOfDate)),
        (Condition::TcbRevoked, Given::Refused(Refusal::TcbRevoked)),
        (Condition::QuotingEnclaveRevoked, Given::Refused(Refusal::TcbRevoked)),
        (Condition::TcbUnknown, Given::Refused(Refusal::TcbUnknown)),
        (Condition::PckRevoked, Given::Refused(Refusal::CertificateRevoked)),
        (Condition::CaRevoked, Given::Refused(Refusal::CertificateRevoked)),
        (Condition::SignerRevoked, Given::Refused(Refusal::CertificateRevoked)),
        (Condition::QuotingEnclaveForeign, Given::Refused(Refusal::QuotingEnclave)),
        (Condition::QuotingEnclaveUnknown, Given::Refused(Refusal::QuotingEnclave)),
        (Condition::ListsExpired, Given::Refused(Refusal::RevocationListExpired)),
    ];
    for form in FORMS.iter() {
        for (condition, given) in cases {
            check(form.kind, &form.quote, condition, given, form.name);
        }
    }
}

#[test]
fn every_condition_of_a_tdx_module() {
    let cases = [
        (Condition::ModuleOutOfDate, Given::Status(TcbStatus::OutOfDate)),
        (Condition::ModuleUnknown, Given::Refused(Refusal::TdxModule)),
        (Condition::ModuleRevoked, Given::Refused(Refusal::TcbRevoked)),
        (Condition::ModuleForeign, Given::Refused(Refusal::TdxModule)),
    ];
    for form in FORMS.iter().filter(|form| form.kind == EvidenceKind::Tdx) {
        for (condition, given) in cases {
            check(form.kind, &form.quote, condition, given, form.name);
        }
    }
}

fn check(kind: EvidenceKind, quote: &[u8], condition: Condition, given: Given, name: &str) {
    let collateral = collateral(kind, condition);
    let found = claims_at(kind, quote, &collateral, NOW);
    let form = FORMS.iter().find(|form| form.name == name).unwrap();
    match given {
        Given::Refused(refusal) => assert_eq!(found, Err(refusal), "{name}, {condition:?}"),
        Given::Status(status) => {
            let claims = found.unwrap_or_else(|refusal| panic!("{name}, {condition:?}: {refusal}"));
            assert_eq!(claims.tcb_status(), Some(status), "{name}, {condition:?}");
            let wanted = if status == TcbStatus::UpToDate { Ok(()) } else { Err(Refusal::PolicyTcbStatus) };
            assert_eq!(judge(&claims, &form.policy, NOW), wanted, "{name}, {condition:?}");
            let mut policy = form.policy.clone();
            for platform in
                [policy.tdx.as_mut().map(|tdx| &mut tdx.platform), policy.sgx.as_mut().map(|sgx| &mut sgx.platform)]
                    .into_iter()
                    .flatten()
            {
                platform.tcb_statuses = vec![status];
            }
            assert_eq!(judge(&claims, &policy, NOW), Ok(()), "{name}, {condition:?}: listed");
        }
    }
}

/// A TD launched before the running module was updated.
#[test]
fn a_td_that_should_be_launched_again() {
    let old = td().launched_before_update();
    let claims =
        |quote: &[u8], condition| claims_at(EvidenceKind::Tdx, quote, &collateral(EvidenceKind::Tdx, condition), NOW);
    let status = |quote: &[u8], condition| claims(quote, condition).unwrap().tcb_status().unwrap();
    // Its TD 1.0 body knows the module of its launch alone.
    let v4 = PLATFORM.quote_v4(&old, &REPORT_DATA);
    assert_eq!(status(&v4, Condition::UpToDate), TcbStatus::OutOfDate);
    for body in [TdBody::Td15, TdBody::Td15Ex] {
        let quote = PLATFORM.quote_v5(&old, body, &REPORT_DATA);
        assert_eq!(status(&quote, Condition::UpToDate), TcbStatus::TdRelaunchAdvised);
        assert_eq!(status(&quote, Condition::ConfigurationNeeded), TcbStatus::TdRelaunchAdvisedConfigurationNeeded);
        assert_eq!(status(&quote, Condition::OutOfDate), TcbStatus::OutOfDate);
        assert_eq!(claims(&quote, Condition::ModuleRevoked), Err(Refusal::TdxModule));
        // The date that grace counts from is that of the module at launch.
        let relaunch = claims(&quote, Condition::UpToDate).unwrap();
        assert_eq!(relaunch.as_tdx().unwrap().platform().tcb_date_unix_s(), 1_691_539_200);
    }
}

fn tdx(td: &TdReport, body: TdBody) -> Result<VerifiedClaims, Refusal> {
    let quote = PLATFORM.quote_v5(td, body, &REPORT_DATA);
    let policy = &FORMS[0].policy;
    let collateral = PLATFORM.collateral(NOW);
    let evidence = Evidence { kind: EvidenceKind::Tdx, bytes: &quote, collateral: &[&collateral] };
    freehold_attestation::verify(&evidence, &emulated_roots(), policy, NOW)
}

#[test]
fn what_a_td_may_never_be() {
    let cases: [(&str, fn(&mut TdReport), Refusal); 8] = [
        ("debug", |td| td.td_attributes |= 1, Refusal::PolicyDebug),
        ("profiled", |td| td.td_attributes |= 1 << 4, Refusal::PolicyDebug),
        ("reserved bit", |td| td.td_attributes |= 1 << 1, Refusal::PolicyTdAttributes),
        ("migratable", |td| td.td_attributes |= 1 << 29, Refusal::PolicyTdAttributes),
        ("without SEPT_VE_DISABLE", |td| td.td_attributes &= !(1 << 28), Refusal::PolicyTdAttributes),
        ("service TD", |td| td.mr_service_td = Register([1; 48]), Refusal::PolicyServiceTd),
        ("of a foreign module signer", |td| td.mr_signer_seam = Register([1; 48]), Refusal::TdxModule),
        ("with PERFMON", |td| td.td_attributes |= 1 << 63, Refusal::PolicyTdAttributes),
    ];
    for (name, edit, refusal) in cases {
        for body in [TdBody::Td15, TdBody::Td15Ex] {
            let mut td = td();
            edit(&mut td);
            assert_eq!(tdx(&td, body), Err(refusal), "{name}");
        }
    }
    // Bound after creation: only the largest body shows it.
    let mut bound_later = td();
    bound_later.service_td_hash = Register([2; 48]);
    assert_eq!(tdx(&bound_later, TdBody::Td15Ex), Err(Refusal::PolicyServiceTd));
    // A TD 1.0 body shows no service TD: the quoting enclave of hardware never makes one for such a TD.
    assert!(tdx(&td(), TdBody::Td10).is_ok());
}

#[test]
fn a_policy_can_name_service_tds() {
    let mut td = td();
    td.mr_service_td = Register([1; 48]);
    td.td_attributes |= 1 << 17; // SERVTD_EXT
    let quote = PLATFORM.quote_v5(&td, TdBody::Td15Ex, &REPORT_DATA);
    let claims = claims_at(EvidenceKind::Tdx, &quote, &PLATFORM.collateral(NOW), NOW).unwrap();
    let mut policy = FORMS[0].policy.clone();
    let section = policy.tdx.as_mut().unwrap();
    section.attributes_allowed |= 1 << 17;
    assert_eq!(judge(&claims, &policy, NOW), Err(Refusal::PolicyServiceTd));
    policy.tdx.as_mut().unwrap().service_tds_allowed.push(Register([1; 48]));
    assert_eq!(judge(&claims, &policy, NOW), Ok(()));
}

#[test]
fn what_an_enclave_may_be() {
    let judged = |edit: fn(&mut EnclaveReport)| {
        let mut report = enclave();
        edit(&mut report);
        let quote = PLATFORM.quote_v3(&report, &REPORT_DATA);
        let form = FORMS.last().unwrap();
        form.claims(&quote).and_then(|claims| judge(&claims, &form.policy, NOW))
    };
    assert_eq!(judged(|_| ()), Ok(()));
    assert_eq!(judged(|report| report.attributes |= 2), Err(Refusal::PolicyDebug));
    assert_eq!(judged(|report| report.attributes |= 0x10), Err(Refusal::PolicySgxAttributes));
    assert_eq!(judged(|report| report.xfrm |= 1 << 17), Err(Refusal::PolicyXfrm));
    assert_eq!(judged(|report| report.misc_select = 1), Err(Refusal::PolicyMiscSelect));
    assert_eq!(judged(|report| report.measurement.isv_svn = 0), Err(Refusal::PolicyIsvSvn));
    assert_eq!(judged(|report| report.measurement.isv_svn = 9), Ok(()));
    assert_eq!(judged(|report| report.measurement.mr_enclave.0[0] ^= 1), Err(Refusal::PolicyMeasurement));
}

#[test]
fn a_signers_enclaves_are_told_apart_by_configuration() {
    let claims = FORMS.last().unwrap().claims(&FORMS.last().unwrap().quote).unwrap();
    let mut policy = FORMS.last().unwrap().policy.clone();
    let section = policy.sgx.as_mut().unwrap();
    let signer = section.releases[0].mr_signer;
    section.releases = vec![SgxRelease { mr_enclave: None, mr_signer: signer, isv_prod_id: Some(1), isv_svn_min: 1 }];
    section.config_id = Some(enclave().config_id);
    assert_eq!(judge(&claims, &policy, NOW), Ok(()));
    policy.sgx.as_mut().unwrap().config_id = Some([0; 64]);
    assert_eq!(judge(&claims, &policy, NOW), Err(Refusal::PolicyEnclaveConfig));
}

#[test]
fn flags_of_a_platform() {
    let claims = |plan: &PlatformPlan| {
        let platform = Platform::with(&DEVELOPMENT_SEED, plan);
        let quote = platform.quote_v4(&td(), &REPORT_DATA);
        claims_at(EvidenceKind::Tdx, &quote, &platform.collateral(NOW), NOW).unwrap()
    };
    let none = PlatformFlags::default();
    let cases = [
        (Some(PlatformFlags { dynamic_platform: true, ..none }), Err(Refusal::PolicyDynamicPlatform)),
        (Some(PlatformFlags { cached_keys: true, ..none }), Err(Refusal::PolicyCachedKeys)),
        (Some(PlatformFlags { smt: true, ..none }), Err(Refusal::PolicySmt)),
        (Some(none), Ok(())),
        (None, Ok(())),
    ];
    for (flags, verdict) in cases {
        let claims = claims(&PlatformPlan { flags, ..PlatformPlan::default() });
        assert_eq!(claims.as_tdx().unwrap().platform().platform_instance_id().is_some(), flags.is_some());
        assert_eq!(judge(&claims, &FORMS[0].policy, NOW), verdict, "{flags:?}");
    }
    for sgx_type in 0..=2 {
        let claims = claims(&PlatformPlan { sgx_type, ..PlatformPlan::default() });
        assert_eq!(claims.as_tdx().unwrap().platform().sgx_type(), sgx_type);
    }
}

#[test]
fn kinds_do_not_mix() {
    let (td, enclave) = (&FORMS[0], FORMS.last().unwrap());
    assert_eq!(claims_at(EvidenceKind::Sgx, &td.quote, &td.collateral, NOW), Err(Refusal::KindMismatch));
    assert_eq!(claims_at(EvidenceKind::Tdx, &enclave.quote, &enclave.collateral, NOW), Err(Refusal::KindMismatch));
    assert_eq!(td.claims(&td.quote).and_then(|claims| judge(&claims, &enclave.policy, NOW)), Err(Refusal::PolicyKind));
    // Collateral of the other TEE, alone and with a quote.
    let swapped =
        [(EvidenceKind::Tdx, &td.quote, &enclave.collateral), (EvidenceKind::Sgx, &enclave.quote, &td.collateral)];
    for (kind, quote, collateral) in swapped {
        assert_eq!(claims_at(kind, quote, collateral, NOW), Err(Refusal::CollateralKind));
        let alone = read_collateral(CollateralKind::of(kind).unwrap(), collateral, &emulated_roots(), NOW);
        assert_eq!(alone, Err(Refusal::CollateralKind));
    }
    // A kind without a verifier here.
    assert_eq!(claims_at(EvidenceKind::Nvidia, &td.quote, &td.collateral, NOW), Err(Refusal::EvidenceKind));
}

#[test]
fn collateral_is_exactly_what_is_needed() {
    let form = &FORMS[0];
    let of = |collateral: &[&[u8]]| {
        let evidence = Evidence { kind: form.kind, bytes: &form.quote, collateral };
        freehold_attestation::claims(&evidence, &emulated_roots(), NOW).map(|_| ())
    };
    assert_eq!(of(&[]), Err(Refusal::CollateralMissing));
    assert_eq!(of(&[&form.collateral]), Ok(()));
    assert_eq!(of(&[&form.collateral, &form.collateral]), Err(Refusal::CollateralExcess));
}
