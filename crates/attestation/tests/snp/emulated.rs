//! Emulated evidence: all products, keys and report versions, and every condition with its code.

use freehold_attestation::{
    Refusal, Revocation, check_roots,
    snp::{self, UnverifiedSnp, VerifiedSnpCollateral, judge},
};
use freehold_emulator::{DEVELOPMENT_SEED, SNP_CLOUD, SnpCollateralCondition, SnpCondition, SnpGuest, SnpPlatform};
use freehold_primitives::{Digest, Register, SnpPolicy, SnpProduct, SnpSigningKey, SnpTcb, TrustDomain};
use sha2::{Digest as _, Sha256};

use crate::{
    MACHINES, NOW, PRODUCTS, REPORT_DATA, claims_of, collateral, emulated_roots, evidence, guest, machine, open_policy,
    release,
};

#[test]
fn every_product_key_and_version_verifies() {
    for product in PRODUCTS {
        for key in [SnpSigningKey::Vcek, SnpSigningKey::Vlek] {
            let document = collateral(product, key);
            for report_version in 2..=5 {
                let guest = SnpGuest { report_version, ..guest() };
                let bytes = machine(product).evidence(&guest, &REPORT_DATA, key, SnpCondition::Good);
                let claims = snp::claims(&bytes, &document, &emulated_roots(), NOW).unwrap();
                let report = claims.report();
                assert_eq!(claims.trust_domain(), TrustDomain::Emulated);
                assert_eq!((claims.product(), report.signing_key(), report.version()), (product, key, report_version));
                assert_eq!(claims.family(), [product as u8, key as u8, 0, 0, 0, 0]);
                assert_eq!(report.report_data(), REPORT_DATA);
                assert_eq!(claims.measurement(), release());
                assert_eq!(report.reported_tcb(product), guest.reported_tcb);
                assert_eq!(report.launch_tcb(product), guest.launch_tcb);
                assert_eq!(report.cpu().is_some(), report_version >= 3);
                assert_eq!(report.launch_mitigations(), (report_version == 5).then_some(3));
                assert_eq!(claims.platform(), Digest(Sha256::digest(machine(product).chip_id()).into()));
                assert_eq!(claims.cloud(), (key == SnpSigningKey::Vlek).then_some(SNP_CLOUD));
                assert_eq!(claims.signed_part_digest(), Digest(Sha256::digest(&bytes[..0x2a0]).into()));
                assert_eq!(claims.revocation(), Revocation::Checked);
                assert_eq!(claims.expires_at(), 1_794_960_000 + 30 * 86_400);
                let unverified = UnverifiedSnp::read(&bytes).unwrap();
                assert_eq!(unverified.report(), report);
                assert_eq!(unverified.family(), claims.family());
                assert_eq!(unverified.platform(), claims.platform());
            }
        }
    }
}

#[test]
fn bytes_come_again_from_the_seed() {
    let again = SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa);
    let bytes = again.evidence(&guest(), &REPORT_DATA, SnpSigningKey::Vcek, SnpCondition::Good);
    assert_eq!(bytes, evidence(SnpCondition::Good));
    assert_eq!(again.root_certificate(), machine(SnpProduct::Genoa).root_certificate());
    let other = SnpPlatform::nth(&DEVELOPMENT_SEED, SnpProduct::Genoa, 1);
    assert_ne!(other.chip_id(), again.chip_id());
    assert_eq!(other.root_certificate(), again.root_certificate());
}

