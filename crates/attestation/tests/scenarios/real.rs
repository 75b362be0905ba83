//! Evidence from real machines, kept outside the repository (`FREEHOLD_VECTORS`), at a fixed time.

use std::{fs, path::PathBuf};

use freehold_attestation::{
    CollateralDocument, Refusal, UnverifiedQuote, canonicalise, check_roots, claims, judge, read_collateral,
};
use freehold_primitives::{Blob, Canonical as _, TcbStatus, TrustDomain, TrustRoot};

use crate::{NOW, PLATFORM, REPORT_DATA, emulated_roots, td};

/// Within the validity of the collateral beside `tdx_quote`.
const THEN: u64 = 1_751_500_000;

/// A file of the vectors. Absent vectors are said loudly; the test then counts as skipped.
fn vector(path: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("FREEHOLD_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"), PathBuf::from);
    let file = root.join(path);
    let bytes = fs::read(&file).ok();
    if bytes.is_none() {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("SKIPPED: no real evidence at {}; set FREEHOLD_VECTORS\n", file.display()).as_bytes(),
        );
    }
    bytes
}

fn intel_roots() -> Option<Vec<TrustRoot>> {
    let certificate = Blob(vector("tdx/IntelSGXRootCA.der")?);
    Some(vec![TrustRoot { domain: TrustDomain::Intel, certificate }])
}

fn collateral(path: &str) -> Option<Vec<u8>> {
    let json: serde_json::Value = serde_json::from_slice(&vector(path)?).unwrap();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    let bytes = |name: &str| hex::decode(text(name)).unwrap();
    let document = CollateralDocument {
        pck_crl_issuer_chain: text("pck_crl_issuer_chain"),
        root_ca_crl: Blob(bytes("root_ca_crl")),
        pck_crl: Blob(bytes("pck_crl")),
        tcb_info_issuer_chain: text("tcb_info_issuer_chain"),
        tcb_info: text("tcb_info"),
        tcb_info_signature: bytes("tcb_info_signature").try_into().unwrap(),
        qe_identity_issuer_chain: text("qe_identity_issuer_chain"),
        qe_identity: text("qe_identity"),
        qe_identity_signature: bytes("qe_identity_signature").try_into().unwrap(),
    };
    Some(document.to_canonical())
}

#[test]
fn a_real_quote_verifies_under_intels_root() {
    let (Some(raw), Some(roots)) = (vector("tdx/dcap-qvl/tdx_quote"), intel_roots()) else { return };
    let Some(collateral) = collateral("tdx/dcap-qvl/tdx_quote_collateral.json") else { return };
    let quote = canonicalise(&raw).unwrap();
    let verified = claims(&quote, &collateral, &roots, THEN).unwrap();
    assert_eq!(verified.trust_domain(), TrustDomain::Intel);
    assert_eq!(verified.tcb_status(), TcbStatus::UpToDate);
    assert_eq!(verified.fmspc(), [0xb0, 0xc0, 0x6f, 0, 0, 0]);
    assert_eq!(verified.tcb_evaluation_data_number(), 17);
    assert!(verified.is_multi_package());
    assert_eq!(verified.expires_at(), 1_752_919_235);
    assert_eq!(UnverifiedQuote::read(&quote).unwrap().signed_part_digest(), verified.signed_part_digest());
    // The kernel's bytes themselves are padded.
    assert_eq!(claims(&raw, &collateral, &roots, THEN), Err(Refusal::EvidenceTrailing));

    let mut policy = freehold_attestation::development_policy(verified.measurement().clone());
    assert_eq!(judge(&verified, &policy, THEN), Err(Refusal::PolicyTrustDomain));
    policy.trust_domains = vec![TrustDomain::Intel];
    policy.td_attributes = verified.td_attributes();
    policy.xfam = verified.xfam();
    assert_eq!(judge(&verified, &policy, THEN), Err(Refusal::PolicyMultiPackage));
    policy.multi_package_allowed = true;
    assert_eq!(judge(&verified, &policy, THEN), Ok(()));
}

