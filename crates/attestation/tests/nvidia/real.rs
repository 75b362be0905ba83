//! Reports of real GPUs, kept outside the repository (`FREEHOLD_VECTORS`). Their certificates end in the year 9999.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use freehold_attestation::{
    Refusal,
    nvidia::{self, NvidiaClaims},
};
use freehold_emulator::GpuPlan;
use freehold_primitives::{Blob, Digest, GpuArchitecture, GpuMode, TrustDomain, TrustRoot};
use sha2::{Digest as _, Sha256};

use crate::{HOPPER, NOW, emulated_roots, policy, vector, vector_certificate};

fn nvidia_roots() -> Option<Vec<TrustRoot>> {
    let certificate = vector_certificate("nvidia/nvtrust/verifier_device_root.pem")?;
    let digest = hex::encode(Sha256::digest(&certificate));
    assert_eq!(digest, "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48");
    Some(vec![TrustRoot { domain: TrustDomain::Nvidia, certificate: Blob(certificate) }])
}

/// Report and chain of the single H100.
fn hopper() -> Option<(Vec<u8>, Vec<u8>)> {
    let report = vector("nvidia/nvtrust/hopperAttestationReport.txt")?;
    let report = hex::decode(String::from_utf8(report).unwrap().trim()).unwrap();
    Some((report, vector("nvidia/nvtrust/hopperCertChain.txt")?))
}

/// What one GPU of a machine gave.
struct Given {
    nonce: [u8; 32],
    report: Vec<u8>,
    chain: Vec<u8>,
}

/// Eight H100 of one machine.
fn eight() -> Option<Vec<Given>> {
    let file: serde_json::Value = serde_json::from_slice(&vector("nvidia/nvtrust/ppcie_gpu_evidence.json")?).unwrap();
    let bytes = |gpu: &serde_json::Value, name: &str| BASE64_STANDARD.decode(gpu[name].as_str().unwrap()).unwrap();
    let of = |gpu: &serde_json::Value| Given {
        nonce: hex::decode(gpu["nonce"].as_str().unwrap()).unwrap().try_into().unwrap(),
        report: bytes(gpu, "evidence"),
        chain: bytes(gpu, "certificate"),
    };
    Some(file.as_array().unwrap().iter().map(of).collect())
}

#[test]
fn a_real_h100_verifies_under_nvidias_root() {
    let (Some((report, chain)), Some(roots)) = (hopper(), nvidia_roots()) else { return };
    let evidence = nvidia::canonicalise(&report, &chain).unwrap();
    let claims = nvidia::claims(&evidence, &[], &roots, NOW).unwrap();
    assert_eq!(claims.trust_domain(), TrustDomain::Nvidia);
    assert_eq!(claims.architecture(), GpuArchitecture::Hopper);
    assert_eq!(claims.model(), "GH100");
    assert_eq!(claims.driver_version(), "550.90.07");
    assert_eq!(claims.vbios_version(), "96.00.9F.00.01");
    assert_eq!(claims.board(), "1010_0200_882");
    assert_eq!(claims.mode(), GpuMode::SinglePassthrough);
    assert_eq!(hex::encode(&claims.fwid()[..8]), "f5c384aebb579217");
    assert_eq!(hex::encode(&claims.nonce()[..4]), "931d8dd0");
    assert_eq!(hex::encode(&claims.measurements()[1].0[..4]), "8048dfd1");
    assert_eq!(claims.expires_at(), 253_402_300_799);
    assert_eq!(nvidia::claims(&evidence, &[], &emulated_roots(), NOW), Err(Refusal::UnknownRoot));
    assert_eq!(nvidia::check_nonce(&claims, &[0; 32]), Err(Refusal::GpuNonce));

    // Emulated reference values are of the same version, but not of this driver and firmware.
    let policy = policy(&HOPPER, &GpuPlan::new(GpuArchitecture::Hopper));
    assert_eq!(nvidia::judge(&claims, &policy, NOW), Err(Refusal::PolicyGpuMeasurement));
}