#[test]
fn every_condition_of_evidence_has_its_code() {
    let policy = open_policy(vec![release()]);
    let cases = [
        (SnpCondition::Good, Ok(())),
        (SnpCondition::Debug, Err(Refusal::PolicyDebug)),
        (SnpCondition::Migratable, Err(Refusal::SnpPolicyGuestPolicy)),
        (SnpCondition::LowerPrivilege, Err(Refusal::SnpPolicyVmpl)),
        (SnpCondition::TcbOld, Err(Refusal::SnpPolicyTcb)),
        (SnpCondition::LaunchTcbOld, Err(Refusal::SnpPolicyLaunchTcb)),
        (SnpCondition::TcbOutOfOrder, Err(Refusal::SnpPolicyTcbOrder)),
        (SnpCondition::AliasUnchecked, Err(Refusal::SnpPolicyPlatformInfo)),
        (SnpCondition::ChipForeign, Err(Refusal::SnpChipMismatch)),
        (SnpCondition::TcbForeign, Err(Refusal::SnpTcbMismatch)),
        (SnpCondition::CpuForeign, Err(Refusal::SnpProductMismatch)),
        (SnpCondition::EndorsementExpired, Err(Refusal::CertificateExpired)),
        (SnpCondition::Unsigned, Err(Refusal::SnpUnsigned)),
    ];
    for (condition, expect) in cases {
        let verdict = claims_of(&evidence(condition)).and_then(|claims| judge(&claims, &policy, NOW));
        assert_eq!(verdict, expect, "{condition:?}");
    }
}

#[test]
fn every_condition_of_collateral_has_its_code() {
    let cases = [
        (SnpCollateralCondition::Good, Ok(())),
        (SnpCollateralCondition::IntermediateRevoked, Err(Refusal::CertificateRevoked)),
        (SnpCollateralCondition::ListExpired, Err(Refusal::RevocationListExpired)),
        // Without a list the claims stand, and a policy that demands one refuses.
        (SnpCollateralCondition::ListMissing, Err(Refusal::RevocationUnknown)),
    ];
    let policy = open_policy(vec![release()]);
    let bytes = evidence(SnpCondition::Good);
    for (condition, expect) in cases {
        let document = machine(SnpProduct::Genoa).collateral(NOW, SnpSigningKey::Vcek, condition);
        let verdict = snp::claims(&bytes, &document, &emulated_roots(), NOW);
        let verdict = verdict.and_then(|claims| judge(&claims, &policy, NOW));
        assert_eq!(verdict, expect, "{condition:?}");
    }
    let missing = machine(SnpProduct::Genoa).collateral(NOW, SnpSigningKey::Vcek, SnpCollateralCondition::ListMissing);
    let claims = snp::claims(&bytes, &missing, &emulated_roots(), NOW).unwrap();
    assert_eq!(claims.revocation(), Revocation::Unknown);
    let lenient = SnpPolicy { revocation_required: false, ..policy };
    assert_eq!(judge(&claims, &lenient, NOW), Ok(()));
}

#[test]
fn collateral_is_for_one_product_and_one_kind_of_key() {
    let bytes = evidence(SnpCondition::Good);
    let verdict = |document: &[u8]| snp::claims(&bytes, document, &emulated_roots(), NOW).unwrap_err();
    assert_eq!(verdict(&collateral(SnpProduct::Genoa, SnpSigningKey::Vlek)), Refusal::PlatformFamily);
    assert_eq!(verdict(&collateral(SnpProduct::Turin, SnpSigningKey::Vcek)), Refusal::PlatformFamily);
    // A document that lies about what its intermediate is for.
    let mut lying = collateral(SnpProduct::Turin, SnpSigningKey::Vcek);
    lying[1] = SnpProduct::Genoa as u8;
    assert_eq!(verdict(&lying), Refusal::CollateralKind);
    // Another network's roots.
    let document = collateral(SnpProduct::Genoa, SnpSigningKey::Vcek);
    assert_eq!(snp::claims(&bytes, &document, &[], NOW).unwrap_err(), Refusal::UnknownRoot);
    let mut intel = emulated_roots();
    intel.iter_mut().for_each(|root| root.domain = TrustDomain::Intel);
    assert_eq!(snp::claims(&bytes, &document, &intel, NOW).unwrap_err(), Refusal::UnknownRoot);
}

#[test]
fn accepted_collateral_gives_the_same_claims() {
    let bytes = evidence(SnpCondition::Good);
    let document = collateral(SnpProduct::Genoa, SnpSigningKey::Vcek);
    let roots = emulated_roots();
    let verified = VerifiedSnpCollateral::verify(&document, &roots, NOW).unwrap();
    let whole = claims_of(&bytes).unwrap();
    let accepted = |now| snp::claims_accepted(&bytes, &document, &roots, now);
    assert_eq!(accepted(NOW).as_ref(), Ok(&whole));
    assert_eq!(verified.family(), whole.family());
    assert_eq!(verified.issued_at(), 1_794_960_000);
    assert_eq!(verified.revocation_number(), 1_794_960_000 / 86_400);
    let end = verified.expires_at();
    assert!(accepted(end - 1).is_ok());
    assert_eq!(accepted(end), Err(Refusal::RevocationListExpired));
    assert_eq!(accepted(verified.issued_at() - 1), Err(Refusal::CollateralNotYetValid));
    assert_eq!(snp::claims_accepted(&bytes, &document, &roots[..1], NOW), Err(Refusal::UnknownRoot));
}

