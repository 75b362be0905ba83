//! Collateral that a chain accepted gives the verdict of complete verification: over emulated evidence in every condition,
//! over real evidence, at any time, and over evidence with any bit flipped.

use std::sync::LazyLock;

use freehold_attestation::{
    Evidence, claims, claims_accepted,
    container::{Container, Endorsements},
    nitro::{self, NitroCollateralDocument, UnverifiedNitro},
    nvidia::gpu_nonce,
    read_collateral, vendor_roots,
};
use freehold_emulator::{
    DEVELOPMENT_SEED, EmulatedGpu, GpuCondition, GpuPlan, GpuRevocation, NitroCollateralCondition, NitroCondition,
    NitroEnclave, NitroPlatform, SnpCollateralCondition, SnpCondition, SnpGuest, SnpPlatform,
};
use freehold_primitives::{
    Blob, Canonical as _, Digest, EvidenceBundle, EvidenceKind, GpuArchitecture, SnpProduct, SnpSigningKey, TrustRoot,
    entries::CollateralKind,
};
use proptest::prelude::*;

use crate::{NOW, PLATFORM, REPORT_DATA, app, kinds::all_roots, real::vector, td};

/// Within the validity of AMD's and NVIDIA's real certificates; the real Nitro document has a time of its own.
const THEN: u64 = 1_751_500_000;
const NITRO_THEN: u64 = 1_766_681_000;

/// Evidence beside collateral, each document with the kind under which a chain accepts it.
struct Case {
    name: String,
    kind: EvidenceKind,
    bytes: Vec<u8>,
    collateral: Vec<(CollateralKind, Vec<u8>)>,
    now: u64,
}

static ROOTS: LazyLock<Vec<TrustRoot>> = LazyLock::new(|| vendor_roots().into_iter().chain(all_roots()).collect());

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut cases = Vec::new();
    snp(&mut cases);
    nitro_documents(&mut cases);
    bundles(&mut cases);
    real(&mut cases);
    cases.retain(|case| {
        let accepts = |(kind, document): &(CollateralKind, Vec<u8>)| {
            document.is_empty() || read_collateral(*kind, document, &ROOTS, case.now).is_ok()
        };
        case.collateral.iter().all(accepts)
    });
    cases
});

fn snp(cases: &mut Vec<Case>) {
    for (product, key) in [(SnpProduct::Genoa, SnpSigningKey::Vcek), (SnpProduct::Genoa, SnpSigningKey::Vlek)] {
        let platform = SnpPlatform::new(&DEVELOPMENT_SEED, product);
        let guest = SnpGuest::launch(&Digest([1; 32]), &app());
        for condition in SnpCondition::ALL {
            for collateral in [SnpCollateralCondition::Good, SnpCollateralCondition::ListMissing] {
                cases.push(Case {
                    name: format!("{product:?} {key:?} {condition:?} {collateral:?}"),
                    kind: EvidenceKind::Snp,
                    bytes: platform.evidence(&guest, &REPORT_DATA, key, *condition),
                    collateral: vec![(CollateralKind::Snp, platform.collateral(NOW, key, collateral))],
                    now: NOW,
                });
            }
        }
    }
}

fn nitro_documents(cases: &mut Vec<Case>) {
    let host = NitroPlatform::new(&DEVELOPMENT_SEED);
    let enclave = NitroEnclave::launch(&Digest([1; 32]), &app());
    for condition in NitroCondition::ALL {
        let documents = [
            host.collateral(NOW, NitroCollateralCondition::Good),
            host.collateral(NOW, NitroCollateralCondition::ListsMissing),
            // Of another day: other certificates.
            host.collateral(NOW - 86_400, NitroCollateralCondition::Good),
            Vec::new(),
        ];
        for (at, document) in documents.into_iter().enumerate() {
            cases.push(Case {
                name: format!("nitro {condition:?} {at}"),
                kind: EvidenceKind::Nitro,
                bytes: host.evidence(&enclave, &REPORT_DATA, NOW, *condition),
                collateral: vec![(CollateralKind::Nitro, document)],
                now: NOW,
            });
        }
    }
}

/// A TD with one GPU in every condition.
fn bundles(cases: &mut Vec<Case>) {
    let gpu = EmulatedGpu::nth(&DEVELOPMENT_SEED, GpuArchitecture::Blackwell, 0);
    for condition in GpuCondition::ALL {
        for revocation in [GpuRevocation::None, GpuRevocation::Device, GpuRevocation::NoLists] {
            let plan = GpuPlan { condition: *condition, ..GpuPlan::new(GpuArchitecture::Blackwell) };
            let bundle = EvidenceBundle {
                primary_kind: EvidenceKind::Tdx,
                primary: Blob(PLATFORM.quote_v4(&td(), &REPORT_DATA)),
                gpus: vec![Blob(gpu.evidence_with(&gpu_nonce(&REPORT_DATA), &plan))],
            };
            cases.push(Case {
                name: format!("bundle {condition:?} {revocation:?}"),
                kind: EvidenceKind::Bundle,
                bytes: bundle.to_canonical(),
                collateral: vec![
                    (CollateralKind::Dcap, PLATFORM.collateral(NOW)),
                    (CollateralKind::Nvidia, gpu.collateral_with(NOW, revocation)),
                ],
                now: NOW,
            });
        }
    }
}

