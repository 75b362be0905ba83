//! Emulated GPUs in every condition, judged by the same verifier as real ones.

use freehold_attestation::{
    Refusal,
    nvidia::{self, NvidiaClaims, UnverifiedNvidia},
};
use freehold_emulator::{DEVELOPMENT_SEED, EmulatedGpu, GpuCondition, GpuPlan, GpuRevocation, gpu_root_certificate};
use freehold_primitives::{GpuArchitecture, GpuMeasurement, GpuMode, Register, TrustDomain};

use crate::{BLACKWELL, HOPPER, NONCE, NOW, claims_of, emulated_roots, policy};

const ARCHITECTURES: [GpuArchitecture; 2] = [GpuArchitecture::Hopper, GpuArchitecture::Blackwell];

fn gpu(architecture: GpuArchitecture) -> &'static EmulatedGpu {
    match architecture {
        GpuArchitecture::Hopper => &HOPPER,
        GpuArchitecture::Blackwell => &BLACKWELL,
    }
}

/// What the verifier, then the policy of a sound GPU, say of this condition.
fn verdict(architecture: GpuArchitecture, condition: GpuCondition) -> Result<(), Refusal> {
    let plan = GpuPlan { condition, ..GpuPlan::new(architecture) };
    let claims = claims_of(&gpu(architecture).evidence_with(&NONCE, &plan))?;
    nvidia::check_nonce(&claims, &NONCE)?;
    nvidia::judge(&claims, &policy(gpu(architecture), &plan), NOW)
}

#[test]
fn a_sound_gpu_is_accepted() {
    for architecture in ARCHITECTURES {
        let evidence = gpu(architecture).evidence(&NONCE);
        let claims = claims_of(&evidence).unwrap();
        let plan = GpuPlan::new(architecture);
        assert_eq!(claims.trust_domain(), TrustDomain::Emulated);
        assert_eq!(claims.architecture(), architecture);
        assert_eq!(claims.family(), [architecture as u8, 0, 0, 0, 0, 0]);
        assert_eq!(claims.nonce(), &NONCE);
        assert_eq!(claims.driver_version(), plan.driver_version);
        assert_eq!(claims.vbios_version(), plan.vbios_version);
        assert_eq!(claims.board(), "1010_0200_882");
        assert_eq!(claims.mode(), GpuMode::SinglePassthrough);
        assert_eq!(claims.chip(), (architecture == GpuArchitecture::Blackwell).then_some("GB202"));
        assert!(!claims.is_debug());
        assert_eq!(claims.revocation_issued_at(), None);
        assert_eq!(claims.expires_at(), 3_155_760_000, "2070-01-01");
        assert_eq!(verdict(architecture, GpuCondition::Sound), Ok(()));

        let outline = UnverifiedNvidia::read(&evidence).unwrap();
        assert_eq!(outline.nonce(), claims.nonce());
        assert_eq!(outline.platform(), claims.platform());
        assert_eq!(outline.architecture(), architecture);
        assert_eq!(outline.signed_part_digest(), claims.signed_part_digest());
        assert_eq!(outline.root_certificate(), gpu_root_certificate(&DEVELOPMENT_SEED));
        assert_eq!(evidence, gpu(architecture).evidence(&NONCE), "not reproducible");
        let (report, chain) = gpu(architecture).raw(&NONCE, &plan);
        assert_eq!(nvidia::canonicalise(&report, chain.as_bytes()).unwrap(), evidence);
    }
}

