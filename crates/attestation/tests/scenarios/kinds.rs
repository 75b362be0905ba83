//! The one entry for every kind: SEV-SNP and Nitro beside Intel's, and bundles of a CPU TEE with its GPUs.

use freehold_attestation::{
    Evidence, Refusal, UnverifiedEvidence, VerifiedClaims, claims, collateral_wanted, development_policy, judge,
    nvidia, read_collateral,
};
use freehold_emulator::{
    DEVELOPMENT_SEED, EmulatedGpu, GpuRevocation, NitroCollateralCondition, NitroCondition, NitroEnclave,
    NitroPlatform, SnpCollateralCondition, SnpCondition, SnpGuest, SnpPlatform, gpu_root_certificate,
};
use freehold_primitives::{
    Blob, Canonical as _, Digest, EvidenceBundle, EvidenceKind, GpuArchitecture, GpuMode, NvidiaPolicy, SnpProduct,
    SnpSigningKey, TrustDomain, TrustRoot, entries::CollateralKind,
};

use proptest::prelude::*;

use crate::{FORMS, NOW, REPORT_DATA, app, emulated_roots};

/// The development roots of every vendor.
pub(crate) fn all_roots() -> Vec<TrustRoot> {
    let snp = SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa).root_certificate();
    let nitro = NitroPlatform::new(&DEVELOPMENT_SEED).root_certificate();
    let root = |certificate| TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(certificate) };
    let mut roots = emulated_roots();
    roots.extend([snp, nitro, gpu_root_certificate(&DEVELOPMENT_SEED)].map(root));
    roots
}

fn verify(kind: EvidenceKind, bytes: &[u8], collateral: &[&[u8]]) -> Result<VerifiedClaims, Refusal> {
    claims(&Evidence { kind, bytes, collateral }, &all_roots(), NOW)
}

/// What holds for claims of every kind, whatever the kind's own module says.
fn check_common(kind: EvidenceKind, bytes: &[u8], claims: &VerifiedClaims) {
    assert_eq!((claims.kind(), claims.trust_domain()), (kind, TrustDomain::Emulated));
    assert_eq!(claims.report_data(), &REPORT_DATA);
    assert!(claims.expires_at() > NOW);
    let outline = UnverifiedEvidence::read(kind, bytes).unwrap();
    assert_eq!((outline.family(), outline.platform()), (claims.family(), claims.platform()));
    assert_eq!((outline.measurement(), outline.report_data()), (claims.measurement(), claims.report_data()));
    assert_eq!(outline.signed_part_digest(), claims.signed_part_digest());
    let policy = development_policy(claims.measurement().clone());
    assert_eq!(judge(claims, &policy, NOW), Ok(()));
    assert_eq!(judge(claims, &FORMS[0].policy, NOW).is_ok(), kind == EvidenceKind::Tdx, "a section of another kind");
}

#[test]
fn an_snp_guest() {
    let platform = SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa);
    let guest = SnpGuest::launch(&Digest([1; 32]), &app());
    let evidence = platform.evidence(&guest, &REPORT_DATA, SnpSigningKey::Vcek, SnpCondition::Good);
    let collateral = platform.collateral(NOW, SnpSigningKey::Vcek, SnpCollateralCondition::Good);
    let verified = verify(EvidenceKind::Snp, &evidence, &[&collateral]).unwrap();
    check_common(EvidenceKind::Snp, &evidence, &verified);
    assert!(verified.as_snp().is_some() && verified.tcb_status().is_none());
    assert_eq!(verify(EvidenceKind::Snp, &evidence, &[]), Err(Refusal::CollateralMissing));
    let read = read_collateral(CollateralKind::Snp, &collateral, &all_roots(), NOW).unwrap();
    let wanted = collateral_wanted(EvidenceKind::Snp, &evidence, (TrustDomain::Emulated, verified.family())).unwrap();
    assert_eq!(wanted, [(CollateralKind::Snp, read.key().clone())]);
    assert_eq!(read.numbers()[0], 1, "it brings a revocation list");
}

#[test]
fn a_nitro_enclave() {
    let host = NitroPlatform::new(&DEVELOPMENT_SEED);
    let enclave = NitroEnclave::launch(&Digest([1; 32]), &app());
    let evidence = host.evidence(&enclave, &REPORT_DATA, NOW, NitroCondition::Good);
    let verified = verify(EvidenceKind::Nitro, &evidence, &[&[]]).unwrap();
    check_common(EvidenceKind::Nitro, &evidence, &verified);
    assert!(verified.as_nitro().is_some());
    let collateral = host.collateral(NOW, NitroCollateralCondition::Good);
    assert!(verify(EvidenceKind::Nitro, &evidence, &[&collateral]).is_ok());
    let read = read_collateral(CollateralKind::Nitro, &collateral, &all_roots(), NOW).unwrap();
    assert_eq!(*read.key(), [TrustDomain::Emulated as u8, 0, 0, 0, 0, 0, 0]);
}

fn gpu(index: u32) -> EmulatedGpu {
    EmulatedGpu::nth(&DEVELOPMENT_SEED, GpuArchitecture::Hopper, index)
}

/// A TD and its GPUs, each with this nonce.
fn bundle(nonces: &[[u8; 32]]) -> Vec<u8> {
    let gpus = (0u32..).zip(nonces).map(|(index, nonce)| Blob(gpu(index).evidence(nonce))).collect();
    EvidenceBundle { primary_kind: EvidenceKind::Tdx, primary: Blob(FORMS[0].quote.clone()), gpus }.to_canonical()
}

