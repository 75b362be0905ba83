//! Emulated machines seen from outside: claims, time, collateral, roots.

use freehold_attestation::{
    Evidence, Refusal, RefusalClass, UnverifiedEvidence, canonicalise, check_roots, development_policy, judge,
    read_collateral,
};
use freehold_emulator::{
    COLLATERAL_VALID_S, CollateralPlan, Condition, DEVELOPMENT_SEED, FMSPC, Platform, Rtmr, TdReport, root_certificate,
};
use freehold_primitives::{
    Blob, DcapPolicy, Digest, EvidenceKind, EvidencePolicy, Genesis, KeyCeremony, Measurement, Membership,
    PlatformFamily, Register, TcbStatus, TdxForm, TrustDomain, TrustRoot, entries::CollateralKind,
};

use crate::{FORMS, NOW, PLATFORM, REPORT_DATA, app, claims_at, emulated_roots, enclave, td, verify};

fn claims(quote: &[u8], collateral: &[u8], now: u64) -> Result<freehold_attestation::VerifiedClaims, Refusal> {
    claims_at(EvidenceKind::Tdx, quote, collateral, now)
}

fn read(document: &[u8], now: u64) -> Result<freehold_attestation::VerifiedCollateral, Refusal> {
    read_collateral(CollateralKind::Dcap, document, &emulated_roots(), now)
}

