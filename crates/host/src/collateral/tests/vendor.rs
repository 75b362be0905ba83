//! Documents from vendors' answers: recorded real ones verify at their time, emulated ones too, hostile ones never.

use std::collections::BTreeMap;

use freehold_attestation::{
    CollateralDocument, Refusal, VerifiedCollateral, nitro::NitroCollateralDocument, read_collateral,
    snp::SnpCollateralDocument, vendor_roots,
};
use freehold_emulator::{
    CollateralPlan, DEVELOPMENT_SEED, FMSPC, NitroCollateralCondition, NitroPlatform, Platform, SnpCollateralCondition,
    SnpPlatform,
};
use freehold_primitives::{
    Blob, Canonical as _, PlatformFamily, SnpProduct, SnpSigningKey, TrustDomain, TrustRoot, entries::CollateralKind,
};
use pem::Pem;
use serde_json::Value;

use super::server::{Reply, SHORT, intel, serve, vectors};
use crate::collateral::{
    http::{FetchError, VendorClient},
    vendor::{PckCa, Place, Promotion, Round, SourceError, Subject, VendorSources},
};

/// A moment at which the recorded documents of both of Intel's TEEs are in date.
pub(super) const RECORDED: u64 = 1_751_500_000;
const NOW: u64 = 1_790_000_000;

async fn document(replies: BTreeMap<String, Reply>, subject: &Subject) -> Result<Vec<u8>, SourceError> {
    let url = serve(replies).await;
    let sources = VendorSources { intel: url.clone(), amd: url };
    let client = VendorClient::new(None).unwrap();
    Round::new(&client, &sources).document(subject, Promotion::Standard).await
}

pub(super) fn recorded(path: &str) -> Option<CollateralDocument> {
    let text = std::fs::read_to_string(vectors()?.join(path)).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    let bytes = |name: &str| hex::decode(text(name)).unwrap();
    Some(CollateralDocument {
        pck_crl_issuer_chain: text("pck_crl_issuer_chain"),
        root_ca_crl: Blob(bytes("root_ca_crl")),
        pck_crl: Blob(bytes("pck_crl")),
        tcb_info_issuer_chain: text("tcb_info_issuer_chain"),
        tcb_info: text("tcb_info"),
        tcb_info_signature: bytes("tcb_info_signature").try_into().unwrap(),
        qe_identity_issuer_chain: text("qe_identity_issuer_chain"),
        qe_identity: text("qe_identity"),
        qe_identity_signature: bytes("qe_identity_signature").try_into().unwrap(),
    })
}

fn family(text: &str) -> PlatformFamily {
    text.parse().unwrap()
}

fn at_its_time(kind: CollateralKind, bytes: &[u8]) -> Result<VerifiedCollateral, Refusal> {
    read_collateral(kind, bytes, &vendor_roots(), RECORDED)
}

#[tokio::test]
async fn recorded_answers_of_intels_make_documents_that_verify() {
    let Some(tdx) = recorded("tdx/dcap-qvl/tdx_quote_collateral.json") else { return };
    let subject = Subject::Tdx(family("b0c06f000000"));
    let bytes = document(intel("tdx", "platform", "standard", &tdx, "B0C06F000000"), &subject).await.unwrap();
    let verified = at_its_time(CollateralKind::Dcap, &bytes).unwrap();
    assert_eq!(verified.key()[1..], family("b0c06f000000").0);
    assert_eq!((verified.trust_domain(), verified.numbers()[0]), (TrustDomain::Intel, 17));
    assert_eq!(PckCa::named_in(&bytes), Some(PckCa::Platform));
    // A month later it is stale, and says so.
    let stale = read_collateral(CollateralKind::Dcap, &bytes, &vendor_roots(), RECORDED + 40 * 86_400);
    assert!(matches!(stale, Err(Refusal::CollateralExpired | Refusal::RevocationListExpired)), "{stale:?}");

    let sgx = recorded("sgx/dcap-qvl/sgx_quote_collateral.json").unwrap();
    let subject = Subject::Sgx(family("00a067110000"), PckCa::Processor);
    let bytes = document(intel("sgx", "processor", "standard", &sgx, "00A067110000"), &subject).await.unwrap();
    assert_eq!(at_its_time(CollateralKind::SgxDcap, &bytes).unwrap().key()[1..], family("00a067110000").0);
    assert_eq!(PckCa::named_in(&bytes), Some(PckCa::Processor));
}