#[test]
fn each_condition_has_its_refusal() {
    let cases = [
        (GpuCondition::FirmwareIdentityForeign, Refusal::GpuFirmwareIdentity),
        (GpuCondition::DriverChanged, Refusal::PolicyGpuMeasurement),
        (GpuCondition::FirmwareChanged, Refusal::PolicyGpuMeasurement),
        (GpuCondition::MeasurementExtra, Refusal::PolicyGpuUnreferenced),
        (GpuCondition::ModelForeign, Refusal::GpuModel),
        (GpuCondition::NonceForeign, Refusal::GpuNonce),
        (GpuCondition::SignatureForeign, Refusal::GpuReportSignature),
    ];
    for architecture in ARCHITECTURES {
        for (condition, refusal) in cases {
            assert_eq!(verdict(architecture, condition), Err(refusal), "{architecture:?} {condition:?}");
        }
    }
    assert_eq!(verdict(GpuArchitecture::Blackwell, GpuCondition::Debug), Err(Refusal::PolicyDebug));
    assert_eq!(verdict(GpuArchitecture::Blackwell, GpuCondition::ChipForeign), Err(Refusal::GpuModel));
}

#[test]
fn each_item_of_a_policy_refuses() {
    let plan = GpuPlan::new(GpuArchitecture::Hopper);
    let claims = claims_of(&HOPPER.evidence(&NONCE)).unwrap();
    let sound = policy(&HOPPER, &plan);
    let judged = |edit: &dyn Fn(&mut freehold_primitives::NvidiaPolicy)| {
        let mut policy = sound.clone();
        edit(&mut policy);
        nvidia::judge(&claims, &policy, NOW)
    };
    assert_eq!(judged(&|_| ()), Ok(()));
    let blackwell = vec![GpuArchitecture::Blackwell];
    assert_eq!(judged(&|p| p.architectures = blackwell.clone()), Err(Refusal::PolicyGpuArchitecture));
    assert_eq!(judged(&|p| p.architectures.clear()), Err(Refusal::PolicyGpuArchitecture));
    assert_eq!(judged(&|p| p.modes = vec![GpuMode::ProtectedPcie]), Err(Refusal::PolicyGpuMode));
    assert_eq!(judged(&|p| p.driver_versions = vec!["550.90.08".into()]), Err(Refusal::PolicyDriverVersion));
    assert_eq!(judged(&|p| p.driver_versions = vec!["550.90.07".into()]), Ok(()));
    assert_eq!(judged(&|p| p.vbios_versions = vec!["96.00.9f.00.01".into()]), Err(Refusal::PolicyVbiosVersion));
    assert_eq!(judged(&|p| p.vbios_versions = vec!["96.00.9F.00.01".into()]), Ok(()));
    assert_eq!(judged(&|p| p.platforms_denied = vec![claims.platform()]), Err(Refusal::PolicyPlatformDenied));
    assert_eq!(judged(&|p| p.gpus_min = 2), Err(Refusal::PolicyGpuCount));
    assert_eq!(judged(&|p| p.revocation_age_s_max = 1), Err(Refusal::PolicyRevocationAge));

    // No reference for this version, or none at all; an old driver has none either.
    assert_eq!(judged(&|p| p.driver_references = Some(Vec::new())), Err(Refusal::PolicyGpuReference));
    let old = GpuPlan { driver_version: "535.86.09".into(), ..plan.clone() };
    let old = claims_of(&HOPPER.evidence_with(&NONCE, &old)).unwrap();
    assert_eq!(nvidia::judge(&old, &sound, NOW), Err(Refusal::PolicyGpuReference));
    let renamed = |p: &mut freehold_primitives::NvidiaPolicy| {
        p.firmware_references.as_mut().unwrap()[0].model = "GB20X".into();
    };
    assert_eq!(judged(&renamed), Err(Refusal::PolicyGpuReference));
    // Both files name the same measurement.
    let overlapping = |p: &mut freehold_primitives::NvidiaPolicy| {
        let value = claims.measurements()[7];
        p.firmware_references.as_mut().unwrap()[0].measurements.push(GpuMeasurement { index: 7, values: vec![value] });
    };
    assert_eq!(judged(&overlapping), Err(Refusal::PolicyGpuReference));
    // One of several alternatives is enough; an empty list accepts any value; an index out of range none.
    let alternative = |p: &mut freehold_primitives::NvidiaPolicy| {
        p.driver_references.as_mut().unwrap()[0].measurements[0].values.insert(0, Register([9; 48]));
    };
    assert_eq!(judged(&alternative), Ok(()));
    let other = |p: &mut freehold_primitives::NvidiaPolicy| {
        p.driver_references.as_mut().unwrap()[0].measurements[0].values = vec![Register([9; 48])];
    };
    assert_eq!(judged(&other), Err(Refusal::PolicyGpuMeasurement));
    assert_eq!(judged(&|p| p.driver_references.as_mut().unwrap()[0].measurements[0].values.clear()), Ok(()));
    let outside = |p: &mut freehold_primitives::NvidiaPolicy| {
        p.driver_references.as_mut().unwrap()[0].measurements[0].index = 64;
    };
    assert_eq!(judged(&outside), Err(Refusal::PolicyGpuMeasurement));
    // The claims' own end.
    assert_eq!(nvidia::judge(&claims, &sound, claims.expires_at()), Err(Refusal::CollateralExpired));
    assert_eq!(nvidia::judge(&claims, &sound, claims.expires_at() - 1), Ok(()));
}