#[test]
fn a_good_quote_gives_all_claims() {
    for form in FORMS.iter() {
        let name = form.name;
        let verified = form.claims(&form.quote).unwrap();
        assert_eq!(judge(&verified, &form.policy, NOW), Ok(()), "{name}");
        assert_eq!((verified.kind(), verified.trust_domain()), (form.kind, TrustDomain::Emulated), "{name}");
        assert_eq!(verified.tcb_status(), Some(TcbStatus::UpToDate), "{name}");
        assert_eq!(verified.report_data(), &REPORT_DATA, "{name}");
        assert_eq!(verified.family(), FMSPC, "{name}");
        assert!(verified.expires_at() > NOW && verified.expires_at() <= NOW + COLLATERAL_VALID_S, "{name}");
        assert!(verified.gpus().is_empty());
        let signed = sha256(&form.quote[..form.signed]);
        assert_eq!(verified.signed_part_digest(), signed, "{name}");

        let outline = UnverifiedEvidence::read(form.kind, &form.quote).unwrap();
        assert_eq!(outline.measurement(), verified.measurement(), "{name}");
        assert_eq!(outline.report_data(), verified.report_data(), "{name}");
        assert_eq!((outline.family(), outline.platform()), (verified.family(), verified.platform()), "{name}");
        assert_eq!(outline.signed_part_digest(), verified.signed_part_digest(), "{name}");
        assert_eq!(*outline.root_certificate(), Some(PLATFORM.root_certificate()), "{name}");
        assert_eq!(canonicalise(&form.quote).unwrap(), form.quote, "{name}");
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest(sha2::Sha256::digest(bytes).into())
}

#[test]
fn a_tds_own_claims() {
    let forms = [TdxForm::V4Td10, TdxForm::V5Td10, TdxForm::V5Td15, TdxForm::V5Td15Ex];
    let tds = FORMS.iter().filter(|form| form.kind == EvidenceKind::Tdx);
    for (form, wanted) in tds.zip(forms) {
        let verified = form.claims(&form.quote).unwrap();
        assert_eq!(*verified.measurement(), Measurement::Tdx(td().measurement()));
        let claims = verified.as_tdx().unwrap();
        assert!(verified.as_sgx().is_none());
        assert_eq!(claims.form(), wanted);
        assert_eq!((claims.attributes(), claims.xfam()), (td().td_attributes, td().xfam));
        assert_eq!((claims.mr_seam(), claims.mr_signer_seam()), (td().mr_seam, Register::ZERO));
        assert_eq!(claims.mr_service_td().is_some(), matches!(wanted, TdxForm::V5Td15 | TdxForm::V5Td15Ex));
        assert_eq!(claims.service_td_hash().is_some(), wanted == TdxForm::V5Td15Ex);
        assert_eq!(claims.td_id().is_some(), wanted == TdxForm::V5Td15Ex);
        let platform = claims.platform();
        assert_eq!(platform.tcb_evaluation_data_number(), 20);
        assert!(platform.advisories().is_empty());
        assert_eq!(
            (platform.smt(), platform.cached_keys(), platform.dynamic_platform()),
            (Some(false), Some(false), Some(false))
        );
    }
}

#[test]
fn an_enclaves_own_claims() {
    let form = FORMS.last().unwrap();
    let verified = form.claims(&form.quote).unwrap();
    assert_eq!(*verified.measurement(), Measurement::Sgx(enclave().measurement));
    let claims = verified.as_sgx().unwrap();
    assert!(verified.as_tdx().is_none());
    assert_eq!((claims.attributes(), claims.xfrm(), claims.misc_select()), (0x85, 0xe7, 0));
    assert_eq!(claims.config_id()[..48], app().digest().0);
}

#[test]
fn a_policy_may_accept_less_than_up_to_date_but_not_an_advisory() {
    let plan = CollateralPlan { condition: Condition::OutOfDate, ..CollateralPlan::default() };
    let collateral = PLATFORM.collateral_with(NOW, &plan);
    let quote = PLATFORM.quote_v4(&td(), &REPORT_DATA);
    let verified = claims(&quote, &collateral, NOW).unwrap();
    assert_eq!(verified.tcb_status(), Some(TcbStatus::OutOfDate));
    assert_eq!(*verified.as_tdx().unwrap().platform().advisories(), ["EMULATED-SA-00001"]);
    let mut policy = development_policy(td().measurement());
    platform(&mut policy).tcb_statuses.push(TcbStatus::OutOfDate);
    assert_eq!(judge(&verified, &policy, NOW), Ok(()));
    platform(&mut policy).advisories_denied.push("EMULATED-SA-00001".to_owned());
    assert_eq!(judge(&verified, &policy, NOW), Err(Refusal::PolicyAdvisory));

    // The level's own date, 2025-08-13, counts for grace; of a late quoting enclave, that one's.
    let grace = |policy: &mut EvidencePolicy, seconds| {
        let policy = platform(policy);
        policy.tcb_statuses = vec![TcbStatus::UpToDate];
        policy.advisories_denied.clear();
        policy.tcb_grace_s = seconds;
    };
    let age = NOW - 1_755_043_200;
    grace(&mut policy, age);
    assert_eq!(judge(&verified, &policy, NOW), Ok(()));
    assert_eq!(judge(&verified, &policy, NOW + 1), Err(Refusal::PolicyTcbStatus));
    let plan = CollateralPlan { condition: Condition::QuotingEnclaveOutOfDate, ..CollateralPlan::default() };
    let late = claims(&quote, &PLATFORM.collateral_with(NOW, &plan), NOW).unwrap();
    assert_eq!(judge(&late, &policy, NOW), Err(Refusal::PolicyTcbStatus));
}

fn platform(policy: &mut EvidencePolicy) -> &mut DcapPolicy {
    &mut policy.tdx.as_mut().unwrap().platform
}

#[test]
fn attributes_that_are_never_accepted() {
    let cases = [
        (1 << 0, Refusal::PolicyDebug),
        (1 << 4, Refusal::PolicyDebug),
        (1 << 1, Refusal::PolicyTdAttributes),
        (1 << 17, Refusal::PolicyTdAttributes),
        (1 << 28, Refusal::PolicyTdAttributes),
        (1 << 29, Refusal::PolicyTdAttributes),
    ];
    for (bit, refusal) in cases {
        let mut td = td();
        td.td_attributes ^= bit;
        let quote = PLATFORM.quote_v4(&td, &REPORT_DATA);
        let verdict = claims(&quote, &PLATFORM.collateral(NOW), NOW);
        assert_eq!(verdict, Err(refusal), "bit {bit:#x}");
    }
}

#[test]
fn attributes_and_features_that_a_policy_decides() {
    let collateral = PLATFORM.collateral(NOW);
    let judged = |edit: fn(&mut TdReport)| {
        let mut td = td();
        edit(&mut td);
        let quote = PLATFORM.quote_v4(&td, &REPORT_DATA);
        let policy = development_policy(crate::td().measurement());
        claims(&quote, &collateral, NOW).and_then(|claims| judge(&claims, &policy, NOW))
    };
    assert_eq!(judged(|_| ()), Ok(()));
    assert_eq!(judged(|td| td.td_attributes |= 1 << 63), Err(Refusal::PolicyTdAttributes));
    assert_eq!(judged(|td| td.xfam |= 1 << 8), Err(Refusal::PolicyXfam));
    assert_eq!(judged(|td| td.mrtd.0[0] ^= 1), Err(Refusal::PolicyMeasurement));
    assert_eq!(judged(|td| td.extend(Rtmr::Rtmr0, &Register([1; 48]))), Err(Refusal::PolicyMeasurement));
    assert_eq!(judged(|td| td.extend(Rtmr::Rtmr3, &app().digest())), Err(Refusal::PolicyMeasurement));
}

#[test]
fn collateral_has_its_time() {
    let collateral = PLATFORM.collateral(NOW);
    let expires_at = read(&collateral, NOW).unwrap().expires_at();
    let issued_at = read(&collateral, NOW).unwrap().issued_at();
    assert!(verify(&td(), &collateral, expires_at - 1).is_ok());
    assert!(verify(&td(), &collateral, issued_at).is_ok());
    let late = verify(&td(), &collateral, expires_at).unwrap_err();
    assert_eq!(late.class(), RefusalClass::Expired);
    assert_eq!(verify(&td(), &collateral, issued_at - 1).unwrap_err().class(), RefusalClass::Expired);
    assert_eq!(read(&collateral, expires_at).unwrap_err().class(), late.class());
    // A network resumed years later cuts new collateral from its own time; quotes need no new certificates.
    for now in [1_900_000_000, 2_500_000_000, 3_100_000_000] {
        assert!(verify(&td(), &PLATFORM.collateral(now), now).is_ok(), "{now}");
    }
    // The certificates end with 2069.
    assert_eq!(verify(&td(), &PLATFORM.collateral(3_160_000_000), 3_160_000_000), Err(Refusal::CertificateExpired));
}

#[test]
fn collateral_is_the_same_all_day_and_monotone() {
    let midnight = NOW / 86_400 * 86_400;
    let at = |second: u64| PLATFORM.collateral(midnight + second);
    assert_eq!(at(3_600), at(86_400));
    assert_eq!(at(3_600), at(86_400 + 3_599));
    assert_ne!(at(3_600), at(86_400 + 3_600));
    let (today, tomorrow) = (read(&at(3_600), NOW).unwrap(), read(&at(90_000), midnight + 90_000).unwrap());
    assert!(today.issued_at() < tomorrow.issued_at());
    assert_eq!(today.numbers()[0], tomorrow.numbers()[0]);
    assert!(today.numbers()[1] < tomorrow.numbers()[1], "the root's list");
    assert!(today.numbers()[2] < tomorrow.numbers()[2], "the PCK CA's list");
    assert!(today.expires_at() < tomorrow.expires_at());
}

#[test]
fn collateral_is_read_without_a_quote() {
    let family = PlatformFamily([0xe0, 1, 2, 3, 4, 5]);
    let plan = CollateralPlan { tcb_evaluation_data_number: 33, family, ..Default::default() };
    let document = PLATFORM.collateral_with(NOW, &plan);
    let verified = read(&document, NOW).unwrap();
    assert_eq!(verified.trust_domain(), TrustDomain::Emulated);
    assert_eq!((verified.key()[1..].to_vec(), verified.numbers()[0]), (family.0.to_vec(), 33));
    assert_eq!(verified.issued_at() % 86_400, 0);
    assert_eq!(verified.expires_at(), verified.issued_at() + COLLATERAL_VALID_S);
    // Of another family than the quote's.
    assert_eq!(verify(&td(), &document, NOW), Err(Refusal::PlatformFamily));
    // A revoked signer is noticed without a quote, a revoked platform only with one.
    let of = |condition| PLATFORM.collateral_with(NOW, &CollateralPlan { condition, ..Default::default() });
    let read = |document: &[u8]| read(document, NOW).map(|_| ());
    assert_eq!(read(&of(Condition::SignerRevoked)), Err(Refusal::CertificateRevoked));
    assert_eq!(read(&of(Condition::CaRevoked)), Err(Refusal::CertificateRevoked));
    assert_eq!(read(&of(Condition::ListsExpired)), Err(Refusal::RevocationListExpired));
    assert_eq!(read(&of(Condition::PckRevoked)), Ok(()));
    // Collateral for enclaves counts in a kind of its own.
    let sgx = PLATFORM.sgx_collateral_with(NOW, &plan);
    let verified = read_collateral(CollateralKind::SgxDcap, &sgx, &emulated_roots(), NOW).unwrap();
    assert_eq!((verified.key()[1..].to_vec(), verified.numbers()[0]), (family.0.to_vec(), 33));
}

#[test]
fn another_seeds_machine_is_no_machine_of_ours() {
    let other = Platform::new(&[8; 32]);
    let quote = other.quote_v4(&td(), &REPORT_DATA);
    let other_roots = [TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(other.root_certificate()) }];
    let today = PLATFORM.collateral(NOW);
    let claims = |collateral: &[u8], roots: &[TrustRoot]| {
        let evidence = Evidence { kind: EvidenceKind::Tdx, bytes: &quote, collateral: &[collateral] };
        freehold_attestation::claims(&evidence, roots, NOW).map(|_| ())
    };
    assert_eq!(claims(&today, &emulated_roots()), Err(Refusal::UnknownRoot));
    assert_eq!(read_collateral(CollateralKind::Dcap, &today, &other_roots, NOW), Err(Refusal::UnknownRoot));
    // Its quote with our collateral: the collateral was not issued under its root.
    assert_eq!(claims(&today, &other_roots), Err(Refusal::RevocationList));
    assert_eq!(claims(&other.collateral(NOW), &other_roots), Ok(()));
}