#[tokio::test]
async fn a_quote_tells_which_ca_its_platform_is_of() {
    let Some(folder) = vectors() else { return };
    let quote = |path: &str| std::fs::read(folder.join(path)).unwrap();
    assert_eq!(PckCa::named_in(&quote("sgx/dcap-qvl/sgx_quote")), Some(PckCa::Processor));
    assert_eq!(PckCa::named_in(&quote("tdx/dcap-qvl/tdx_quote")), Some(PckCa::Platform));
    assert_eq!(PckCa::named_in(b"-----BEGIN nothing"), None);
}

fn emulated() -> CollateralDocument {
    let platform = Platform::new(&DEVELOPMENT_SEED);
    CollateralDocument::from_canonical(&platform.collateral_with(NOW, &CollateralPlan::default())).unwrap()
}

fn emulated_paths() -> BTreeMap<String, Reply> {
    intel("tdx", "platform", "standard", &emulated(), "E0F4EE000001")
}

#[tokio::test]
async fn every_part_of_intels_answers_is_needed_and_has_its_form() {
    let subject = Subject::Tdx(FMSPC);
    let bytes = document(emulated_paths(), &subject).await.unwrap();
    assert_eq!(bytes, emulated().to_canonical());
    for path in emulated_paths().into_keys() {
        for (reply, part) in
            [(Reply::status(404), ""), (Reply::good(""), "has no usable"), (Reply::good("{]"), "has no")]
        {
            let mut paths = emulated_paths();
            paths.insert(path.clone(), reply);
            let error = document(paths, &subject).await.unwrap_err();
            assert!(matches!(error, SourceError::Fetch(_)) && error.to_string().contains(part), "{path}: {error}");
        }
        // Without the header that carries the chain.
        let mut paths = emulated_paths();
        let Some(Reply::Answer(status, headers, body)) = paths.remove(&path) else { panic!("{path}") };
        if headers.is_empty() {
            continue;
        }
        paths.insert(path.clone(), Reply::Answer(status, Vec::new(), body));
        let error = document(paths, &subject).await.unwrap_err();
        assert!(matches!(error, SourceError::Fetch(FetchError::Malformed { .. })), "{path}: {error}");
    }
}

#[tokio::test]
async fn a_service_that_is_busy_or_silent_is_left_alone_for_the_round() {
    let busy = Reply::status(429).with("Retry-After", "60");
    for reply in [busy, Reply::Hang] {
        let mut paths = emulated_paths();
        paths.insert("/tdx/certification/v4/tcb?fmspc=E0F4EE000001&update=standard".to_owned(), reply);
        let url = serve(paths).await;
        let sources = VendorSources { intel: url.clone(), amd: url };
        let client = VendorClient::new(None).unwrap().waiting(SHORT);
        let mut round = Round::new(&client, &sources);
        let first = round.document(&Subject::Tdx(FMSPC), Promotion::Standard).await.unwrap_err();
        let expected = matches!(first, SourceError::Fetch(FetchError::Busy { .. } | FetchError::Timeout { .. }));
        assert!(expected, "{first}");
        let second = round.document(&Subject::Tdx(FMSPC), Promotion::Early).await.unwrap_err();
        assert!(matches!(second, SourceError::Fetch(FetchError::Skipped { .. })), "{second}");
        // The next round asks again.
        let mut round = Round::new(&client, &sources);
        let third = round.document(&Subject::Tdx(FMSPC), Promotion::Standard).await.unwrap_err();
        assert!(!matches!(third, SourceError::Fetch(FetchError::Skipped { .. })), "{third}");
    }
}

#[tokio::test]
async fn a_wrong_signature_is_refused_by_its_code() {
    let mut forged = emulated();
    forged.tcb_info = forged.tcb_info.replace("UpToDate", "Revoked");
    let paths = intel("tdx", "platform", "standard", &forged, "E0F4EE000001");
    let bytes = document(paths, &Subject::Tdx(FMSPC)).await.unwrap();
    let roots = [root(Platform::new(&DEVELOPMENT_SEED).root_certificate())];
    assert_eq!(read_collateral(CollateralKind::Dcap, &bytes, &roots, NOW).unwrap_err(), Refusal::CollateralSignature);
}

fn root(certificate: Vec<u8>) -> TrustRoot {
    TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(certificate) }
}