#[test]
fn each_item_of_the_policy_refuses_by_its_own_code() {
    let author = Register([7; 48]);
    let shown = SnpGuest { author_key_digest: Some(author), id_key_digest: Register([6; 48]), ..guest() };
    let bytes = machine(SnpProduct::Genoa).evidence(&shown, &REPORT_DATA, SnpSigningKey::Vcek, SnpCondition::Good);
    let claims = claims_of(&bytes).unwrap();
    let check = |expect: Option<Refusal>, edit: &dyn Fn(&mut SnpPolicy)| {
        let mut policy = open_policy(vec![release()]);
        edit(&mut policy);
        assert_eq!(judge(&claims, &policy, NOW).err(), expect);
    };
    check(None, &|_| {});
    check(Some(Refusal::PolicyMeasurement), &|policy| policy.measurements.clear());
    check(Some(Refusal::PolicyMeasurement), &|policy| policy.measurements[0].host_data = Some(Digest([9; 32])));
    check(None, &|policy| policy.measurements[0].host_data = None);
    check(Some(Refusal::SnpPolicyProduct), &|policy| policy.products.retain(|item| item.product != SnpProduct::Genoa));
    check(Some(Refusal::SnpPolicySigningKey), &|policy| policy.signing_keys = vec![SnpSigningKey::Vlek]);
    check(Some(Refusal::SnpPolicyReportVersion), &|policy| policy.report_version_min = 6);
    check(Some(Refusal::SnpPolicyGuestAbi), &|policy| policy.guest_abi_min = 1 << 8 | 52);
    check(None, &|policy| policy.guest_abi_min = 1 << 8 | 51);
    let demanded = [snp::SNP_GUEST_CIPHERTEXT_HIDING, snp::SNP_GUEST_RAPL_DIS, snp::SNP_GUEST_MEM_AES_256_XTS];
    for bit in demanded.into_iter().chain([snp::SNP_GUEST_SINGLE_SOCKET, snp::SNP_GUEST_PAGE_SWAP_DISABLE]) {
        check(Some(Refusal::SnpPolicyGuestPolicy), &|policy| {
            policy.guest_policy_mask |= bit;
            policy.guest_policy |= bit;
        });
    }
    check(Some(Refusal::SnpPolicyGuestPolicy), &|policy| policy.guest_policy_mask |= snp::SNP_GUEST_SMT);
    check(Some(Refusal::SnpPolicyPlatformInfo), &|policy| policy.platform_info_mask |= snp::SNP_PLATFORM_SMT);
    for bit in [snp::SNP_PLATFORM_TSME, snp::SNP_PLATFORM_RAPL_DIS, snp::SNP_PLATFORM_TIO] {
        check(Some(Refusal::SnpPolicyPlatformInfo), &|policy| {
            policy.platform_info_mask |= bit;
            policy.platform_info |= bit;
        });
    }
    check(None, &|policy| {
        let bits = snp::SNP_PLATFORM_CIPHERTEXT_HIDING | snp::SNP_PLATFORM_ECC;
        policy.platform_info_mask |= bits;
        policy.platform_info |= bits;
    });
    for part in 0..4 {
        check(Some(Refusal::SnpPolicyTcb), &|policy| {
            let minimum = &mut policy.products[0].tcb_min;
            let parts = [&mut minimum.bootloader, &mut minimum.tee, &mut minimum.snp, &mut minimum.microcode];
            *parts.into_iter().nth(part).unwrap() = 0xff;
        });
    }
    check(None, &|policy| policy.mitigations = 3);
    check(Some(Refusal::SnpPolicyMitigations), &|policy| policy.mitigations = 4);
    check(Some(Refusal::SnpPolicyGuestSvn), &|policy| policy.guest_svn_min = 2);
    check(Some(Refusal::SnpPolicyImage), &|policy| policy.image_ids = vec![[1; 16]]);
    check(Some(Refusal::SnpPolicyImage), &|policy| policy.family_ids = vec![[1; 16]]);
    check(None, &|policy| policy.family_ids = vec![[0; 16]]);
    check(Some(Refusal::SnpPolicyIdKey), &|policy| policy.id_key_digests = vec![author]);
    check(None, &|policy| policy.id_key_digests = vec![Register([6; 48])]);
    check(Some(Refusal::SnpPolicyAuthorKey), &|policy| policy.author_key_digests = vec![Register([6; 48])]);
    check(None, &|policy| policy.author_key_digests = vec![author]);
    let policy = open_policy(vec![release()]);
    assert_eq!(judge(&claims, &policy, claims.expires_at()), Err(Refusal::CollateralExpired));
}