#[test]
fn gpus_of_a_bundle_are_counted_once() {
    let plan = GpuPlan::new(GpuArchitecture::Hopper);
    let mut policy = policy(&HOPPER, &plan);
    policy.gpus_min = 2;
    let nonce = nvidia::gpu_nonce(&[7; 64]);
    let of = |index: u32| -> NvidiaClaims {
        let gpu = EmulatedGpu::nth(&DEVELOPMENT_SEED, GpuArchitecture::Hopper, index);
        let claims = claims_of(&gpu.evidence(&nonce)).unwrap();
        nvidia::check_nonce(&claims, &nonce).unwrap();
        claims
    };
    assert_eq!(nvidia::judge_all(&[of(0), of(1)], &policy, NOW), Ok(()));
    assert_eq!(nvidia::judge_all(&[of(0), of(0)], &policy, NOW), Err(Refusal::GpuRepeated));
    assert_eq!(nvidia::judge_all(&[of(1)], &policy, NOW), Err(Refusal::PolicyGpuCount));
    policy.gpus_min = 0;
    assert_eq!(nvidia::judge_all(&[], &policy, NOW), Ok(()));
    assert_ne!(nvidia::gpu_nonce(&[7; 64]), nvidia::gpu_nonce(&[8; 64]));
}

#[test]
fn collateral_spares_the_shared_chain_and_brings_revocation() {
    let roots = emulated_roots();
    let evidence = HOPPER.evidence(&NONCE);
    let document = HOPPER.collateral(NOW);
    let collateral = nvidia::read_collateral(&document, &roots, NOW).unwrap();
    assert_eq!(collateral.trust_domain(), TrustDomain::Emulated);
    assert_eq!(collateral.authority(), UnverifiedNvidia::read(&evidence).unwrap().authority());
    let day = (NOW - 3_600) / 86_400;
    assert_eq!(collateral.revocation_numbers(), [day; 3]);
    assert_eq!(collateral.issued_at(), day * 86_400);
    assert_eq!(collateral.revocation_issued_at(), Some(day * 86_400));
    assert_eq!(collateral.expires_at(), (day + 30) * 86_400);

    let claims = nvidia::claims(&evidence, &document, &roots, NOW).unwrap();
    assert_eq!(nvidia::claims_accepted(&evidence, &document, &roots, NOW), Ok(claims.clone()));
    assert_eq!(claims.expires_at(), collateral.expires_at());
    let mut policy = policy(&HOPPER, &GpuPlan::new(GpuArchitecture::Hopper));
    policy.revocation_age_s_max = NOW - day * 86_400;
    assert_eq!(nvidia::judge(&claims, &policy, NOW), Ok(()));
    assert_eq!(nvidia::judge(&claims, &policy, NOW + 1), Err(Refusal::PolicyRevocationAge));

    // Of another provisioner; out of date.
    let other = BLACKWELL.evidence(&NONCE);
    assert_eq!(nvidia::claims(&other, &document, &roots, NOW), Err(Refusal::PlatformFamily));
    let end = collateral.expires_at();
    assert!(nvidia::claims(&evidence, &document, &roots, end - 1).is_ok());
    assert_eq!(nvidia::claims(&evidence, &document, &roots, end), Err(Refusal::RevocationListExpired));
    assert_eq!(nvidia::claims_accepted(&evidence, &document, &roots, end), Err(Refusal::RevocationListExpired));
    let early = day * 86_400 - 1;
    assert_eq!(nvidia::claims(&evidence, &document, &roots, early), Err(Refusal::CollateralNotYetValid));
}