#[test]
fn machines_of_one_seed_share_a_root_and_nothing_else() {
    let second = Platform::nth(&DEVELOPMENT_SEED, 1);
    assert_eq!(second.root_certificate(), root_certificate(&DEVELOPMENT_SEED));
    let quote = second.quote_v4(&td(), &REPORT_DATA);
    let verified = claims(&quote, &PLATFORM.collateral(NOW), NOW).unwrap();
    let first = verify(&td(), &PLATFORM.collateral(NOW), NOW).unwrap();
    assert_ne!(verified.platform(), first.platform());
    let mut policy = development_policy(td().measurement());
    policy.platforms_denied.push(verified.platform());
    assert_eq!(judge(&verified, &policy, NOW), Err(Refusal::PolicyPlatformDenied));
    assert_eq!(judge(&first, &policy, NOW), Ok(()));
    // A list that revokes the first machine leaves the second alone.
    let plan = CollateralPlan { condition: Condition::PckRevoked, ..CollateralPlan::default() };
    let revoking = PLATFORM.collateral_with(NOW, &plan);
    assert!(claims(&quote, &revoking, NOW).is_ok());
}

#[test]
fn roots_are_checked_before_a_network_opens() {
    let emulated = emulated_roots();
    let disguised = vec![TrustRoot { domain: TrustDomain::Intel, certificate: emulated[0].certificate.clone() }];
    let garbled = vec![TrustRoot { domain: TrustDomain::Intel, certificate: Blob(vec![1, 2, 3]) }];
    assert_eq!(check_roots(&genesis(false, emulated.clone())), Ok(()));
    assert_eq!(check_roots(&genesis(true, emulated)), Err(Refusal::EmulatedRoot));
    assert_eq!(check_roots(&genesis(true, disguised.clone())), Err(Refusal::EmulatedRoot));
    assert_eq!(check_roots(&genesis(false, disguised.clone())), Err(Refusal::EmulatedRoot));
    let twice = [emulated_roots(), disguised.clone()].concat();
    assert_eq!(check_roots(&genesis(false, twice)), Err(Refusal::RootRepeated));
    assert_eq!(check_roots(&genesis(false, garbled)), Err(Refusal::RootMalformed));
    assert_eq!(check_roots(&genesis(true, Vec::new())), Ok(()));
}

