//! Each rule of a policy on its own: claims that satisfy it, one change, the refusal it must give.
#![allow(clippy::unwrap_used)]

mod enclaves;
mod tds;

use freehold_primitives::{DcapPolicy, Digest, EvidencePolicy, PlatformFamily, TcbStatus, TrustDomain};

use super::judge;
use crate::{
    claims::VerifiedClaims,
    dcap::{self, DcapClaims},
    refusal::Refusal,
};

const NOW: u64 = 1_795_000_000;

fn platform() -> DcapClaims {
    DcapClaims {
        trust_domain: TrustDomain::Emulated,
        tcb_status: TcbStatus::UpToDate,
        tcb_date_unix_s: NOW - 1_000,
        platform: Digest([3; 32]),
        family: PlatformFamily([1; 6]),
        sgx_type: 1,
        platform_instance_id: None,
        dynamic_platform: Some(false),
        cached_keys: Some(false),
        smt: Some(false),
        cpu_svn: [1; 16],
        pce_svn: 11,
        quoting_enclave_svn: 4,
        tcb_evaluation_data_number: 20,
        root_crl_number: 1,
        pck_crl_number: 1,
        expires_at: NOW + 1,
        advisories: vec!["INTEL-SA-01036".to_owned()],
    }
}

type Edit = fn(&mut VerifiedClaims, &mut EvidencePolicy);

fn check(edit: Edit, expected: Result<(), Refusal>) {
    for (mut claims, mut policy) in [tds::accepted(), enclaves::accepted()] {
        edit(&mut claims, &mut policy);
        assert_eq!(judge(&claims, &policy, NOW), expected, "{:?}", claims.kind());
    }
}

#[test]
fn the_development_policy_accepts_what_it_names() {
    check(|_, _| (), Ok(()));
}

#[test]
fn claims_outlive_nothing() {
    check(|claims, _| claims.expires_at = NOW, Err(Refusal::CollateralExpired));
}

#[test]
fn domain_and_kind() {
    check(|claims, _| claims.trust_domain = TrustDomain::Intel, Err(Refusal::PolicyTrustDomain));
    check(|_, policy| policy.trust_domains.clear(), Err(Refusal::PolicyTrustDomain));
    let neither: Edit = |_, policy| (policy.tdx, policy.sgx) = (None, None);
    check(neither, Err(Refusal::PolicyKind));
}

#[test]
fn platform_lists() {
    check(|_, policy| policy.families_allowed.push(PlatformFamily([2; 6])), Err(Refusal::PolicyFamilyNotAllowed));
    check(|claims, policy| policy.families_allowed.push(claims.family), Ok(()));
    check(|claims, policy| policy.families_denied.push(claims.family), Err(Refusal::PolicyFamilyDenied));
    check(|_, policy| policy.platforms_allowed.push(Digest([4; 32])), Err(Refusal::PolicyPlatformNotAllowed));
    check(|claims, policy| policy.platforms_allowed.push(claims.platform), Ok(()));
    check(|claims, policy| policy.platforms_denied.push(claims.platform), Err(Refusal::PolicyPlatformDenied));
}

type PlatformEdit = fn(&mut DcapClaims, &mut DcapPolicy);

/// Judges the platform alone, which TDs and enclaves share.
fn check_platform(edit: PlatformEdit, expected: Result<(), Refusal>) {
    let (mut claims, mut policy) = (platform(), tds::accepted().1.tdx.unwrap().platform);
    edit(&mut claims, &mut policy);
    assert_eq!(dcap::judge(&claims, &policy, NOW), expected);
}