#[test]
fn each_revocation_has_its_refusal() {
    let roots = emulated_roots();
    let evidence = HOPPER.evidence(&NONCE);
    for revocation in [GpuRevocation::Device, GpuRevocation::Provisioner, GpuRevocation::Model] {
        let document = HOPPER.collateral_with(NOW, revocation);
        let refusal = nvidia::claims(&evidence, &document, &roots, NOW);
        assert_eq!(refusal, Err(Refusal::CertificateRevoked), "{revocation:?}");
        let read = nvidia::read_collateral(&document, &roots, NOW);
        assert_eq!(read.is_ok(), revocation == GpuRevocation::Device, "{revocation:?}");
    }
    // Another device of the same provisioner is not touched.
    let document = HOPPER.collateral_with(NOW, GpuRevocation::Device);
    let other = EmulatedGpu::nth(&DEVELOPMENT_SEED, GpuArchitecture::Hopper, 1).evidence(&NONCE);
    assert!(nvidia::claims(&other, &document, &roots, NOW).is_ok());
    let bare = HOPPER.collateral_with(NOW, GpuRevocation::NoLists);
    let claims = nvidia::claims(&evidence, &bare, &roots, NOW).unwrap();
    assert_eq!(claims.revocation_issued_at(), None);
    assert_eq!(
        nvidia::read_collateral(&bare, &roots, NOW).unwrap().issued_at(),
        1_577_836_800,
        "2020-01-01, when the certificates begin"
    );
}

#[test]
fn modes_are_told_apart() {
    let cases = [
        (GpuArchitecture::Hopper, GpuMode::ProtectedPcie),
        (GpuArchitecture::Hopper, GpuMode::MultiPassthrough),
        (GpuArchitecture::Blackwell, GpuMode::MultiPassthrough),
        (GpuArchitecture::Blackwell, GpuMode::ProtectedPcie),
    ];
    for (architecture, mode) in cases {
        let plan = GpuPlan { mode, ..GpuPlan::new(architecture) };
        let claims = claims_of(&gpu(architecture).evidence_with(&NONCE, &plan)).unwrap();
        assert_eq!(claims.mode(), mode);
    }
}

#[test]
fn a_root_counts_only_in_its_own_domain() {
    let evidence = HOPPER.evidence(&NONCE);
    let mut roots = emulated_roots();
    for domain in [TrustDomain::Intel, TrustDomain::Amd, TrustDomain::Aws] {
        roots[0].domain = domain;
        assert_eq!(nvidia::claims(&evidence, &[], &roots, NOW), Err(Refusal::UnknownRoot));
    }
    assert_eq!(nvidia::claims(&evidence, &[], &[], NOW), Err(Refusal::UnknownRoot));
    assert_eq!(nvidia::claims(&evidence, &[], &emulated_roots(), 0), Err(Refusal::CertificateNotYetValid));
    let end = 3_155_760_000;
    assert_eq!(nvidia::claims(&evidence, &[], &emulated_roots(), end), Err(Refusal::CertificateExpired));
    assert!(nvidia::claims(&evidence, &[], &emulated_roots(), end - 1).is_ok());
}
