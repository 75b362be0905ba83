//! Reports from real Milan and Genoa machines, kept outside the repository (`FREEHOLD_VECTORS`), at a fixed time.
//!
//! No revocation list of AMD's and no Turin report is among them: the verdicts say that revocation is unknown, and of
//! Turin only the certificates are real.

use std::{fs, path::PathBuf};

use freehold_attestation::{
    Refusal, Revocation, check_roots,
    snp::{self, SnpClaims, SnpCollateralDocument, VerifiedSnpCollateral, canonicalise, judge},
};
use freehold_emulator::SnpCondition;
use freehold_primitives::{
    Blob, Canonical as _, Genesis, KeyCeremony, Membership, SnpProduct, SnpSigningKey, SnpTcb, TrustDomain, TrustRoot,
};

use crate::{NOW, PRODUCTS, REPORT_DATA, emulated_roots, guest, machine, open_policy};

/// 2025-07-02: every certificate among the vectors is valid.
const THEN: u64 = 1_751_500_000;

/// A file of the vectors. Absent vectors are said loudly; the test then counts as skipped.
fn vector(path: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("FREEHOLD_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"), PathBuf::from);
    let file = root.join("snp").join(path);
    let bytes = fs::read(&file).ok();
    if bytes.is_none() {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("SKIPPED: no real evidence at {}; set FREEHOLD_VECTORS\n", file.display()).as_bytes(),
        );
    }
    bytes
}

fn der(pem: &[u8]) -> Vec<Vec<u8>> {
    pem::parse_many(pem).unwrap().into_iter().map(pem::Pem::into_contents).collect()
}

/// ASK, ARK and ASVK of a product.
fn chain(product: SnpProduct) -> Option<[Vec<u8>; 3]> {
    let file = format!("trustee/{}_ask_ark_asvk.pem", format!("{product:?}").to_lowercase());
    Some(der(&vector(&file)?).try_into().unwrap())
}

fn amd_roots() -> Option<Vec<TrustRoot>> {
    let root = |product| Some(TrustRoot { domain: TrustDomain::Amd, certificate: Blob(chain(product)?[1].clone()) });
    PRODUCTS.into_iter().map(root).collect()
}

fn document(product: SnpProduct, signing_key: SnpSigningKey) -> Option<Vec<u8>> {
    let [ask, _, asvk] = chain(product)?;
    let intermediate = Blob(if signing_key == SnpSigningKey::Vcek { ask } else { asvk });
    Some(SnpCollateralDocument { product, signing_key, intermediate, revocation_list: None }.to_canonical())
}

/// Bytes of a JSON value: a list of numbers, PEM, or base64 in either alphabet.
fn bytes_of(value: &serde_json::Value) -> Vec<u8> {
    if let Some(list) = value.as_array() {
        return list.iter().map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap()).collect();
    }
    let text = value.as_str().unwrap();
    if text.starts_with("-----") {
        return der(text.as_bytes()).remove(0);
    }
    let mut text = text.replace('-', "+").replace('_', "/");
    text.extend(std::iter::repeat_n('=', (4 - text.len() % 4) % 4));
    der(format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").as_bytes()).remove(0)
}

/// Report and VCEK of Azure's evidence; the report stands behind 32 bytes of a header of its own.
fn azure(path: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let json: serde_json::Value = serde_json::from_slice(&vector(path)?).unwrap();
    let report = json.get("hcl_report").unwrap_or(&json["report"]);
    Some((bytes_of(report)[32..32 + 1184].to_vec(), bytes_of(&json["vcek"])))
}

fn claims_of(
    report: &[u8],
    certificate: &[u8],
    (product, key): (SnpProduct, SnpSigningKey),
) -> Option<Result<SnpClaims, Refusal>> {
    let evidence = canonicalise(report, certificate).unwrap();
    assert_eq!(evidence[..0x2e8], report[..0x2e8], "what was signed does not change, nor r");
    Some(snp::claims(&evidence, &document(product, key)?, &amd_roots()?, THEN))
}

const MILAN: (SnpProduct, SnpSigningKey) = (SnpProduct::Milan, SnpSigningKey::Vcek);

