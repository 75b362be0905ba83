//! Malformed documents, each by its own code; no flipped bit is accepted, no bytes panic.

use std::sync::LazyLock;

use freehold_attestation::{
    Refusal,
    nitro::{
        self, NITRO_COLLATERAL_BYTES_MAX, NITRO_EVIDENCE_BYTES_MAX, NitroCollateralDocument, UnverifiedNitro,
        VerifiedNitroCollateral,
    },
};
use freehold_emulator::{NitroCollateralCondition, NitroCondition};
use freehold_primitives::Canonical as _;
use proptest::prelude::*;

use crate::{NOW, claims_of, collateral, emulated_roots, evidence};

/// Array, protected header, unprotected header, head of the payload.
const PAYLOAD_AT: usize = 10;

static EVIDENCE: LazyLock<Vec<u8>> = LazyLock::new(|| evidence(NitroCondition::Good));

fn edited(edit: impl FnOnce(&mut Vec<u8>)) -> Refusal {
    let mut bytes = EVIDENCE.clone();
    edit(&mut bytes);
    claims_of(&bytes).unwrap_err()
}

/// Where this text stands in the payload.
fn at(text: &str) -> usize {
    EVIDENCE.windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

/// The refusal of a payload with `remove` bytes at `at` replaced by `insert`; its head follows.
fn spliced(at: usize, remove: usize, insert: &[u8]) -> Refusal {
    edited(|bytes| {
        bytes.splice(at..at + remove, insert.iter().copied());
        let length = u16::try_from(bytes.len() - PAYLOAD_AT - 98).unwrap();
        bytes[8..10].copy_from_slice(&length.to_be_bytes());
    })
}

/// `n - s`, big-endian, written out again: the test must not trust the code it tests.
pub(crate) fn negate(s: &mut [u8]) {
    let order = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";
    let mut borrow = 0;
    for (byte, order) in s.iter_mut().zip(hex::decode(order).unwrap()).rev() {
        let difference = i32::from(order) - i32::from(*byte) - borrow;
        borrow = i32::from(difference < 0);
        *byte = (difference + 256 * borrow) as u8;
    }
}

#[test]
fn the_envelope_has_one_form() {
    for end in [0, 1, 6, 7, 8, 9, 11, 600, EVIDENCE.len() - 97, EVIDENCE.len() - 1] {
        assert_eq!(claims_of(&EVIDENCE[..end]), Err(Refusal::NitroEnvelope), "cut at {end}");
    }
    assert_eq!(edited(|bytes| bytes.push(0)), Refusal::EvidenceTrailing);
    assert_eq!(edited(|bytes| bytes.resize(NITRO_EVIDENCE_BYTES_MAX + 1, 0)), Refusal::EvidenceTooLong);
    // A tag; another algorithm; a filled unprotected header; a longer head.
    assert_eq!(edited(|bytes| bytes.insert(0, 0xd2)), Refusal::NitroEnvelope);
    assert_eq!(edited(|bytes| bytes[5] = 0x21), Refusal::NitroEnvelope);
    assert_eq!(edited(|bytes| drop(bytes.splice(6..7, [0xa1, 1, 1]))), Refusal::NitroEnvelope);
    assert_eq!(edited(|bytes| drop(bytes.splice(7..8, [0x5a, 0, 0]))), Refusal::NitroEnvelope);
    let mut tagged = EVIDENCE.clone();
    tagged.insert(0, 0xd2);
    assert_eq!(nitro::canonicalise(&tagged).as_ref(), Ok(&*EVIDENCE));
}

#[test]
fn both_halves_of_s_have_one_form() {
    let mut twin = EVIDENCE.clone();
    let s_at = twin.len() - 48;
    negate(&mut twin[s_at..]);
    assert_eq!(claims_of(&twin), Err(Refusal::SignatureNotCanonical));
    assert_eq!(UnverifiedNitro::read(&twin), Err(Refusal::SignatureNotCanonical));
    assert_eq!(nitro::canonicalise(&twin).as_ref(), Ok(&*EVIDENCE));
    assert_eq!(edited(|bytes| bytes[s_at - 1] ^= 1), Refusal::NitroSignature);
}

#[test]
fn fields_of_the_document() {
    let digest = at("SHA384");
    assert_eq!(spliced(digest, 6, b"SHA256"), Refusal::NitroDocument);
    // A head that is not the shortest; a name that is not known; a name that comes twice.
    assert_eq!(spliced(digest - 1, 1, &[0x78, 6]), Refusal::NitroDocument);
    assert_eq!(spliced(at("nonce"), 5, b"nonse"), Refusal::NitroDocument);
    let nonce = at("nonce");
    assert_eq!(spliced(nonce - 1, 0, b"\x65nonce\xf6"), Refusal::NitroDocument);
    // Missing altogether: the map ends before `user_data`, which then is no report data.
    let public_key = at("public_key");
    let end = EVIDENCE.len() - 98;
    assert_eq!(spliced(public_key - 1, end - public_key + 1, &[0xff]), Refusal::NitroSignature);
    let certificate = at("certificate");
    assert_eq!(spliced(certificate - 1, end - certificate + 1, &[0xff]), Refusal::NitroDocument);
    // No break; bytes behind the break; indefinite strings.
    assert_eq!(spliced(end - 1, 1, &[]), Refusal::NitroDocument);
    assert_eq!(spliced(end, 0, &[0xf6]), Refusal::NitroDocument);
    assert_eq!(spliced(digest - 1, 7, b"\x7f\x66SHA384\xff"), Refusal::NitroDocument);
    // Registers: an index twice, one too large, one too short, none of the first three.
    let pcrs = at("pcrs") + 4;
    assert_eq!(EVIDENCE[pcrs..pcrs + 4], [0xb0, 0, 0x58, 48]);
    assert_eq!(spliced(pcrs + 1, 1, &[1]), Refusal::NitroDocument);
    assert_eq!(spliced(pcrs + 1, 1, &[0x18, 32]), Refusal::NitroDocument);
    assert_eq!(spliced(pcrs + 3, 2, &[47]), Refusal::NitroDocument);
    assert_eq!(spliced(pcrs, 1 + 51 * 16, &[0xa0]), Refusal::NitroDocument);
    // What was signed changed.
    assert_eq!(edited(|bytes| bytes[pcrs + 10] ^= 1), Refusal::NitroSignature);
    // An empty bundle, and one without its root.
    let bundle = at("cabundle") + 8;
    assert_eq!(spliced(bundle, 1, &[0x80]), Refusal::NitroDocument);
    assert_eq!(edited(|bytes| bytes[bundle + 20] ^= 1), Refusal::UnknownRoot);
}

#[test]
fn collateral_has_bounds_and_one_form() {
    let good = collateral(NitroCollateralCondition::Good);
    let verdict = |bytes: &[u8]| VerifiedNitroCollateral::verify(bytes, &emulated_roots(), NOW).err().unwrap();
    assert_eq!(verdict(&vec![0; NITRO_COLLATERAL_BYTES_MAX + 1]), Refusal::CollateralTooLong);
    assert_eq!(verdict(&good[1..]), Refusal::CollateralFormat);
    assert_eq!(verdict(&[good.as_slice(), &[0]].concat()), Refusal::CollateralFormat);
    let edit = |edit: &dyn Fn(&mut NitroCollateralDocument)| {
        let mut document = NitroCollateralDocument::from_canonical(&good).unwrap();
        edit(&mut document);
        verdict(&document.to_canonical())
    };
    assert_eq!(edit(&|document| document.certificates.clear()), Refusal::CollateralMissing);
    assert_eq!(edit(&|document| drop(document.revocation_lists.pop())), Refusal::CollateralMissing);
    assert_eq!(edit(&|document| document.certificates.swap(0, 1)), Refusal::UnknownRoot);
    assert_eq!(edit(&|document| document.revocation_lists.swap(0, 1)), Refusal::RevocationList);
    assert_eq!(edit(&|document| *document.certificates[1].0.last_mut().unwrap() ^= 1), Refusal::CertificateChain);
    assert_eq!(edit(&|document| document.certificates[0].0.push(0)), Refusal::CollateralChain);
    let many = |document: &mut NitroCollateralDocument| {
        let first = document.certificates[0].clone();
        document.certificates.extend([first.clone(), first]);
    };
    assert_eq!(edit(&many), Refusal::CollateralTooLong);
    assert_eq!(VerifiedNitroCollateral::verify(&good, &[], NOW).err(), Some(Refusal::UnknownRoot));
}

/// One bit of every fifth byte; which ones, the property below varies.
#[test]
fn bytes_of_evidence_count() {
    let document = collateral(NitroCollateralCondition::Good);
    let mut bytes = EVIDENCE.clone();
    for at in (0..bytes.len()).step_by(5) {
        bytes[at] ^= 1 << (at % 8);
        assert!(nitro::claims_accepted(&bytes, &document, &emulated_roots(), NOW).is_err(), "{at:#x}");
        bytes[at] = EVIDENCE[at];
    }
    assert!(nitro::claims_accepted(&bytes, &document, &emulated_roots(), NOW).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Every byte of evidence is signed, or has one permitted value, or is the signature itself.
    #[test]
    fn any_flipped_bit_is_refused(at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes = EVIDENCE.clone();
        bytes[at.index(EVIDENCE.len())] ^= 1u8 << bit;
        prop_assert!(claims_of(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2500), head in 0usize..5000) {
        let bytes = [&EVIDENCE[..head.min(EVIDENCE.len() - 1)], &bytes].concat();
        prop_assume!(bytes != *EVIDENCE);
        prop_assert!(claims_of(&bytes).is_err());
        prop_assert!(UnverifiedNitro::read(&bytes).is_err());
        let _ = nitro::canonicalise(&bytes);
        prop_assert!(VerifiedNitroCollateral::verify(&bytes, &emulated_roots(), NOW).is_err());
    }

    /// Splices inside the payload, its head following, so that the document's own parser sees them.
    #[test]
    fn spliced_documents_never_panic(
        at in any::<prop::sample::Index>(),
        insert in prop::collection::vec(any::<u8>(), 0..40),
        remove in 0usize..40,
    ) {
        let from = PAYLOAD_AT + at.index(EVIDENCE.len() - PAYLOAD_AT - 98 - 40);
        prop_assume!(EVIDENCE[from..from + remove] != insert[..]);
        spliced(from, remove, &insert);
    }
}
