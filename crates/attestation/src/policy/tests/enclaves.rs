//! Rules for enclaves.

use freehold_primitives::{Digest, EvidencePolicy, SgxMeasurement, SgxPolicy};

use super::{NOW, platform};
use crate::{
    claims::VerifiedClaims,
    development_policy,
    refusal::Refusal,
    sgx::{SgxClaims, judge},
};

fn measurement() -> SgxMeasurement {
    SgxMeasurement { mr_enclave: Digest([40; 32]), mr_signer: Digest([41; 32]), isv_prod_id: 7, isv_svn: 5 }
}

fn claims() -> SgxClaims {
    SgxClaims {
        attributes: 0x85,
        xfrm: 0xe7,
        misc_select: 0,
        cpu_svn: [1; 16],
        config_svn: 3,
        isv_ext_prod_id: [50; 16],
        isv_family_id: [51; 16],
        signed_part_digest: Digest([5; 32]),
        config_id: [52; 64],
        platform: platform(),
        measurement: measurement(),
        report_data: [0; 64],
    }
}

pub(super) fn accepted() -> (VerifiedClaims, EvidencePolicy) {
    (claims().into(), development_policy(measurement()))
}

type Edit = fn(&mut SgxClaims, &mut SgxPolicy);

fn check(edit: Edit, expected: Result<(), Refusal>) {
    let (mut claims, mut policy) = (claims(), development_policy(measurement()).sgx.unwrap());
    edit(&mut claims, &mut policy);
    assert_eq!(judge(&claims, &policy, NOW), expected);
}

#[test]
fn debug_is_never_accepted() {
    let debug: Edit = |claims, policy| {
        claims.attributes |= 2;
        policy.attributes_allowed = u64::MAX;
    };
    check(debug, Err(Refusal::PolicyDebug));
}

#[test]
fn attributes_features_and_misc_select() {
    check(|_, _| (), Ok(()));
    check(|claims, _| claims.attributes |= 0x10, Err(Refusal::PolicySgxAttributes));
    check(|claims, _| claims.attributes &= !0x80, Err(Refusal::PolicySgxAttributes));
    let provision: Edit = |claims, policy| {
        claims.attributes |= 0x10;
        policy.attributes_allowed |= 0x10;
    };
    check(provision, Ok(()));
    check(|claims, _| claims.xfrm |= 1 << 9, Err(Refusal::PolicyXfrm));
    check(|claims, _| claims.misc_select = 1, Err(Refusal::PolicyMiscSelect));
    let misc: Edit = |claims, policy| {
        claims.misc_select = 1;
        policy.misc_select_allowed = 3;
    };
    check(misc, Ok(()));
}

#[test]
fn an_enclave_is_named_by_itself_or_by_its_signer() {
    check(|_, policy| policy.releases.clear(), Err(Refusal::PolicyMeasurement));
    check(|claims, _| claims.measurement.mr_enclave.0[0] ^= 1, Err(Refusal::PolicyMeasurement));
    check(|claims, _| claims.measurement.mr_signer.0[0] ^= 1, Err(Refusal::PolicyMeasurement));
    check(|claims, _| claims.measurement.isv_prod_id += 1, Err(Refusal::PolicyMeasurement));
    let by_signer: Edit = |claims, policy| {
        claims.measurement.mr_enclave.0[0] ^= 1;
        policy.releases[0].mr_enclave = None;
    };
    check(by_signer, Ok(()));
    let by_enclave: Edit = |claims, policy| {
        claims.measurement.mr_signer.0[0] ^= 1;
        policy.releases[0].mr_signer = None;
    };
    check(by_enclave, Ok(()));
    // A product alone names nobody.
    check(
        |_, policy| (policy.releases[0].mr_enclave, policy.releases[0].mr_signer) = (None, None),
        Err(Refusal::PolicyMeasurement),
    );
}

#[test]
fn security_versions_do_not_fall() {
    check(|claims, _| claims.measurement.isv_svn = 6, Ok(()));
    check(|claims, _| claims.measurement.isv_svn = 4, Err(Refusal::PolicyIsvSvn));
    let second: Edit = |claims, policy| {
        claims.measurement.isv_svn = 4;
        let mut older = policy.releases[0].clone();
        older.isv_svn_min = 4;
        policy.releases.push(older);
    };
    check(second, Ok(()));
    check(|_, policy| policy.config_svn_min = 4, Err(Refusal::PolicyConfigSvn));
    check(|_, policy| policy.config_svn_min = 3, Ok(()));
}

#[test]
fn key_separation_and_sharing() {
    check(|_, policy| policy.config_id = Some([0; 64]), Err(Refusal::PolicyEnclaveConfig));
    check(|_, policy| policy.config_id = Some([52; 64]), Ok(()));
    check(|_, policy| policy.isv_ext_prod_id = Some([0; 16]), Err(Refusal::PolicyExtendedProduct));
    check(|_, policy| policy.isv_ext_prod_id = Some([50; 16]), Ok(()));
    check(|_, policy| policy.isv_family_id = Some([0; 16]), Err(Refusal::PolicyEnclaveFamily));
    check(|_, policy| policy.isv_family_id = Some([51; 16]), Ok(()));
}
