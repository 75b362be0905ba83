//! Emulated documents: every condition with its code, with and without collateral.

use freehold_attestation::{
    Refusal, Revocation,
    nitro::{self, UnverifiedNitro, VerifiedNitroCollateral, judge, nitro_default_policy},
};
use freehold_emulator::{
    DEVELOPMENT_SEED, NITRO_LEAF_VALID_S, NitroCollateralCondition, NitroCondition, NitroPlatform,
};
use freehold_primitives::{Digest, NitroPolicy, Register, TrustDomain};
use sha2::{Digest as _, Sha256};

use crate::{HOST, NOW, REPORT_DATA, claims_of, collateral, emulated_roots, enclave, evidence};

/// Start of the leaf's validity.
const LEAF_FROM: u64 = NOW / 3600 * 3600;

#[test]
fn a_good_document_gives_all_claims() {
    let bytes = evidence(NitroCondition::Good);
    let claims = claims_of(&bytes).unwrap();
    assert_eq!(claims.trust_domain(), TrustDomain::Emulated);
    assert_eq!(claims.report_data(), &REPORT_DATA);
    assert_eq!(claims.document().measurement(), enclave().measurement);
    assert_eq!(claims.document().module_id(), HOST.module_id());
    assert_eq!(claims.document().timestamp_ms(), NOW * 1000);
    assert_eq!(claims.platform(), Digest(Sha256::digest(HOST.module_id()).into()));
    assert_eq!(claims.family(), [0; 6]);
    assert_eq!(claims.expires_at(), LEAF_FROM + NITRO_LEAF_VALID_S);
    assert_eq!(claims.revocation(), Revocation::Unknown);
    let unverified = UnverifiedNitro::read(&bytes).unwrap();
    assert_eq!(unverified.document(), claims.document());
    assert_eq!(unverified.report_data(), Ok(REPORT_DATA));
    assert_eq!(unverified.signed_part_digest(), claims.signed_part_digest());
    assert_eq!(unverified.root_certificate(), HOST.root_certificate());
    assert_eq!(nitro::canonicalise(&bytes), Ok(bytes.clone()));
    assert_eq!(
        NitroPlatform::new(&DEVELOPMENT_SEED).evidence(&enclave(), &REPORT_DATA, NOW, NitroCondition::Good),
        bytes
    );
}

#[test]
fn every_condition_of_evidence_has_its_code() {
    let policy = nitro_default_policy(vec![enclave().measurement]);
    let cases = [
        (NitroCondition::Good, Ok(())),
        (NitroCondition::Debug, Err(Refusal::PolicyDebug)),
        (NitroCondition::LeafExpired, Err(Refusal::CertificateExpired)),
        (NitroCondition::ModuleForeign, Err(Refusal::NitroModule)),
        (NitroCondition::TimestampAhead, Err(Refusal::NitroTimestamp)),
        (NitroCondition::UserDataShort, Err(Refusal::NitroReportData)),
        (NitroCondition::IssuerForeign, Err(Refusal::CertificateChain)),
    ];
    for (condition, expect) in cases {
        let verdict = claims_of(&evidence(condition)).and_then(|claims| judge(&claims, &policy, NOW));
        assert_eq!(verdict, expect, "{condition:?}");
    }
}

#[test]
fn the_leaf_lives_for_three_hours() {
    let bytes = evidence(NitroCondition::Good);
    let at = |now| nitro::claims(&bytes, &[], &emulated_roots(), now).map(|_| ());
    assert_eq!(at(LEAF_FROM + NITRO_LEAF_VALID_S - 1), Ok(()));
    assert_eq!(at(LEAF_FROM + NITRO_LEAF_VALID_S), Err(Refusal::CertificateExpired));
    assert_eq!(at(LEAF_FROM - 1), Err(Refusal::CertificateNotYetValid));
    // Clocks may differ by five minutes.
    assert_eq!(at(NOW - 300), Ok(()));
    assert_eq!(at(NOW - 301), Err(Refusal::NitroTimestamp));
}