#[test]
fn mitigations_need_a_report_that_shows_them() {
    let old = SnpGuest { report_version: 4, ..guest() };
    let bytes = machine(SnpProduct::Genoa).evidence(&old, &REPORT_DATA, SnpSigningKey::Vcek, SnpCondition::Good);
    let policy = SnpPolicy { mitigations: 1, ..open_policy(vec![release()]) };
    assert_eq!(judge(&claims_of(&bytes).unwrap(), &policy, NOW), Err(Refusal::SnpPolicyMitigations));
}

#[test]
fn turin_has_a_part_more() {
    let tcb = SnpTcb { fmc: 2, bootloader: 3, tee: 4, snp: 5, microcode: 6 };
    let shown = SnpGuest { current_tcb: tcb, committed_tcb: tcb, reported_tcb: tcb, launch_tcb: tcb, ..guest() };
    let bytes = machine(SnpProduct::Turin).evidence(&shown, &REPORT_DATA, SnpSigningKey::Vcek, SnpCondition::Good);
    assert_eq!(bytes[0x180..0x188], [2, 3, 4, 5, 0, 0, 0, 6]);
    let document = collateral(SnpProduct::Turin, SnpSigningKey::Vcek);
    let claims = snp::claims(&bytes, &document, &emulated_roots(), NOW).unwrap();
    assert_eq!(claims.report().reported_tcb(SnpProduct::Turin), tcb);
    assert_eq!(claims.report().chip_id()[8..], [0; 56]);
    let mut policy = open_policy(vec![release()]);
    assert_eq!(judge(&claims, &policy, NOW), Ok(()));
    policy.products[1].tcb_min.fmc = 3;
    assert_eq!(judge(&claims, &policy, NOW), Err(Refusal::SnpPolicyTcb));
}

#[test]
fn milan_is_off_by_default() {
    let bytes = machine(SnpProduct::Milan).evidence(&guest(), &REPORT_DATA, SnpSigningKey::Vcek, SnpCondition::Good);
    let document = collateral(SnpProduct::Milan, SnpSigningKey::Vcek);
    let claims = snp::claims(&bytes, &document, &emulated_roots(), NOW).unwrap();
    let policy = snp::snp_default_policy(vec![release()]);
    assert_eq!(judge(&claims, &policy, NOW), Err(Refusal::SnpPolicyProduct));
    assert_eq!(judge(&claims, &open_policy(vec![release()]), NOW), Ok(()));
}

#[test]
fn emulated_roots_stand_only_under_their_own_name() {
    for machine in MACHINES.iter() {
        let certificate = machine.root_certificate();
        assert!(certificate.windows(8).any(|window| window == b"EMULATED"));
    }
    let genesis = |production, domain| {
        let mut roots = emulated_roots();
        roots.iter_mut().for_each(|root| root.domain = domain);
        crate::real::genesis(production, roots)
    };
    assert_eq!(check_roots(&genesis(false, TrustDomain::Emulated)), Ok(()));
    assert_eq!(check_roots(&genesis(true, TrustDomain::Emulated)), Err(Refusal::EmulatedRoot));
    assert_eq!(check_roots(&genesis(false, TrustDomain::Amd)), Err(Refusal::EmulatedRoot));
}
