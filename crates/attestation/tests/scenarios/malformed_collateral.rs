//! DCAP collateral that is not the canonical form of what a vendor signed: refused, never a panic.

use std::sync::LazyLock;

use freehold_attestation::{
    COLLATERAL_BYTES_MAX, COLLATERAL_JSON_BYTES_MAX, CollateralDocument, REVOCATION_LIST_BYTES_MAX, Refusal,
    RefusalClass, VerifiedCollateral, read_collateral,
};
use freehold_primitives::{Canonical as _, EvidenceKind, entries::CollateralKind};
use proptest::prelude::*;

use crate::{FORMS, NOW, PLATFORM, claims_at, emulated_roots};

fn read(document: &[u8]) -> Result<VerifiedCollateral, Refusal> {
    read_collateral(CollateralKind::Dcap, document, &emulated_roots(), NOW)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_in_collateral_never_panics(at in 0..COLLATERAL.len(), bit in 0..8u8) {
        let mut document = COLLATERAL.clone();
        document[at] ^= 1 << bit;
        // The one field that is not vouched for twice is the issuer chain of the PCK list; `read_collateral` alone
        // judges it, and every byte of the document.
        prop_assert!(read(&document).is_err());
        let _ = claims_at(EvidenceKind::Tdx, &FORMS[0].quote, &document, NOW);
    }

    #[test]
    fn arbitrary_collateral_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..3_000)) {
        prop_assert!(read(&bytes).is_err());
    }
}

static COLLATERAL: LazyLock<Vec<u8>> = LazyLock::new(|| PLATFORM.collateral(NOW));

/// The refusals of the document after an edit: alone, and with a quote.
fn collateral(edit: impl FnOnce(&mut CollateralDocument)) -> [Result<(), Refusal>; 2] {
    let mut document = CollateralDocument::from_canonical(&COLLATERAL).unwrap();
    edit(&mut document);
    let bytes = document.to_canonical();
    let alone = read(&bytes).map(|_| ());
    [alone, claims_at(EvidenceKind::Tdx, &FORMS[0].quote, &bytes, NOW).map(|_| ())]
}

#[test]
fn collateral_edited_text() {
    let signature = [Err(Refusal::CollateralSignature); 2];
    assert_eq!(
        collateral(|document| document.tcb_info = document.tcb_info.replace("UpToDate", "OutOfDate")),
        signature
    );
    assert_eq!(collateral(|document| document.qe_identity = document.qe_identity.replace(":4}", ":3}")), signature);
    assert_eq!(collateral(|document| document.tcb_info_signature[0] ^= 1), signature);
    assert_eq!(collateral(|document| document.qe_identity_signature[40] ^= 1), signature);
    let json = [Err(Refusal::CollateralJson); 2];
    assert_eq!(collateral(|document| document.tcb_info.insert_str(1, "\"id\":\"TDX\",")), json);
    assert_eq!(collateral(|document| document.tcb_info.insert_str(1, "\"x\":1,\"x\":1,")), json);
    assert_eq!(collateral(|document| document.qe_identity.push(' ')), signature);
    assert_eq!(collateral(|document| document.qe_identity.push('{')), json);
    assert_eq!(
        collateral(|document| document.tcb_info = "{}".to_owned()),
        [Err(Refusal::CollateralSignature), json[1]]
    );
}

#[test]
fn collateral_parts_missing_or_too_long() {
    let missing = [Err(Refusal::CollateralMissing); 2];
    assert_eq!(collateral(|document| document.root_ca_crl.0.clear()), missing);
    assert_eq!(collateral(|document| document.pck_crl.0.clear()), missing);
    assert_eq!(collateral(|document| document.tcb_info.clear()), missing);
    assert_eq!(collateral(|document| document.pck_crl_issuer_chain.clear()), missing);
    let long = [Err(Refusal::CollateralTooLong); 2];
    assert_eq!(collateral(|document| document.pck_crl.0.resize(REVOCATION_LIST_BYTES_MAX + 1, 0)), long);
    let spaces = " ".repeat(COLLATERAL_JSON_BYTES_MAX);
    assert_eq!(collateral(|document| document.tcb_info.push_str(&spaces)), long);
    assert_eq!(read(&vec![1; COLLATERAL_BYTES_MAX + 1]), Err(Refusal::CollateralTooLong));
    assert_eq!(read(&[]), Err(Refusal::CollateralFormat));
    let trailing = [&COLLATERAL[..], &[0]].concat();
    assert_eq!(read(&trailing), Err(Refusal::CollateralFormat));
    for end in (0..COLLATERAL.len()).step_by(61) {
        assert_eq!(read(&COLLATERAL[..end]), Err(Refusal::CollateralFormat));
    }
}

#[test]
fn collateral_lists() {
    let list = [Err(Refusal::RevocationList); 2];
    let last = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(collateral(|document| last(&mut document.root_ca_crl.0)), list);
    assert_eq!(collateral(|document| last(&mut document.pck_crl.0)), list);
    assert_eq!(collateral(|document| document.pck_crl.0.push(0)), list);
    // The root's list in place of the CA's: alone it is wrongly issued, with a quote nothing answers for the PCK.
    let swapped = collateral(|document| document.pck_crl = document.root_ca_crl.clone());
    assert_eq!(swapped, [Err(Refusal::RevocationList), Err(Refusal::RevocationUnknown)]);
}

#[test]
fn collateral_chains() {
    let alone = |edit: fn(&mut CollateralDocument)| collateral(edit)[0];
    let chain = Err(Refusal::CollateralChain);
    assert_eq!(alone(|document| document.tcb_info_issuer_chain.push('\n')), chain);
    assert_eq!(alone(|document| document.pck_crl_issuer_chain.push('x')), chain);
    assert_eq!(alone(|document| document.qe_identity_issuer_chain = "none".to_owned()), chain);
    // The signer where the CA belongs: its list is not its own.
    let signer = alone(|document| document.pck_crl_issuer_chain = document.tcb_info_issuer_chain.clone());
    assert_eq!(signer.unwrap_err().class(), RefusalClass::Invalid);
    // The CA where the signer belongs: a CA signs no texts.
    let ca = alone(|document| document.tcb_info_issuer_chain = document.pck_crl_issuer_chain.clone());
    assert_eq!(ca, Err(Refusal::CertificateChain));
}