#[test]
fn a_root_counts_only_for_its_own_domain() {
    let quote = PLATFORM.quote_v4(&td(), &REPORT_DATA);
    let roots = [TrustRoot { domain: TrustDomain::Amd, certificate: Blob(PLATFORM.root_certificate()) }];
    let collateral = PLATFORM.collateral(NOW);
    let evidence = Evidence { kind: EvidenceKind::Tdx, bytes: &quote, collateral: &[&collateral] };
    assert_eq!(freehold_attestation::claims(&evidence, &roots, NOW), Err(Refusal::UnknownRoot));
}

pub(crate) fn genesis(production: bool, trust_roots: Vec<TrustRoot>) -> Genesis {
    Genesis {
        chain_id: 1,
        purpose: if production {
            freehold_primitives::Purpose::Production
        } else {
            freehold_primitives::Purpose::Development
        },
        timestamp_ms: 0,
        epoch_s: 600,
        lease_s: 600,
        validators: Vec::new(),
        consensus_polynomial: Blob(Vec::new()),
        derivation_polynomial: Vec::new(),
        key_ceremony: KeyCeremony::Distributed,
        trust_roots,
        allocations: Vec::new(),
        membership: Membership::default(),
    }
}

#[test]
fn the_root_never_changes() {
    // A genesis parameter: another DER would be another network. Recorded in spec/vectors/attestation.
    let recorded = std::fs::read_to_string(crate::spec::vector_path()).unwrap();
    let recorded: serde_json::Value = serde_json::from_str(&recorded).unwrap();
    assert_eq!(recorded["root_certificate"], hex::encode(root_certificate(&DEVELOPMENT_SEED)));
    assert_ne!(Digest::ZERO, verify(&td(), &PLATFORM.collateral(NOW), NOW).unwrap().platform());
}