#[test]
fn reports_of_milan_verify() {
    let Some(hex_report) = vector("virtee-sev/report_milan.hex") else { return };
    let virtee = hex::decode(hex_report.trim_ascii()).unwrap();
    let (Some(vcek), Some(trustee)) = (vector("virtee-sev/vcek_milan.der"), vector("trustee/test-report.bin")) else {
        return;
    };
    let Some(trustee_vcek) = vector("trustee/test-vcek.der") else { return };
    let (Some(hcl), Some(azure_pem)) = (vector("trustee/az-hcl-report.bin"), vector("trustee/az-vcek.pem")) else {
        return;
    };
    let (Some(v0), Some(v2)) = (azure("trustee/az-evidence-v0.json"), azure("trustee/az-evidence-v2.json")) else {
        return;
    };
    let old = SnpTcb { fmc: 0, bootloader: 3, tee: 0, snp: 8, microcode: 0x73 };
    let new = SnpTcb { fmc: 0, bootloader: 4, tee: 0, snp: 0x18, microcode: 0xdb };
    let cases = [
        ("virtee", virtee.clone(), vcek.clone(), 2, old),
        ("trustee", trustee.clone(), trustee_vcek.clone(), 2, old),
        ("azure hcl", hcl[32..32 + 1184].to_vec(), der(&azure_pem).remove(0), 2, old),
        ("azure v0", v0.0, v0.1, 3, new),
        ("azure v2", v2.0, v2.1, 3, new),
    ];
    for (name, report, certificate, version, tcb) in cases {
        let Some(verdict) = claims_of(&report, &certificate, MILAN) else { return };
        let claims = verdict.unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
        assert_eq!(claims.trust_domain(), TrustDomain::Amd, "{name}");
        assert_eq!(claims.report().version(), version, "{name}");
        assert_eq!(claims.report().reported_tcb(SnpProduct::Milan), tcb, "{name}");
        assert_eq!(claims.revocation(), Revocation::Unknown, "{name}");
        assert_eq!(claims.report().vmpl(), 0, "{name}");
        // Off by default, and without a list refused before that.
        let mut policy = snp::snp_default_policy(vec![claims.measurement()]);
        assert_eq!(judge(&claims, &policy, THEN), Err(Refusal::RevocationUnknown), "{name}");
        policy.revocation_required = false;
        policy.report_version_min = 2;
        policy.platform_info_mask = 0;
        assert_eq!(judge(&claims, &policy, THEN), Err(Refusal::SnpPolicyProduct), "{name}");
    }
    // Another chip's certificate, of the same issuer.
    let Some(mismatched) = claims_of(&virtee, &trustee_vcek, MILAN) else { return };
    assert_eq!(mismatched, Err(Refusal::SnpChipMismatch));
    let Some(mismatched) = claims_of(&trustee, &vcek, MILAN) else { return };
    assert_eq!(mismatched, Err(Refusal::SnpChipMismatch));
    // Older reports do not say that memory was checked for aliases.
    let Some(Ok(claims)) = claims_of(&virtee, &vcek, MILAN) else { return };
    let mut policy = open_policy(vec![claims.measurement()]);
    policy.revocation_required = false;
    assert_eq!(judge(&claims, &policy, THEN), Err(Refusal::SnpPolicyReportVersion));
    policy.report_version_min = 2;
    assert_eq!(judge(&claims, &policy, THEN), Err(Refusal::SnpPolicyPlatformInfo));
    policy.platform_info_mask = 0;
    assert_eq!(judge(&claims, &policy, THEN), Ok(()));
}

#[test]
fn a_report_under_a_vlek_verifies_and_its_vmpl_is_refused() {
    let (Some(report), Some(vlek)) = (vector("trustee/test-vlek-report.bin"), vector("trustee/test-vlek.der")) else {
        return;
    };
    let kind = (SnpProduct::Milan, SnpSigningKey::Vlek);
    let Some(verdict) = claims_of(&report, &vlek, kind) else { return };
    let claims = verdict.unwrap();
    assert_eq!(claims.cloud(), Some("CN=cc-us-east-2.amazonaws.com"));
    assert_eq!((claims.report().version(), claims.report().vmpl()), (3, 1));
    assert_eq!(claims.report().chip_id(), [0; 64]);
    // VLEKs live for a year.
    assert_eq!(claims.expires_at(), 1_765_404_861);
    let mut policy = open_policy(vec![claims.measurement()]);
    policy.revocation_required = false;
    assert_eq!(judge(&claims, &policy, THEN), Err(Refusal::SnpPolicyVmpl));
    policy.vmpl_max = 1;
    assert_eq!(judge(&claims, &policy, THEN), Ok(()));
    policy.signing_keys = vec![SnpSigningKey::Vcek];
    assert_eq!(judge(&claims, &policy, THEN), Err(Refusal::SnpPolicySigningKey));

    let evidence = canonicalise(&report, &vlek).unwrap();
    let (Some(right), Some(wrong)) = (document(kind.0, kind.1), document(MILAN.0, MILAN.1)) else { return };
    let Some(roots) = amd_roots() else { return };
    let verdict = |document: &[u8], now| snp::claims(&evidence, document, &roots, now).map(|_| ());
    assert_eq!(verdict(&right, 1_765_404_860), Ok(()));
    assert_eq!(verdict(&right, 1_765_404_861), Err(Refusal::CertificateExpired));
    assert_eq!(verdict(&right, 1_733_868_860), Err(Refusal::CertificateNotYetValid));
    assert_eq!(verdict(&wrong, THEN), Err(Refusal::PlatformFamily));
}