#[test]
fn the_chain_above_a_real_device_is_collateral() {
    let (Some((report, chain)), Some(roots)) = (hopper(), nvidia_roots()) else { return };
    let text = String::from_utf8(chain.clone()).unwrap();
    let mark = "-----BEGIN CERTIFICATE-----";
    let above: String = text.split_inclusive("-----END CERTIFICATE-----").skip(2).collect();
    assert_eq!(above.matches(mark).count(), 3);
    let document = nvidia::canonicalise_collateral(above.as_bytes(), &[]).unwrap();
    let collateral = nvidia::read_collateral(&document, &roots, NOW).unwrap();
    assert_eq!(collateral.revocation_numbers(), [0; 3]);
    let evidence = nvidia::canonicalise(&report, &chain).unwrap();
    assert!(nvidia::claims(&evidence, &document, &roots, NOW).is_ok());
    // Another GPU of the same model but of another provisioner's certificate, or none: whatever it is, it is judged.
    let Some(eight) = eight() else { return };
    let other = nvidia::canonicalise(&eight[0].report, &eight[0].chain).unwrap();
    assert!(nvidia::claims(&other, &document, &roots, NOW).is_ok(), "same provisioner");
}

#[test]
fn eight_real_h100_of_one_machine_verify() {
    let (Some(eight), Some(roots)) = (eight(), nvidia_roots()) else { return };
    assert_eq!(eight.len(), 8);
    let mut all: Vec<NvidiaClaims> = Vec::new();
    let mut platforms: Vec<Digest> = Vec::new();
    for Given { nonce, report, chain } in &eight {
        let evidence = nvidia::canonicalise(report, chain).unwrap();
        let claims = nvidia::claims(&evidence, &[], &roots, NOW).unwrap();
        assert_eq!(nvidia::check_nonce(&claims, nonce), Ok(()));
        assert_eq!(claims.driver_version(), "590.12");
        assert_eq!(claims.vbios_version(), "96.00.A5.00.01");
        assert_eq!(claims.mode(), GpuMode::ProtectedPcie);
        platforms.push(claims.platform());
        all.push(claims);
    }
    platforms.sort();
    platforms.dedup();
    assert_eq!(platforms.len(), 8);
    let mut policy = policy(&HOPPER, &GpuPlan::new(GpuArchitecture::Hopper));
    (policy.gpus_min, policy.driver_references, policy.firmware_references) = (8, None, None);
    assert_eq!(nvidia::judge_all(&all, &policy, NOW), Err(Refusal::PolicyGpuMode));
    policy.modes = vec![GpuMode::ProtectedPcie];
    assert_eq!(nvidia::judge_all(&all, &policy, NOW), Ok(()));
    assert_eq!(nvidia::judge_all(&all[1..], &policy, NOW), Err(Refusal::PolicyGpuCount));
}

#[test]
fn a_real_blackwell_verifies_under_nvidias_root() {
    let report = vector("nvidia/trustee/blackwell_coco_report.txt");
    let chain = vector("nvidia/trustee/blackwell_coco_certs.txt");
    let (Some(report), Some(chain), Some(roots)) = (report, chain, nvidia_roots()) else { return };
    let report = hex::decode(String::from_utf8(report).unwrap().trim()).unwrap();
    let evidence = nvidia::canonicalise(&report, &chain).unwrap();
    let claims = nvidia::claims(&evidence, &[], &roots, NOW).unwrap();
    assert_eq!(claims.architecture(), GpuArchitecture::Blackwell);
    assert_eq!((claims.model(), claims.chip()), ("GB20X", Some("GB202")));
    assert_eq!(claims.driver_version(), "595.58.03");
    assert_eq!(claims.vbios_version(), "98.02.74.00.01");
    assert!(!claims.is_debug());
}