#[test]
fn packages_keys_and_threads_are_told_apart() {
    check_platform(|_, _| (), Ok(()));
    let flags: [(PlatformEdit, PlatformEdit, Refusal); 3] = [
        (
            |claims, _| claims.dynamic_platform = Some(true),
            |_, policy| policy.dynamic_platform_allowed = true,
            Refusal::PolicyDynamicPlatform,
        ),
        (
            |claims, _| claims.cached_keys = Some(true),
            |_, policy| policy.cached_keys_allowed = true,
            Refusal::PolicyCachedKeys,
        ),
        (|claims, _| claims.smt = Some(true), |_, policy| policy.smt_allowed = true, Refusal::PolicySmt),
    ];
    for (claim, allow, refusal) in flags {
        check_platform(claim, Err(refusal));
        let (mut claims, mut policy) = (platform(), tds::accepted().1.tdx.unwrap().platform);
        claim(&mut claims, &mut policy);
        allow(&mut claims, &mut policy);
        assert_eq!(dcap::judge(&claims, &policy, NOW), Ok(()));
    }
    // A certificate of the Processor CA says nothing of them.
    check_platform(|claims, _| (claims.dynamic_platform, claims.cached_keys, claims.smt) = (None, None, None), Ok(()));
    check_platform(|_, policy| policy.sgx_types_allowed = vec![0, 2], Err(Refusal::PolicySgxType));
    check_platform(|_, policy| policy.sgx_types_allowed = vec![0, 1], Ok(()));
}

#[test]
fn status_number_and_advisories() {
    check_platform(|_, policy| policy.tcb_evaluation_data_number_min = 21, Err(Refusal::PolicyEvaluationNumber));
    check_platform(|claims, _| claims.tcb_status = TcbStatus::OutOfDate, Err(Refusal::PolicyTcbStatus));
    let denied: PlatformEdit = |_, policy| policy.advisories_denied.push("INTEL-SA-01036".to_owned());
    check_platform(denied, Err(Refusal::PolicyAdvisory));
    check_platform(|_, policy| policy.advisories_denied.push("INTEL-SA-01037".to_owned()), Ok(()));
    check_platform(|_, policy| policy.advisories_allowed = Some(Vec::new()), Err(Refusal::PolicyAdvisoryNotAllowed));
    check_platform(|_, policy| policy.advisories_allowed = Some(vec!["INTEL-SA-01036".to_owned()]), Ok(()));
    let none: PlatformEdit = |claims, policy| {
        claims.advisories.clear();
        policy.advisories_allowed = Some(Vec::new());
    };
    check_platform(none, Ok(()));
}

#[test]
fn grace_is_time_to_patch_and_nothing_else() {
    let grace: PlatformEdit = |claims, policy| {
        claims.tcb_status = TcbStatus::OutOfDate;
        policy.tcb_grace_s = 1_000;
    };
    check_platform(grace, Ok(()));
    let grace_over: PlatformEdit = |claims, policy| {
        claims.tcb_status = TcbStatus::OutOfDate;
        policy.tcb_grace_s = 999;
    };
    check_platform(grace_over, Err(Refusal::PolicyTcbStatus));
    let endless: PlatformEdit = |claims, policy| {
        claims.tcb_status = TcbStatus::TdRelaunchAdvised;
        policy.tcb_grace_s = u64::MAX;
    };
    check_platform(endless, Ok(()));
    // A missing configuration is not what time is given for.
    let configuration: PlatformEdit = |claims, policy| {
        claims.tcb_status = TcbStatus::OutOfDateConfigurationNeeded;
        policy.tcb_grace_s = u64::MAX;
    };
    check_platform(configuration, Err(Refusal::PolicyTcbStatus));
    let both: PlatformEdit = |claims, policy| {
        claims.tcb_status = TcbStatus::OutOfDateConfigurationNeeded;
        policy.tcb_statuses.push(TcbStatus::ConfigurationNeeded);
        policy.tcb_grace_s = u64::MAX;
    };
    check_platform(both, Ok(()));
    let hardening: PlatformEdit = |claims, policy| {
        claims.tcb_status = TcbStatus::SwHardeningNeeded;
        policy.tcb_grace_s = u64::MAX;
    };
    check_platform(hardening, Err(Refusal::PolicyTcbStatus));
}

#[test]
fn revoked_is_refused_whatever_the_policy_says() {
    let revoked: PlatformEdit = |claims, policy| {
        claims.tcb_status = TcbStatus::Revoked;
        policy.tcb_statuses.push(TcbStatus::Revoked);
        policy.tcb_grace_s = u64::MAX;
    };
    check_platform(revoked, Err(Refusal::PolicyTcbStatus));
}