#[test]
fn a_report_of_genoa_passes_the_default_policy_but_for_revocation() {
    let (Some(report), Some(vcek)) = (vector("trustee/az-genoa-report.bin"), vector("trustee/az-vcek-genoa.pem"))
    else {
        return;
    };
    let Some(json) = azure("trustee/az-evidence-genoa.json") else { return };
    assert_eq!(json, (report.clone(), der(&vcek).remove(0)));
    let Some(verdict) = claims_of(&report, &json.1, (SnpProduct::Genoa, SnpSigningKey::Vcek)) else { return };
    let claims = verdict.unwrap();
    let cpu = claims.report().cpu().unwrap();
    assert_eq!((cpu.family, cpu.model, cpu.product()), (0x19, 0x11, Some(SnpProduct::Genoa)));
    assert_eq!(claims.expires_at(), 1_958_523_708);
    let mut policy = snp::snp_default_policy(vec![claims.measurement()]);
    assert_eq!(judge(&claims, &policy, THEN), Err(Refusal::RevocationUnknown));
    policy.revocation_required = false;
    assert_eq!(judge(&claims, &policy, THEN), Ok(()));
    policy.platform_info_mask |= snp::SNP_PLATFORM_CIPHERTEXT_HIDING;
    policy.platform_info |= snp::SNP_PLATFORM_CIPHERTEXT_HIDING;
    assert_eq!(judge(&claims, &policy, THEN), Err(Refusal::SnpPolicyPlatformInfo));
}

#[test]
fn all_of_amds_intermediates_verify_under_their_roots() {
    let Some(roots) = amd_roots() else { return };
    for product in PRODUCTS {
        for key in [SnpSigningKey::Vcek, SnpSigningKey::Vlek] {
            let Some(bytes) = document(product, key) else { return };
            let verified = VerifiedSnpCollateral::verify(&bytes, &roots, THEN).unwrap();
            assert_eq!((verified.product(), verified.signing_key()), (product, key));
            assert_eq!(verified.revocation(), Revocation::Unknown);
            let other: Vec<TrustRoot> =
                roots.iter().zip(PRODUCTS).filter(|(_, of)| *of != product).map(|(root, _)| root.clone()).collect();
            assert_eq!(VerifiedSnpCollateral::verify(&bytes, &other, THEN).err(), Some(Refusal::UnknownRoot));
            let emulated = VerifiedSnpCollateral::verify(&bytes, &emulated_roots(), THEN).err();
            assert_eq!(emulated, Some(Refusal::UnknownRoot));
        }
    }
    assert_eq!(check_roots(&genesis(true, roots)), Ok(()));
}

/// Of Turin there is a certificate alone: behind an emulated report it passes chain, dates and extensions, and is then
/// found to be of another chip.
#[test]
fn the_certificate_of_a_turin_is_read_and_verified() {
    let Some(vcek) = vector("virtee-sev/vcek_turin.der") else { return };
    let (Some(bytes), Some(roots)) = (document(SnpProduct::Turin, SnpSigningKey::Vcek), amd_roots()) else { return };
    let mut evidence =
        machine(SnpProduct::Turin).evidence(&guest(), &REPORT_DATA, SnpSigningKey::Vcek, SnpCondition::Good);
    evidence.truncate(1184);
    evidence.extend(&vcek);
    assert_eq!(snp::claims(&evidence, &bytes, &roots, THEN), Err(Refusal::SnpChipMismatch));
    // With the chip id and the TCB of the certificate, only the signature is missing.
    evidence[0x1a0..0x1a8].copy_from_slice(&hex::decode("1e550a8ee5cf9f4d").unwrap());
    assert_eq!(snp::claims(&evidence, &bytes, &roots, THEN), Err(Refusal::SnpTcbMismatch));
    evidence[0x180..0x188].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!(snp::claims(&evidence, &bytes, &roots, THEN), Err(Refusal::SnpSignature));
}

#[test]
fn worlds_do_not_mix() {
    let (Some(report), Some(vcek)) = (vector("trustee/test-report.bin"), vector("trustee/test-vcek.der")) else {
        return;
    };
    let (Some(real), Some(amd)) = (document(MILAN.0, MILAN.1), amd_roots()) else { return };
    let evidence = canonicalise(&report, &vcek).unwrap();
    let emulated = crate::collateral(SnpProduct::Milan, SnpSigningKey::Vcek);
    let both = [amd.clone(), emulated_roots()].concat();
    assert_eq!(snp::claims(&evidence, &real, &both, THEN).unwrap().trust_domain(), TrustDomain::Amd);
    assert_eq!(snp::claims(&evidence, &real, &emulated_roots(), THEN), Err(Refusal::UnknownRoot));
    assert_eq!(snp::claims(&evidence, &emulated, &both, NOW), Err(Refusal::CertificateChain));
    let ours = machine(SnpProduct::Milan).evidence(&guest(), &REPORT_DATA, SnpSigningKey::Vcek, SnpCondition::Good);
    assert_eq!(snp::claims(&ours, &real, &both, NOW), Err(Refusal::CertificateChain));
    assert_eq!(snp::claims(&ours, &emulated, &amd, NOW), Err(Refusal::UnknownRoot));
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
