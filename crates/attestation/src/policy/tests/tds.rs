//! Rules for TDs.

use freehold_primitives::{Digest, EvidencePolicy, Register, TdxForm, TdxMeasurement, TdxPolicy};

use super::{NOW, platform};
use crate::{
    claims::VerifiedClaims,
    development_policy,
    refusal::Refusal,
    tdx::{TdxClaims, judge},
};

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

fn claims() -> TdxClaims {
    TdxClaims {
        form: TdxForm::V5Td15Ex,
        attributes: 1 << 28,
        xfam: 0x602e7,
        tee_tcb_svn: [1; 16],
        mr_seam: Register([4; 48]),
        mr_signer_seam: Register::ZERO,
        mr_config_id: Register([20; 48]),
        mr_owner: Register([21; 48]),
        mr_owner_config: Register([22; 48]),
        mr_service_td: Some(Register::ZERO),
        service_td_hash: Some(Register::ZERO),
        td_id: Some(Digest([6; 32])),
        signed_part_digest: Digest([5; 32]),
        platform: platform(),
        measurement: measurement(),
        report_data: [0; 64],
    }
}

pub(super) fn accepted() -> (VerifiedClaims, EvidencePolicy) {
    (claims().into(), development_policy(measurement()))
}

type Edit = fn(&mut TdxClaims, &mut TdxPolicy);

fn check(edit: Edit, expected: Result<(), Refusal>) {
    let (mut claims, mut policy) = (claims(), development_policy(measurement()).tdx.unwrap());
    edit(&mut claims, &mut policy);
    assert_eq!(judge(&claims, &policy, NOW), expected);
}

#[test]
fn never_accepted() {
    for bit in [0, 4, 5, 6, 29] {
        let (mut claims, mut policy) = (claims(), development_policy(measurement()).tdx.unwrap());
        claims.attributes |= 1 << bit;
        policy.attributes_allowed = u64::MAX;
        let refusal = if bit == 29 { Refusal::PolicyTdAttributes } else { Refusal::PolicyDebug };
        assert_eq!(judge(&claims, &policy, NOW), Err(refusal), "bit {bit}");
    }
}

#[test]
fn attributes_and_features() {
    check(|claims, _| claims.attributes = 0, Err(Refusal::PolicyTdAttributes));
    // ICSSD, LASS, PKS, KL, TPA, PERFMON: each only where the policy says so.
    for bit in [16, 27, 30, 31, 62, 63] {
        let (mut claims, mut policy) = (claims(), development_policy(measurement()).tdx.unwrap());
        claims.attributes |= 1 << bit;
        assert_eq!(judge(&claims, &policy, NOW), Err(Refusal::PolicyTdAttributes), "bit {bit}");
        policy.attributes_allowed |= 1 << bit;
        assert_eq!(judge(&claims, &policy, NOW), Ok(()), "bit {bit}");
        claims.attributes = 1 << 28;
        assert_eq!(judge(&claims, &policy, NOW), Ok(()), "bit {bit} need not be set");
        policy.attributes_required |= 1 << bit;
        assert_eq!(judge(&claims, &policy, NOW), Err(Refusal::PolicyTdAttributes), "bit {bit} must be set");
    }
    check(|claims, _| claims.xfam |= 1 << 8, Err(Refusal::PolicyXfam));
    check(|claims, _| claims.xfam &= !1, Err(Refusal::PolicyXfam));
    check(|_, policy| policy.xfam_allowed = u64::MAX, Ok(()));
    check(|_, policy| policy.forms_allowed = vec![TdxForm::V4Td10], Err(Refusal::PolicyQuoteForm));
    check(|_, policy| policy.forms_allowed = vec![TdxForm::V5Td15Ex], Ok(()));
}

#[test]
fn each_register_counts_unless_left_open() {
    check(|_, policy| policy.measurements.clear(), Err(Refusal::PolicyMeasurement));
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
        policy.measurements[0].rtmr3 = None;
    };
    check(open, Ok(()));
    let second: Edit = |claims, policy| {
        claims.measurement.mrtd.0[0] ^= 1;
        policy.measurements.push(claims.measurement.clone());
    };
    check(second, Ok(()));
}

#[test]
fn releases_are_sets_and_not_mixed() {
    // The registers of one release beside those of another are neither.
    let mixed: Edit = |claims, policy| {
        let mut other = claims.measurement.clone();
        other.mrtd = Register([30; 48]);
        other.rtmr1 = Some(Register([31; 48]));
        policy.measurements.push(other);
        claims.measurement.rtmr1 = Some(Register([31; 48]));
    };
    check(mixed, Err(Refusal::PolicyMeasurement));
}

#[test]
fn module_owner_and_configuration() {
    check(|_, policy| policy.mr_seam_allowed.push(Register([8; 48])), Err(Refusal::PolicySeamModule));
    check(|claims, policy| policy.mr_seam_allowed.push(claims.mr_seam), Ok(()));
    check(|_, policy| policy.mr_signer_seam_allowed.push(Register([8; 48])), Err(Refusal::PolicySeamSigner));
    check(|_, policy| policy.mr_signer_seam_allowed.push(Register::ZERO), Ok(()));
    let zero = Some(Register::ZERO);
    for (wanted, refusal) in [(0, Refusal::PolicyConfigId), (1, Refusal::PolicyOwner), (2, Refusal::PolicyOwnerConfig)]
    {
        let (claims, mut policy) = (claims(), development_policy(measurement()).tdx.unwrap());
        let set = |policy: &mut TdxPolicy, value| match wanted {
            0 => policy.mr_config_id = value,
            1 => policy.mr_owner = value,
            _ => policy.mr_owner_config = value,
        };
        set(&mut policy, zero);
        assert_eq!(judge(&claims, &policy, NOW), Err(refusal));
        set(&mut policy, Some(Register([20 + wanted; 48])));
        assert_eq!(judge(&claims, &policy, NOW), Ok(()));
    }
}

#[test]
fn service_tds_are_named_or_refused() {
    let service = Register([7; 48]);
    let bound: [fn(&mut TdxClaims); 2] = [
        |claims| claims.mr_service_td = Some(Register([7; 48])),
        |claims| claims.service_td_hash = Some(Register([7; 48])),
    ];
    for bind in bound {
        let (mut claims, mut policy) = (claims(), development_policy(measurement()).tdx.unwrap());
        bind(&mut claims);
        assert_eq!(judge(&claims, &policy, NOW), Err(Refusal::PolicyServiceTd));
        policy.service_tds_allowed.push(service);
        assert_eq!(judge(&claims, &policy, NOW), Ok(()));
    }
    // A TD 1.0 body cannot have any.
    check(|claims, _| (claims.mr_service_td, claims.service_td_hash) = (None, None), Ok(()));
}