#[tokio::test]
async fn amds_chain_and_list_make_a_document_that_verifies() {
    let platform = SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa);
    let made = platform.collateral(NOW, SnpSigningKey::Vcek, SnpCollateralCondition::default());
    let parts = SnpCollateralDocument::from_canonical(&made).unwrap();
    let certificate = |der: &[u8]| pem::encode(&Pem::new("CERTIFICATE", der));
    let chain = certificate(&parts.intermediate.0) + &certificate(&platform.root_certificate());
    let list = parts.revocation_list.clone().unwrap().0;
    let paths = BTreeMap::from([
        ("/vcek/v1/Genoa/cert_chain".to_owned(), Reply::good(chain.clone())),
        ("/vcek/v1/Genoa/crl".to_owned(), Reply::good(list)),
    ]);
    let subject = Subject::Snp(SnpProduct::Genoa, SnpSigningKey::Vcek);
    let bytes = document(paths.clone(), &subject).await.unwrap();
    assert_eq!(bytes, made);
    let roots = [root(platform.root_certificate())];
    let verified = read_collateral(CollateralKind::Snp, &bytes, &roots, NOW).unwrap();
    assert_eq!(verified.key()[1..], subject.family().unwrap().0);
    // Without its list nothing is put together: a document without one would only fall behind.
    let without = BTreeMap::from([("/vcek/v1/Genoa/cert_chain".to_owned(), Reply::good(chain))]);
    let error = document(without, &subject).await.unwrap_err();
    assert!(matches!(error, SourceError::Fetch(FetchError::Status { .. })), "{error}");
}

#[tokio::test]
async fn a_recorded_chain_of_amds_is_read() {
    let Some(folder) = vectors() else { return };
    let chain = std::fs::read(folder.join("snp/virtee-sev/cert_chain_milan")).unwrap();
    // No recorded list of AMD's exists: the emulator's stands in, and cannot be taken for AMD's.
    let platform = SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Milan);
    let made = platform.collateral(NOW, SnpSigningKey::Vcek, SnpCollateralCondition::default());
    let list = SnpCollateralDocument::from_canonical(&made).unwrap().revocation_list.unwrap().0;
    let paths = BTreeMap::from([
        ("/vcek/v1/Milan/cert_chain".to_owned(), Reply::good(chain)),
        ("/vcek/v1/Milan/crl".to_owned(), Reply::good(list)),
    ]);
    let bytes = document(paths, &Subject::Snp(SnpProduct::Milan, SnpSigningKey::Vcek)).await.unwrap();
    let refused = read_collateral(CollateralKind::Snp, &bytes, &vendor_roots(), NOW).unwrap_err();
    assert_eq!(refused, Refusal::RevocationList);
    let mut parts = SnpCollateralDocument::from_canonical(&bytes).unwrap();
    parts.revocation_list = None;
    let verified = read_collateral(CollateralKind::Snp, &parts.to_canonical(), &vendor_roots(), NOW).unwrap();
    assert_eq!(verified.trust_domain(), TrustDomain::Amd);
}

#[tokio::test]
async fn given_files_are_canonical_documents_or_pem() {
    let folder = tempfile::tempdir().unwrap();
    let made = NitroPlatform::new(&DEVELOPMENT_SEED).collateral(NOW, NitroCollateralCondition::default());
    let parts = NitroCollateralDocument::from_canonical(&made).unwrap();
    let block = |tag: &str, blob: &Blob| pem::encode(&Pem::new(tag, blob.0.clone()));
    let text: String = parts.certificates.iter().map(|blob| block("CERTIFICATE", blob)).collect();
    let lists: String = parts.revocation_lists.iter().map(|blob| block("X509 CRL", blob)).collect();
    let foreign = text.clone() + &pem::encode(&Pem::new("PRIVATE KEY", vec![1]));
    let cases: [(&str, Vec<u8>, bool); 6] = [
        ("canonical", made.clone(), true),
        ("pem", (text + &lists).into_bytes(), true),
        ("foreign", foreign.into_bytes(), false),
        ("lists", lists.into_bytes(), false),
        ("text", b"nothing".to_vec(), false),
        ("long", vec![b'x'; 300 * 1024], false),
    ];
    for (name, bytes, is_good) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let place: Place = path.to_str().unwrap().parse().unwrap();
        let found = document(BTreeMap::new(), &Subject::Nitro(place)).await;
        match found {
            Ok(found) => assert!(is_good && found == made, "{name}"),
            Err(error) => assert!(!is_good && matches!(error, SourceError::Form(_)), "{name}: {error}"),
        }
    }
    let gone: Place = folder.path().join("gone").to_str().unwrap().parse().unwrap();
    let error = document(BTreeMap::new(), &Subject::Nitro(gone)).await.unwrap_err();
    assert!(matches!(error, SourceError::File { .. }), "{error}");
}