/// Any sound GPU, one at least.
fn any_gpu() -> NvidiaPolicy {
    NvidiaPolicy {
        gpus_min: 1,
        architectures: vec![GpuArchitecture::Hopper],
        modes: vec![GpuMode::SinglePassthrough],
        driver_versions: Vec::new(),
        vbios_versions: Vec::new(),
        driver_references: None,
        firmware_references: None,
        revocation_age_s_max: 0,
        platforms_denied: Vec::new(),
    }
}

#[test]
fn a_td_and_its_gpus() {
    let nonce = nvidia::gpu_nonce(&REPORT_DATA);
    let bytes = bundle(&[nonce, nonce]);
    let cpu = FORMS[0].collateral.as_slice();
    let authorities = gpu(0).collateral(NOW);
    let verified = verify(EvidenceKind::Bundle, &bytes, &[cpu, &authorities, &[]]).unwrap();
    assert_eq!((verified.kind(), verified.gpus().len()), (EvidenceKind::Tdx, 2));
    let alone = FORMS[0].claims(&FORMS[0].quote).unwrap();
    assert_eq!(verified.signed_part_digest(), alone.signed_part_digest(), "GPUs hang on the CPU's single use");
    assert!(verified.expires_at() <= alone.expires_at());
    let records = verified.gpu_records();
    assert_ne!(records[0].platform, records[1].platform);

    // A policy without a word about GPUs accepts none; one that wants GPUs refuses a TD without them.
    let mut policy = FORMS[0].policy.clone();
    assert_eq!(judge(&verified, &policy, NOW), Err(Refusal::PolicyGpu));
    policy.nvidia = Some(any_gpu());
    assert_eq!(judge(&verified, &policy, NOW), Ok(()));
    assert_eq!(judge(&alone, &policy, NOW), Err(Refusal::PolicyGpuCount));
    policy.nvidia = Some(NvidiaPolicy { platforms_denied: vec![records[1].platform], ..any_gpu() });
    assert!(judge(&verified, &policy, NOW).is_err());

    // Each part's collateral, by its own key.
    let wanted = collateral_wanted(EvidenceKind::Bundle, &bytes, (TrustDomain::Emulated, verified.family())).unwrap();
    let read = read_collateral(CollateralKind::Nvidia, &authorities, &all_roots(), NOW).unwrap();
    assert_eq!(wanted.len(), 3);
    assert_eq!(wanted[1], (CollateralKind::Nvidia, read.key().clone()));
}

#[test]
fn gpus_answer_the_cpus_report_data() {
    let (nonce, cpu) = (nvidia::gpu_nonce(&REPORT_DATA), FORMS[0].collateral.as_slice());
    let other = nvidia::gpu_nonce(&[0x5b; 64]);
    for nonces in [[other, nonce], [nonce, other]] {
        let verdict = verify(EvidenceKind::Bundle, &bundle(&nonces), &[cpu, &[], &[]]);
        assert_eq!(verdict, Err(Refusal::GpuNonce));
    }
    // A revoked authority refuses the whole bundle.
    let revoked = gpu(0).collateral_with(NOW, GpuRevocation::Device);
    let verdict = verify(EvidenceKind::Bundle, &bundle(&[nonce]), &[cpu, &revoked]);
    assert_eq!(verdict, Err(Refusal::CertificateRevoked));
}

#[test]
fn worlds_do_not_mix_in_a_bundle() {
    let nonce = nvidia::gpu_nonce(&REPORT_DATA);
    let mut roots = emulated_roots();
    // The emulator's GPU root under NVIDIA's name: no genesis may list it so, and a bundle refuses it besides.
    roots.push(TrustRoot { domain: TrustDomain::Nvidia, certificate: Blob(gpu_root_certificate(&DEVELOPMENT_SEED)) });
    let bytes = bundle(&[nonce]);
    let evidence = Evidence { kind: EvidenceKind::Bundle, bytes: &bytes, collateral: &[&FORMS[0].collateral, &[]] };
    assert_eq!(claims(&evidence, &roots, NOW), Err(Refusal::BundleDomains));
}

#[test]
fn a_bundle_has_one_form() {
    let form = &FORMS[0];
    let of = |primary_kind, gpus: usize| EvidenceBundle {
        primary_kind,
        primary: Blob(form.quote.clone()),
        gpus: vec![Blob(vec![1]); gpus],
    };
    let verdict = |bytes: &[u8], documents: usize| {
        verify(EvidenceKind::Bundle, bytes, &vec![form.collateral.as_slice(); documents]).unwrap_err()
    };
    let tdx = EvidenceKind::Tdx;
    for bad in [of(tdx, 0), of(tdx, 9), of(EvidenceKind::Bundle, 1), of(EvidenceKind::Nvidia, 1)] {
        assert_eq!(verdict(&bad.to_canonical(), 2), Refusal::BundleFormat);
    }
    let good = of(tdx, 1).to_canonical();
    assert_eq!(verdict(&good[..good.len() - 1], 2), Refusal::BundleFormat);
    assert_eq!(verdict(&good, 0), Refusal::CollateralMissing);
    assert_eq!(verdict(&good, 1), Refusal::CollateralMissing);
    assert_eq!(verdict(&good, 3), Refusal::CollateralExcess);
    // A GPU alone vouches for no keyset.
    let alone = gpu(0).evidence(&nvidia::gpu_nonce(&REPORT_DATA));
    assert_eq!(verify(EvidenceKind::Nvidia, &alone, &[&[]]), Err(Refusal::EvidenceKind));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_of_a_bundle_is_never_accepted(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = bundle(&[nvidia::gpu_nonce(&REPORT_DATA)]);
        let documents: [&[u8]; 2] = [&FORMS[0].collateral, &[]];
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(verify(EvidenceKind::Bundle, &bytes, &documents).is_err(), "byte {at}");
    }
}
