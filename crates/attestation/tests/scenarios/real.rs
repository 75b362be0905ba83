//! Evidence from real machines, kept outside the repository (`FREEHOLD_VECTORS`), at fixed times.

use std::{fs, path::PathBuf};

use freehold_attestation::{
    CollateralDocument, Evidence, Refusal, UnverifiedEvidence, VerifiedClaims, canonicalise, check_roots, claims,
    development_policy, judge, read_collateral,
};
use freehold_primitives::{
    Blob, Canonical as _, EvidenceKind, Measurement, PlatformFamily, TcbStatus, TdxForm, TrustDomain, TrustRoot,
    entries::CollateralKind,
};

use crate::{NOW, PLATFORM, REPORT_DATA, emulated_roots, pem_text, td};

/// Within the validity of the collateral beside `tdx_quote` and `sgx_quote`.
pub(crate) const SUMMER_2025: u64 = 1_751_500_000;
/// Within the validity of the collateral beside `quote_tdx_00806f050000.dat`.
const FEBRUARY_2025: u64 = 1_740_000_000;
/// Within the validity of the collateral for family 50806F000000.
const JUNE_2023: u64 = 1_687_700_000;

/// A file of the vectors. Absent vectors are said loudly; the test then counts as skipped.
pub(crate) fn vector(path: &str) -> Option<Vec<u8>> {
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

/// A chain of the vectors in the one accepted form of PEM, whatever its file's line ends are.
fn chain(path: &str) -> Option<String> {
    Some(pem_text::encode(&pem_text::decode(&(text(path)?.replace('\r', "").trim_end().to_owned() + "\n"))))
}

fn text(path: &str) -> Option<String> {
    Some(String::from_utf8(vector(path)?).unwrap())
}

pub(crate) fn intel_roots() -> Option<Vec<TrustRoot>> {
    let certificate = Blob(vector("tdx/IntelSGXRootCA.der")?);
    Some(vec![TrustRoot { domain: TrustDomain::Intel, certificate }])
}

/// Collateral in one JSON file.
pub(crate) fn collateral(path: &str) -> Option<Vec<u8>> {
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

/// The signed text and its signature out of a service's answer, `{"NAME":TEXT,"signature":"HEX"}`.
fn signed(answer: &str, name: &str) -> (String, [u8; 64]) {
    let rest = answer.trim().strip_prefix(&format!("{{\"{name}\":")).unwrap();
    let (text, signature) = rest.rsplit_once(",\"signature\":\"").unwrap();
    (text.to_owned(), hex::decode(signature.trim_end_matches("\"}")).unwrap().try_into().unwrap())
}

/// Collateral out of the answers of Intel's services; chains are PEM, signer first.
fn assembled(files: [&str; 4], signer_chain: &str, ca_chain: &str) -> Option<Vec<u8>> {
    let [tcb_info, qe_identity, root_crl, pck_crl] = files;
    let (tcb_info, tcb_info_signature) = signed(&text(tcb_info)?, "tcbInfo");
    let (qe_identity, qe_identity_signature) = signed(&text(qe_identity)?, "enclaveIdentity");
    let document = CollateralDocument {
        pck_crl_issuer_chain: ca_chain.to_owned(),
        root_ca_crl: Blob(vector(root_crl)?),
        pck_crl: Blob(vector(pck_crl)?),
        tcb_info_issuer_chain: signer_chain.to_owned(),
        tcb_info,
        tcb_info_signature,
        qe_identity_issuer_chain: signer_chain.to_owned(),
        qe_identity,
        qe_identity_signature,
    };
    Some(document.to_canonical())
}

/// The chain behind a canonical quote's PCK certificate: CA and root, PEM.
fn ca_chain(quote: &[u8]) -> String {
    const END: &str = "-----END CERTIFICATE-----\n";
    let text = String::from_utf8_lossy(quote);
    let chain = &text[text.find("-----BEGIN CERTIFICATE-----").unwrap()..];
    let (_, behind) = chain.split_at(chain.find(END).unwrap() + END.len());
    behind.trim_end_matches('\0').to_owned()
}

fn verdict(
    kind: EvidenceKind,
    quote: &[u8],
    collateral: &[u8],
    roots: &[TrustRoot],
    now: u64,
) -> Result<VerifiedClaims, Refusal> {
    claims(&Evidence { kind, bytes: quote, collateral: &[collateral] }, roots, now)
}

#[test]
fn a_real_td_verifies_under_intels_root() {
    let (Some(raw), Some(roots)) = (vector("tdx/dcap-qvl/tdx_quote"), intel_roots()) else { return };
    let Some(collateral) = collateral("tdx/dcap-qvl/tdx_quote_collateral.json") else { return };
    let quote = canonicalise(&raw).unwrap();
    let at = |now| verdict(EvidenceKind::Tdx, &quote, &collateral, &roots, now);
    let verified = at(SUMMER_2025).unwrap();
    assert_eq!(verified.trust_domain(), TrustDomain::Intel);
    assert_eq!(verified.tcb_status(), Some(TcbStatus::UpToDate));
    assert_eq!(verified.family(), PlatformFamily([0xb0, 0xc0, 0x6f, 0, 0, 0]));
    assert_eq!(verified.expires_at(), 1_752_919_235);
    let platform = verified.as_tdx().unwrap().platform();
    assert_eq!(platform.tcb_evaluation_data_number(), 17);
    assert_eq!(
        (platform.dynamic_platform(), platform.cached_keys(), platform.smt()),
        (Some(true), Some(true), Some(true))
    );
    assert_eq!(
        UnverifiedEvidence::read(EvidenceKind::Tdx, &quote).unwrap().signed_part_digest(),
        verified.signed_part_digest()
    );
    // Its time: from the newest issue date to the second before the earliest end.
    assert!(at(1_752_919_234).is_ok());
    assert_eq!(at(1_752_919_235), Err(Refusal::RevocationListExpired));
    assert!(at(1_750_329_147).is_ok());
    assert_eq!(at(1_750_300_000), Err(Refusal::CollateralNotYetValid));
    // The kernel's bytes themselves are padded.
    assert_eq!(verdict(EvidenceKind::Tdx, &raw, &collateral, &roots, SUMMER_2025), Err(Refusal::EvidenceTrailing));
}

#[test]
fn a_real_td_under_a_policy() {
    let (Some(raw), Some(roots)) = (vector("tdx/dcap-qvl/tdx_quote"), intel_roots()) else { return };
    let Some(collateral) = collateral("tdx/dcap-qvl/tdx_quote_collateral.json") else { return };
    let quote = canonicalise(&raw).unwrap();
    let verified = verdict(EvidenceKind::Tdx, &quote, &collateral, &roots, SUMMER_2025).unwrap();
    let judged = |policy: &_| judge(&verified, policy, SUMMER_2025);
    let mut policy = development_policy(verified.measurement().clone());
    assert_eq!(judged(&policy), Err(Refusal::PolicyTrustDomain));
    policy.trust_domains = vec![TrustDomain::Intel];
    // An ordinary server with two packages: each of its three flags is accepted on its own.
    assert_eq!(judged(&policy), Err(Refusal::PolicyDynamicPlatform));
    policy.tdx.as_mut().unwrap().platform.dynamic_platform_allowed = true;
    assert_eq!(judged(&policy), Err(Refusal::PolicyCachedKeys));
    policy.tdx.as_mut().unwrap().platform.cached_keys_allowed = true;
    assert_eq!(judged(&policy), Err(Refusal::PolicySmt));
    policy.tdx.as_mut().unwrap().platform.smt_allowed = true;
    assert_eq!(judged(&policy), Ok(()));
    policy.tdx.as_mut().unwrap().platform.tcb_evaluation_data_number_min = 18;
    assert_eq!(judged(&policy), Err(Refusal::PolicyEvaluationNumber));
}

#[test]
fn a_real_enclave_verifies_under_intels_root() {
    let (Some(raw), Some(roots)) = (vector("sgx/dcap-qvl/sgx_quote"), intel_roots()) else { return };
    let Some(collateral) = collateral("sgx/dcap-qvl/sgx_quote_collateral.json") else { return };
    let quote = canonicalise(&raw).unwrap();
    let at = |now| verdict(EvidenceKind::Sgx, &quote, &collateral, &roots, now);
    let verified = at(SUMMER_2025).unwrap();
    assert_eq!(verified.trust_domain(), TrustDomain::Intel);
    assert_eq!(verified.tcb_status(), Some(TcbStatus::ConfigurationAndSwHardeningNeeded));
    assert_eq!(verified.family(), PlatformFamily([0, 0xa0, 0x67, 0x11, 0, 0]));
    let claims = verified.as_sgx().unwrap();
    assert_eq!(*claims.platform().advisories(), ["INTEL-SA-00289", "INTEL-SA-00615"]);
    assert_eq!((claims.attributes(), claims.xfrm(), claims.misc_select()), (5, 0xe7, 0));
    // A certificate of the Processor CA: no flags.
    assert_eq!((claims.platform().smt(), claims.platform().cached_keys()), (None, None));

    let judged = |policy: &_| judge(&verified, policy, SUMMER_2025);
    let mut policy = development_policy(verified.measurement().clone());
    policy.trust_domains = vec![TrustDomain::Intel];
    let section = policy.sgx.as_mut().unwrap();
    (section.attributes_required, section.attributes_allowed) = (5, 5);
    assert_eq!(judged(&policy), Err(Refusal::PolicyTcbStatus));
    let platform = &mut policy.sgx.as_mut().unwrap().platform;
    platform.tcb_statuses.push(TcbStatus::ConfigurationAndSwHardeningNeeded);
    platform.advisories_allowed = Some(vec!["INTEL-SA-00289".to_owned()]);
    assert_eq!(judged(&policy), Err(Refusal::PolicyAdvisoryNotAllowed));
    let platform = &mut policy.sgx.as_mut().unwrap().platform;
    platform.advisories_allowed = Some(vec!["INTEL-SA-00289".to_owned(), "INTEL-SA-00615".to_owned()]);
    assert_eq!(judged(&policy), Ok(()));
    policy.sgx.as_mut().unwrap().platform.advisories_denied = vec!["INTEL-SA-00289".to_owned()];
    assert_eq!(judged(&policy), Err(Refusal::PolicyAdvisory));
    assert_eq!(at(NOW).unwrap_err().code() / 100, 3, "long expired today");
}

#[test]
fn another_real_td_under_collateral_of_its_day() {
    let (Some(raw), Some(roots)) = (vector("tdx/automata/quote_tdx_00806f050000.dat"), intel_roots()) else { return };
    let quote = canonicalise(&raw).unwrap();
    let files = [
        "tdx/automata/tcbinfov3_00806f050000.json",
        "tdx/automata/qeidentityv2_apiv4.json",
        "tdx/automata/intel_root_ca_crl.der",
        "tdx/automata/pck_platform_crl.der",
    ];
    let Some(signer) = chain("tdx/automata/tcb_signing_cert.pem") else { return };
    let Some(collateral) = assembled(files, &signer, &ca_chain(&quote)) else { return };
    let read = read_collateral(CollateralKind::Dcap, &collateral, &roots, FEBRUARY_2025).unwrap();
    assert_eq!(read.key()[1..], [0, 0x80, 0x6f, 5, 0, 0]);
    let verified = verdict(EvidenceKind::Tdx, &quote, &collateral, &roots, FEBRUARY_2025).unwrap();
    assert_eq!(verified.as_tdx().unwrap().form(), TdxForm::V4Td10);
    // Under the collateral of another family.
    let Some(other) = self::collateral("tdx/dcap-qvl/tdx_quote_collateral.json") else { return };
    let foreign = verdict(EvidenceKind::Tdx, &quote, &other, &roots, SUMMER_2025);
    assert_eq!(foreign, Err(Refusal::PlatformFamily));
}

#[test]
fn a_real_td_older_than_every_level_of_its_collateral() {
    let file = "tdx/oasis/quote_v4_tdx_ecdsa_p256_out_of_date.bin";
    let (Some(raw), Some(roots)) = (vector(file), intel_roots()) else { return };
    let quote = canonicalise(&raw).unwrap();
    let files = [
        "tdx/oasis/tcb_info_v3_tdx_fmspc_50806F000000.json",
        "tdx/oasis/qe_identity_v2_tdx.json",
        "tdx/go-tdx-guest/rootcrl.der",
        "tdx/go-tdx-guest/pckcrl",
    ];
    let Some(signer) = chain("tdx/automata/tcb_signing_cert.pem") else { return };
    let Some(collateral) = assembled(files, &signer, &ca_chain(&quote)) else { return };
    let read = read_collateral(CollateralKind::Dcap, &collateral, &roots, JUNE_2023);
    assert_eq!(read.map(drop), Ok(()));
    let found = verdict(EvidenceKind::Tdx, &quote, &collateral, &roots, JUNE_2023);
    assert_eq!(found, Err(Refusal::TcbUnknown));
}

#[test]
fn real_collateral_is_read_without_a_quote() {
    let Some(roots) = intel_roots() else { return };
    let Some(document) = collateral("tdx/dcap-qvl/tdx_quote_collateral.json") else { return };
    let read = |kind, document: &[u8], roots: &[TrustRoot], now| read_collateral(kind, document, roots, now);
    let verified = read(CollateralKind::Dcap, &document, &roots, SUMMER_2025).unwrap();
    assert_eq!(verified.trust_domain(), TrustDomain::Intel);
    assert_eq!(verified.key()[1..], [0xb0, 0xc0, 0x6f, 0, 0, 0]);
    assert_eq!(verified.issued_at(), 1_750_328_163);
    assert_eq!(verified.expires_at(), 1_752_919_235);
    assert_eq!(verified.numbers()[0], 17);
    let elsewhere = read(CollateralKind::Dcap, &document, &emulated_roots(), SUMMER_2025);
    assert_eq!(elsewhere, Err(Refusal::UnknownRoot));
    let late = read(CollateralKind::Dcap, &document, &roots, 1_752_919_235);
    assert_eq!(late, Err(Refusal::RevocationListExpired));
    // SGX collateral is of another kind, and counts in its own.
    let Some(sgx) = collateral("sgx/dcap-qvl/sgx_quote_collateral.json") else { return };
    assert_eq!(read(CollateralKind::Dcap, &sgx, &roots, SUMMER_2025), Err(Refusal::CollateralKind));
    let verified = read(CollateralKind::SgxDcap, &sgx, &roots, SUMMER_2025).unwrap();
    assert_eq!(verified.key()[1..], [0, 0xa0, 0x67, 0x11, 0, 0]);
}

#[test]
fn worlds_do_not_mix() {
    let (Some(raw), Some(intel)) = (vector("tdx/dcap-qvl/tdx_quote"), intel_roots()) else { return };
    let Some(real) = collateral("tdx/dcap-qvl/tdx_quote_collateral.json") else { return };
    let quote = canonicalise(&raw).unwrap();
    let ours = PLATFORM.quote_v4(&td(), &REPORT_DATA);
    let today = PLATFORM.collateral(NOW);
    let tdx = |quote: &[u8], collateral: &[u8], roots: &[TrustRoot], now| {
        verdict(EvidenceKind::Tdx, quote, collateral, roots, now)
    };
    assert_eq!(tdx(&quote, &real, &emulated_roots(), SUMMER_2025), Err(Refusal::UnknownRoot));
    assert_eq!(tdx(&ours, &today, &intel, NOW), Err(Refusal::UnknownRoot));
    let both = [intel, emulated_roots()].concat();
    assert_eq!(tdx(&quote, &real, &both, SUMMER_2025).unwrap().trust_domain(), TrustDomain::Intel);
    assert_eq!(tdx(&ours, &today, &both, NOW).unwrap().trust_domain(), TrustDomain::Emulated);
    // A real quote under emulated collateral, and the other way round.
    assert!(tdx(&quote, &PLATFORM.collateral(SUMMER_2025), &both, SUMMER_2025).is_err());
    assert!(tdx(&ours, &real, &both, SUMMER_2025).is_err());
}

/// A quote of the vectors; where the file is JSON, its member `quote`.
fn quote_of(path: &str) -> Option<Vec<u8>> {
    let bytes = vector(path)?;
    let hexed = |text: &str| hex::decode(text.trim().trim_start_matches("0x")).unwrap();
    Some(match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("hex") => hexed(core::str::from_utf8(&bytes).unwrap()),
        Some("json") => {
            let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            hexed(json["quote"].as_str().unwrap())
        }
        _ => bytes,
    })
}

#[test]
fn every_real_quote_has_a_canonical_form() {
    use EvidenceKind::{Sgx, Tdx};
    let files = [
        ("tdx/dcap-qvl/tdx_quote", Tdx, 632),
        ("tdx/dcap-qvl/quote-from-tappd.hex", Tdx, 632),
        ("tdx/dcap-qvl/tdx-quote.hex", Tdx, 632),
        ("tdx/dstack/tdx_quote", Tdx, 632),
        ("tdx/dstack/quote-report.json", Tdx, 632),
        ("tdx/dstack/tdx-lite-getquote.json", Tdx, 632),
        ("tdx/oasis/quote_v4_tdx_ecdsa_p256.bin", Tdx, 632),
        ("tdx/oasis/quote_v4_tdx_ecdsa_p256_out_of_date.bin", Tdx, 632),
        ("tdx/oasis/quote_v4_tdx_ecdsa_p256_trailing.bin", Tdx, 632),
        ("tdx/automata/quote_tdx_00806f050000.dat", Tdx, 632),
        ("tdx/go-tdx-guest/quote_v5_sample.dat", Tdx, 702),
        ("eventlog/gcp-cos113-cos-113-tdx-quote.dat", Tdx, 632),
        ("sgx/dcap-qvl/sgx_quote", Sgx, 432),
        ("sgx/oasis/quote_v3_ecdsa_p256_pck_chain.bin", Sgx, 432),
    ];
    for (file, kind, signed) in files {
        let Some(raw) = quote_of(file) else { return };
        let quote = canonicalise(&raw).unwrap_or_else(|refusal| panic!("{file}: {refusal}"));
        assert_eq!(canonicalise(&quote).unwrap(), quote, "{file}");
        assert_eq!(quote[..signed], raw[..signed], "{file}: what was signed does not change");
        let outline = UnverifiedEvidence::read(kind, &quote).unwrap();
        assert_eq!(matches!(outline.measurement(), Measurement::Tdx(_)), kind == Tdx, "{file}");
        let Some(roots) = intel_roots() else { return };
        assert_eq!(outline.root_certificate().as_ref(), Some(&roots[0].certificate.0), "{file}");
    }
}

#[test]
fn real_quotes_that_have_no_canonical_form() {
    // Behind this one stand bytes that are not zero.
    let Some(raw) = vector("tdx/go-tdx-guest/tdx_prod_quote_SPR_E4.dat") else { return };
    assert_eq!(canonicalise(&raw), Err(Refusal::EvidenceTrailing));
    // This one names its platform by an encrypted id, and carries no certificate.
    let Some(raw) = vector("sgx/oasis/quote_v3_ecdsa_p256_eppid.bin") else { return };
    assert_eq!(canonicalise(&raw), Err(Refusal::CertificationType));
}

#[test]
fn a_real_version_5_quote_shows_what_it_shows() {
    let Some(raw) = vector("tdx/go-tdx-guest/quote_v5_sample.dat") else { return };
    let quote = canonicalise(&raw).unwrap();
    let outline = freehold_attestation::tdx::UnverifiedTdx::read(&quote).unwrap();
    assert_eq!(outline.form(), TdxForm::V5Td15);
    assert_eq!(outline.family(), PlatformFamily([0x90, 0xc0, 0x6f, 0, 0, 0]));
}

#[test]
fn a_production_network_takes_intels_root() {
    let Some(roots) = intel_roots() else { return };
    assert_eq!(check_roots(&crate::emulated::genesis(true, roots)), Ok(()));
}