#[test]
fn every_condition_of_collateral_has_its_code() {
    let bytes = evidence(NitroCondition::Good);
    let verdict = |condition| {
        nitro::claims(&bytes, &collateral(condition), &emulated_roots(), NOW).map(|claims| claims.revocation())
    };
    assert_eq!(verdict(NitroCollateralCondition::Good), Ok(Revocation::Checked));
    assert_eq!(verdict(NitroCollateralCondition::ListsMissing), Ok(Revocation::Unknown));
    assert_eq!(verdict(NitroCollateralCondition::RegionalRevoked), Err(Refusal::CertificateRevoked));
    assert_eq!(verdict(NitroCollateralCondition::ListsExpired), Err(Refusal::RevocationListExpired));
}

#[test]
fn accepted_collateral_gives_the_same_claims() {
    let bytes = evidence(NitroCondition::Good);
    let document = collateral(NitroCollateralCondition::Good);
    let roots = emulated_roots();
    let verified = VerifiedNitroCollateral::verify(&document, &roots, NOW).unwrap();
    let whole = nitro::claims(&bytes, &document, &roots, NOW).unwrap();
    assert_eq!(nitro::claims_accepted(&bytes, &document, &roots, NOW).as_ref(), Ok(&whole));
    assert_eq!(verified.issued_at(), 1_794_960_000);
    assert_eq!(verified.revocation_number(), 1_794_960_000 / 86_400);
    let end = verified.expires_at();
    assert_eq!(nitro::claims_accepted(&bytes, &document, &roots, end), Err(Refusal::CertificateExpired));
    // Collateral of another day has other certificates, in date or not: the document is verified in full.
    for age in [86_400, 40 * 86_400] {
        let other = HOST.collateral(NOW - age, NitroCollateralCondition::Good);
        let claims = nitro::claims(&bytes, &other, &roots, NOW).unwrap();
        assert_eq!(claims.revocation(), Revocation::Unknown);
        assert_eq!(claims.document(), whole.document());
        assert_eq!(nitro::claims_accepted(&bytes, &other, &roots, NOW), Ok(claims));
    }
}

#[test]
fn each_item_of_the_policy_refuses_by_its_own_code() {
    let claims = claims_of(&evidence(NitroCondition::Good)).unwrap();
    let check = |expect: Option<Refusal>, now, edit: &dyn Fn(&mut NitroPolicy)| {
        let mut policy = nitro_default_policy(vec![enclave().measurement]);
        edit(&mut policy);
        assert_eq!(judge(&claims, &policy, now).err(), expect);
    };
    check(None, NOW, &|_| {});
    check(Some(Refusal::PolicyMeasurement), NOW, &|policy| policy.measurements.clear());
    for edit in [
        (|measurement| measurement.pcr0 = Register([1; 48])) as fn(&mut freehold_primitives::NitroMeasurement),
        |measurement| measurement.pcr1 = Some(Register([1; 48])),
        |measurement| measurement.pcr2 = Some(Register([1; 48])),
        |measurement| measurement.pcr3 = Some(Register([1; 48])),
        |measurement| measurement.pcr4 = Some(Register([1; 48])),
        |measurement| measurement.pcr8 = Some(Register([1; 48])),
    ] {
        check(Some(Refusal::PolicyMeasurement), NOW, &|policy| edit(&mut policy.measurements[0]));
    }
    check(None, NOW, &|policy| {
        let release = &mut policy.measurements[0];
        (release.pcr1, release.pcr2) = (None, None);
        (release.pcr3, release.pcr4, release.pcr8) = (None, None, None);
    });
    check(None, NOW + 60, &|policy| policy.age_s_max = 60);
    check(Some(Refusal::NitroPolicyAge), NOW + 61, &|policy| policy.age_s_max = 60);
    check(Some(Refusal::RevocationUnknown), NOW, &|policy| policy.revocation_required = true);
    check(Some(Refusal::CollateralExpired), claims.expires_at(), &|_| {});
}