#[test]
fn real_collateral_is_read_without_a_quote() {
    let Some(roots) = intel_roots() else { return };
    let Some(document) = collateral("tdx/dcap-qvl/tdx_quote_collateral.json") else { return };
    let verified = read_collateral(&document, &roots, THEN).unwrap();
    assert_eq!(verified.trust_domain(), TrustDomain::Intel);
    assert_eq!(verified.fmspc(), [0xb0, 0xc0, 0x6f, 0, 0, 0]);
    assert_eq!(verified.issued_at(), 1_750_328_163);
    assert_eq!(verified.expires_at(), 1_752_919_235);
    assert_eq!(verified.evaluation_data_number(), 17);
    assert_eq!(read_collateral(&document, &emulated_roots(), THEN), Err(Refusal::UnknownRoot));
    assert_eq!(read_collateral(&document, &roots, 1_752_919_235), Err(Refusal::RevocationListExpired));
    // SGX collateral is of another kind.
    let Some(sgx) = collateral("sgx/dcap-qvl/sgx_quote_collateral.json") else { return };
    assert_eq!(read_collateral(&sgx, &roots, THEN), Err(Refusal::CollateralKind));
}

#[test]
fn worlds_do_not_mix() {
    let (Some(raw), Some(intel)) = (vector("tdx/dcap-qvl/tdx_quote"), intel_roots()) else { return };
    let Some(real) = collateral("tdx/dcap-qvl/tdx_quote_collateral.json") else { return };
    let quote = canonicalise(&raw).unwrap();
    let ours = PLATFORM.quote_v4(&td(), &REPORT_DATA);
    assert_eq!(claims(&quote, &real, &emulated_roots(), THEN), Err(Refusal::UnknownRoot));
    assert_eq!(claims(&ours, &PLATFORM.collateral(NOW), &intel, NOW), Err(Refusal::UnknownRoot));
    let both = [intel, emulated_roots()].concat();
    assert_eq!(claims(&quote, &real, &both, THEN).unwrap().trust_domain(), TrustDomain::Intel);
    let emulated = claims(&ours, &PLATFORM.collateral(NOW), &both, NOW).unwrap();
    assert_eq!(emulated.trust_domain(), TrustDomain::Emulated);
    // A real quote under emulated collateral, and the other way round.
    assert!(claims(&quote, &PLATFORM.collateral(THEN), &both, THEN).is_err());
    assert!(claims(&ours, &real, &both, THEN).is_err());
}

#[test]
fn every_real_quote_has_a_canonical_form() {
    let files = [
        "tdx/dcap-qvl/tdx_quote",
        "tdx/dstack/tdx_quote",
        "tdx/oasis/quote_v4_tdx_ecdsa_p256.bin",
        "tdx/oasis/quote_v4_tdx_ecdsa_p256_out_of_date.bin",
        "tdx/oasis/quote_v4_tdx_ecdsa_p256_trailing.bin",
        "tdx/automata/quote_tdx_00806f050000.dat",
        "eventlog/gcp-cos113-cos-113-tdx-quote.dat",
    ];
    for file in files {
        let Some(raw) = vector(file) else { return };
        let quote = canonicalise(&raw).unwrap();
        assert_eq!(canonicalise(&quote).unwrap(), quote, "{file}");
        assert_eq!(quote[..632], raw[..632], "{file}: what was signed does not change");
        assert!(UnverifiedQuote::read(&quote).is_ok(), "{file}");
    }
    // Behind this one stand bytes that are not zero.
    let Some(raw) = vector("tdx/go-tdx-guest/tdx_prod_quote_SPR_E4.dat") else { return };
    assert_eq!(canonicalise(&raw), Err(Refusal::EvidenceTrailing));
    // Version 5 and SGX have no form here yet.
    let Some(raw) = vector("tdx/go-tdx-guest/quote_v5_sample.dat") else { return };
    assert_eq!(canonicalise(&raw), Err(Refusal::QuoteFormat));
    let Some(raw) = vector("sgx/dcap-qvl/sgx_quote") else { return };
    assert_eq!(canonicalise(&raw), Err(Refusal::QuoteFormat));
}

#[test]
fn a_production_network_takes_intels_root() {
    let Some(roots) = intel_roots() else { return };
    assert_eq!(check_roots(&crate::emulated::genesis(true, roots)), Ok(()));
}