fn real(cases: &mut Vec<Case>) {
    const SNP: [(&str, &[&str]); 4] = [
        ("snp/trustee/az-genoa-report.bin", &["snp/trustee/az-vcek-genoa.pem", "snp/trustee/genoa_ask_ark_asvk.pem"]),
        ("snp/trustee/test-report.bin", &["snp/trustee/test-vcek.der", "snp/trustee/milan_ask_ark_asvk.pem"]),
        ("snp/trustee/test-vlek-report.bin", &["snp/trustee/test-vlek.der", "snp/trustee/milan_ask_ark_asvk.pem"]),
        ("snp/virtee-sev/report_milan.hex", &["snp/virtee-sev/vcek_milan.der", "snp/virtee-sev/cert_chain_milan"]),
    ];
    for (name, files) in SNP {
        let Some(report) = vector(name) else { return };
        let mut beside = Endorsements::default();
        files.iter().for_each(|file| beside.add(&vector(file).unwrap()).unwrap());
        let prepared = Container::read(&report, None).unwrap().prepare(&beside, &ROOTS, THEN).unwrap().remove(0);
        let collateral = vec![(CollateralKind::Snp, prepared.collateral[0].clone())];
        cases.push(Case { name: name.to_owned(), kind: prepared.kind, bytes: prepared.bytes, collateral, now: THEN });
    }
    let Some(file) = vector("nitro/dstack-nitro_attestation.bin") else { return };
    let Container::Nitro(document) = Container::read(&file, None).unwrap() else { panic!("a Nitro document") };
    let bytes = nitro::canonicalise(&document).unwrap();
    let outline = UnverifiedNitro::read(&bytes).unwrap();
    // Its own regional certificate is collateral for it.
    let regional = outline.document().intermediates()[0].clone();
    let document = NitroCollateralDocument { certificates: vec![Blob(regional)], revocation_lists: Vec::new() };
    let collateral = vec![(CollateralKind::Nitro, document.to_canonical())];
    cases.push(Case { name: "real nitro".to_owned(), kind: EvidenceKind::Nitro, bytes, collateral, now: NITRO_THEN });
}

/// Both verdicts over `bytes`, which must be one.
fn check(case: &Case, bytes: &[u8], now: u64) -> bool {
    let collateral: Vec<&[u8]> = case.collateral.iter().map(|(_, document)| document.as_slice()).collect();
    let evidence = Evidence { kind: case.kind, bytes, collateral: &collateral };
    let whole = claims(&evidence, &ROOTS, now);
    assert_eq!(claims_accepted(&evidence, &ROOTS, now), whole, "{} at {now}", case.name);
    whole.is_ok()
}

#[test]
fn accepted_collateral_gives_the_verdict_of_complete_verification() {
    assert!(CASES.len() >= 80, "{} cases", CASES.len());
    let accepted = CASES.iter().filter(|case| check(case, &case.bytes, case.now)).count();
    assert!(accepted >= 20, "{accepted} are accepted");
}

#[test]
fn of_two_roots_of_one_name_the_one_that_signed_counts() {
    let case = CASES.iter().find(|case| case.kind == EvidenceKind::Snp).unwrap();
    let mut roots = all_roots();
    // Another emulator's root has the same name and another key.
    let other = SnpPlatform::new(&[7; 32], SnpProduct::Genoa).root_certificate();
    roots.insert(0, TrustRoot { certificate: Blob(other), ..roots[0].clone() });
    let evidence = Evidence { kind: case.kind, bytes: &case.bytes, collateral: &[&case.collateral[0].1] };
    assert!(claims(&evidence, &roots, case.now).is_ok());
    assert_eq!(claims_accepted(&evidence, &roots, case.now), claims(&evidence, &roots, case.now));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn at_any_time_and_with_any_bit_flipped(
        case in 0..CASES.len(),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..9,
        days in -4_000_i64..8_000,
        seconds in 0_u64..86_400,
    ) {
        let case = &CASES[case];
        let mut bytes = case.bytes.clone();
        if bit < 8 {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        // A third of the draws stays within the days in which most of it is valid.
        let days = if days.rem_euclid(3) == 0 { days % 40 } else { days };
        let now = case.now.saturating_add_signed(days * 86_400) + seconds;
        check(case, &bytes, if days == 0 { case.now } else { now });
    }
}
