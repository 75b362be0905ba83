//! Each rule of a policy on its own: claims that satisfy it, one change, the refusal it must give.
#![allow(clippy::unwrap_used)]

use freehold_primitives::{Digest, EvidencePolicy, Register, TcbStatus, TdxMeasurement, TrustDomain};

use super::{development_policy, judge};
use crate::{claims::VerifiedClaims, refusal::Refusal};

const NOW: u64 = 1_795_000_000;

fn measurement() -> TdxMeasurement {
    let register = |byte: u8| Some(Register([byte; 48]));
    TdxMeasurement {
        mrtd: Register([9; 48]),
        rtmr0: register(10),
        rtmr1: register(11),
        rtmr2: register(12),
        rtmr3: register(13),
    }
}

fn claims() -> VerifiedClaims {
    VerifiedClaims {
        trust_domain: TrustDomain::Emulated,
        measurement: measurement(),
        tcb_status: TcbStatus::UpToDate,
        tcb_date_unix_s: NOW - 1_000,
        advisories: vec!["INTEL-SA-01036".to_owned()],
        platform: Digest([3; 32]),
        fmspc: [1; 6],
        report_data: [0; 64],
        td_attributes: 1 << 28,
        xfam: 0x602e7,
        mr_seam: Register([4; 48]),
        expires_at: NOW + 1,
        tcb_evaluation_data_number: 20,
        signed_part_digest: Digest([5; 32]),
        multi_package: false,
    }
}

type Edit = fn(&mut VerifiedClaims, &mut EvidencePolicy);

fn check(edit: Edit, expected: Result<(), Refusal>) {
    let (mut claims, mut policy) = (claims(), development_policy(measurement()));
    edit(&mut claims, &mut policy);
    assert_eq!(judge(&claims, &policy, NOW), expected);
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
fn domain_and_attributes() {
    check(|claims, _| claims.trust_domain = TrustDomain::Intel, Err(Refusal::PolicyTrustDomain));
    check(|_, policy| policy.trust_domains.clear(), Err(Refusal::PolicyTrustDomain));
    let debug: Edit = |claims, policy| {
        claims.td_attributes |= 1;
        policy.td_attributes_mask = 0;
    };
    check(debug, Err(Refusal::PolicyDebug));
    check(|claims, _| claims.td_attributes |= 1 << 63, Err(Refusal::PolicyTdAttributes));
    check(|claims, _| claims.td_attributes = 0, Err(Refusal::PolicyTdAttributes));
    let masked: Edit = |claims, policy| {
        claims.td_attributes |= 1 << 63;
        policy.td_attributes_mask = u64::MAX >> 1;
    };
    check(masked, Ok(()));
    check(|claims, _| claims.xfam |= 1 << 8, Err(Refusal::PolicyXfam));
    // Bits of the value outside the mask say nothing.
    let value: Edit = |_, policy| {
        policy.xfam_mask = 0;
        policy.xfam = u64::MAX;
    };
    check(value, Ok(()));
}

#[test]
fn each_register_counts_unless_left_open() {
    check(|_, policy| policy.tdx_measurements.clear(), Err(Refusal::PolicyMeasurement));
    let edits: [Edit; 5] = [
        |claims, _| claims.measurement.mrtd.0[0] ^= 1,
        |claims, _| claims.measurement.rtmr0.as_mut().unwrap().0[0] ^= 1,
        |claims, _| claims.measurement.rtmr1.as_mut().unwrap().0[0] ^= 1,
        |claims, _| claims.measurement.rtmr2.as_mut().unwrap().0[0] ^= 1,
        |claims, _| claims.measurement.rtmr3.as_mut().unwrap().0[0] ^= 1,
    ];
    for edit in edits {
        check(edit, Err(Refusal::PolicyMeasurement));
    }
    let open: Edit = |claims, policy| {
        claims.measurement.rtmr3.as_mut().unwrap().0[0] ^= 1;
        policy.tdx_measurements[0].rtmr3 = None;
    };
    check(open, Ok(()));
    let second: Edit = |claims, policy| {
        claims.measurement.mrtd.0[0] ^= 1;
        policy.tdx_measurements.push(claims.measurement.clone());
    };
    check(second, Ok(()));
}

#[test]
fn platform_lists() {
    check(|_, policy| policy.mr_seam_allowed.push(Register([8; 48])), Err(Refusal::PolicySeamModule));
    check(|claims, policy| policy.mr_seam_allowed.push(claims.mr_seam), Ok(()));
    check(|_, policy| policy.fmspc_allowed.push([2; 6]), Err(Refusal::PolicyFamilyNotAllowed));
    check(|claims, policy| policy.fmspc_allowed.push(claims.fmspc), Ok(()));
    check(|claims, policy| policy.fmspc_denied.push(claims.fmspc), Err(Refusal::PolicyFamilyDenied));
    check(|claims, policy| policy.platforms_denied.push(claims.platform), Err(Refusal::PolicyPlatformDenied));
    check(|claims, _| claims.multi_package = true, Err(Refusal::PolicyMultiPackage));
    let allowed: Edit = |claims, policy| {
        claims.multi_package = true;
        policy.multi_package_allowed = true;
    };
    check(allowed, Ok(()));
}

#[test]
fn status_number_and_advisories() {
    check(|_, policy| policy.tcb_evaluation_data_number_min = 21, Err(Refusal::PolicyEvaluationNumber));
    check(|claims, _| claims.tcb_status = TcbStatus::OutOfDate, Err(Refusal::PolicyTcbStatus));
    check(|_, policy| policy.advisories_denied.push("INTEL-SA-01036".to_owned()), Err(Refusal::PolicyAdvisory));
    check(|_, policy| policy.advisories_denied.push("INTEL-SA-01037".to_owned()), Ok(()));
    let grace: Edit = |claims, policy| {
        claims.tcb_status = TcbStatus::OutOfDate;
        policy.tcb_grace_s = 1_000;
    };
    check(grace, Ok(()));
    let grace_over: Edit = |claims, policy| {
        claims.tcb_status = TcbStatus::OutOfDate;
        policy.tcb_grace_s = 999;
    };
    check(grace_over, Err(Refusal::PolicyTcbStatus));
    let endless: Edit = |claims, policy| {
        claims.tcb_status = TcbStatus::OutOfDate;
        policy.tcb_grace_s = u64::MAX;
    };
    check(endless, Ok(()));
}

#[test]
fn revoked_is_refused_whatever_the_policy_says() {
    let revoked: Edit = |claims, policy| {
        claims.tcb_status = TcbStatus::Revoked;
        policy.tcb_statuses.push(TcbStatus::Revoked);
        policy.tcb_grace_s = u64::MAX;
    };
    check(revoked, Err(Refusal::PolicyTcbStatus));
}
