//! Malformed reports, certificates and collateral, each by its own code; no flipped bit is accepted, no bytes panic.

use std::sync::LazyLock;

use freehold_attestation::{
    Refusal,
    snp::{
        self, SNP_COLLATERAL_BYTES_MAX, SNP_EVIDENCE_BYTES_MAX, SNP_REPORT_BYTES, SnpCertificateTable,
        SnpCollateralDocument, UnverifiedSnp, VerifiedSnpCollateral,
    },
};
use freehold_emulator::SnpCondition;
use freehold_primitives::{Blob, Canonical as _, SnpProduct, SnpSigningKey};
use proptest::prelude::*;

use crate::{NOW, claims_of, collateral, emulated_roots, evidence};

const S_AT: usize = 0x2a0 + 72;

static EVIDENCE: LazyLock<Vec<u8>> = LazyLock::new(|| evidence(SnpCondition::Good));

/// The refusal of the evidence after an edit.
fn edited(edit: impl FnOnce(&mut Vec<u8>)) -> Refusal {
    let mut bytes = EVIDENCE.clone();
    edit(&mut bytes);
    claims_of(&bytes).unwrap_err()
}

/// `n - s` of a little-endian `s`, written out again: the test must not trust the code it tests.
pub(crate) fn negate(s: &mut [u8]) {
    let order = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";
    let mut borrow = 0;
    for (byte, order) in s.iter_mut().zip(hex::decode(order).unwrap().into_iter().rev()) {
        let difference = i32::from(order) - i32::from(*byte) - borrow;
        borrow = i32::from(difference < 0);
        *byte = (difference + 256 * borrow) as u8;
    }
}

#[test]
fn every_length() {
    for end in (0..SNP_REPORT_BYTES + 1).step_by(37).chain([SNP_REPORT_BYTES]) {
        assert_eq!(claims_of(&EVIDENCE[..end]).unwrap_err(), Refusal::EvidenceTruncated, "cut at {end}");
    }
    for end in [SNP_REPORT_BYTES + 1, SNP_REPORT_BYTES + 600, EVIDENCE.len() - 1] {
        assert_eq!(claims_of(&EVIDENCE[..end]).unwrap_err(), Refusal::SnpEndorsement, "cut at {end}");
    }
    assert_eq!(edited(|bytes| bytes.push(0)), Refusal::SnpEndorsement);
    assert_eq!(edited(|bytes| bytes.resize(SNP_EVIDENCE_BYTES_MAX + 1, 0)), Refusal::EvidenceTooLong);
}

#[test]
fn fields_of_the_report() {
    assert_eq!(edited(|bytes| bytes[0] = 1), Refusal::SnpReportFormat);
    assert_eq!(edited(|bytes| bytes[0] = 6), Refusal::SnpReportFormat);
    assert_eq!(edited(|bytes| bytes[0x34] = 0), Refusal::SnpReportFormat);
    // Not in use: the policy's upper bits and bit 17, flags, and the gaps between fields.
    assert_eq!(edited(|bytes| bytes[0x0f] = 1), Refusal::SnpReserved);
    assert_eq!(edited(|bytes| bytes[0x0a] &= !2), Refusal::SnpReserved);
    assert_eq!(edited(|bytes| bytes[0x4b] = 1), Refusal::SnpReserved);
    for at in [0x4c, 0x18b, 0x19f, 0x1eb, 0x1ef, 0x208, 0x29f, 0x2a0 + 48, S_AT + 48, SNP_REPORT_BYTES - 1] {
        assert_eq!(edited(|bytes| bytes[at] = 1), Refusal::SnpReserved, "{at:#x}");
    }
    // What a version does not have yet.
    assert_eq!(edited(|bytes| bytes[0] = 4), Refusal::SnpReserved);
    assert_eq!(edited(|bytes| bytes[0] = 2), Refusal::SnpReserved);
    // The parts of a TCB version that a Genoa does not have.
    for at in [0x38, 0x180, 0x1e0, 0x1f0] {
        assert_eq!(edited(|bytes| bytes[at + 2] = 1), Refusal::SnpReserved, "{at:#x}");
    }
    // MASK_CHIP_KEY; signing keys that do not exist; another key than the certificate's.
    assert_eq!(edited(|bytes| bytes[0x48] |= 2), Refusal::SnpUnsigned);
    assert_eq!(edited(|bytes| bytes[0x48] |= 7 << 2), Refusal::SnpUnsigned);
    assert_eq!(edited(|bytes| bytes[0x48] |= 2 << 2), Refusal::SnpReserved);
    assert_eq!(edited(|bytes| bytes[0x48] |= 1 << 2), Refusal::SnpEndorsement);
    // Signed fields.
    assert_eq!(edited(|bytes| bytes[0x1a0] ^= 1), Refusal::SnpChipMismatch);
    assert_eq!(edited(|bytes| bytes[0x180] ^= 1), Refusal::SnpTcbMismatch);
    assert_eq!(edited(|bytes| bytes[0x188] = 0x1a), Refusal::SnpProductMismatch);
    for at in [0x04, 0x10, 0x40, 0x50, 0x90, 0xc0, 0x140, 0x1e8] {
        assert_eq!(edited(|bytes| bytes[at] ^= 1), Refusal::SnpSignature, "{at:#x}");
    }
    // No signature at all.
    assert_eq!(edited(|bytes| bytes[0x2a0..SNP_REPORT_BYTES].fill(0)), Refusal::SnpSignature);
}

#[test]
fn both_halves_of_s_have_one_form() {
    let mut twin = EVIDENCE.clone();
    negate(&mut twin[S_AT..S_AT + 48]);
    assert_eq!(claims_of(&twin), Err(Refusal::SignatureNotCanonical));
    assert_eq!(UnverifiedSnp::read(&twin), Err(Refusal::SignatureNotCanonical));
    let (report, certificate) = twin.split_at(SNP_REPORT_BYTES);
    assert_eq!(snp::canonicalise(report, certificate).as_ref(), Ok(&*EVIDENCE));
    let (report, certificate) = EVIDENCE.split_at(SNP_REPORT_BYTES);
    assert_eq!(snp::canonicalise(report, certificate).as_ref(), Ok(&*EVIDENCE));
    assert_eq!(snp::canonicalise(&report[1..], certificate), Err(Refusal::EvidenceTruncated));
    assert_eq!(snp::canonicalise(&EVIDENCE, certificate), Err(Refusal::EvidenceTrailing));
    // The order itself, and what is above it, is no scalar.
    let mut beyond = report.to_vec();
    beyond[S_AT..S_AT + 48].fill(0xff);
    assert_eq!(snp::canonicalise(&beyond, certificate), Err(Refusal::SignatureNotCanonical));
}

#[test]
fn certificates_have_one_form() {
    let certificate = &EVIDENCE[SNP_REPORT_BYTES..];
    let signature_at = EVIDENCE.len() - 512;
    // Unused bits in the BIT STRING; a signature that is another number.
    assert_eq!(edited(|bytes| bytes[signature_at - 1] = 1), Refusal::SnpEndorsement);
    assert_eq!(edited(|bytes| *bytes.last_mut().unwrap() ^= 1), Refusal::CertificateChain);
    // The outer algorithm differs from the inner one.
    let algorithm = hex::decode("06092a864886f70d01010a").unwrap();
    let at = certificate.windows(algorithm.len()).rposition(|window| window == algorithm).unwrap();
    assert_eq!(edited(|bytes| bytes[SNP_REPORT_BYTES + at + 10] = 0x0b), Refusal::SnpEndorsement);
    // A length that is not the shortest.
    let mut long = vec![0x30, 0x83, 0];
    long.extend(&certificate[2..]);
    assert_eq!(edited(|bytes| drop(bytes.splice(SNP_REPORT_BYTES.., long))), Refusal::SnpEndorsement);
}

#[test]
fn collateral_has_bounds_and_one_form() {
    let good = collateral(SnpProduct::Genoa, SnpSigningKey::Vcek);
    let verdict = |bytes: &[u8]| VerifiedSnpCollateral::verify(bytes, &emulated_roots(), NOW).err().unwrap();
    assert_eq!(verdict(&vec![0; SNP_COLLATERAL_BYTES_MAX + 1]), Refusal::CollateralTooLong);
    assert_eq!(verdict(&[]), Refusal::CollateralFormat);
    assert_eq!(verdict(&[good.as_slice(), &[0]].concat()), Refusal::CollateralFormat);
    assert_eq!(verdict(&good[..good.len() - 1]), Refusal::CollateralFormat);
    let edit = |edit: &dyn Fn(&mut SnpCollateralDocument)| {
        let mut document = SnpCollateralDocument::from_canonical(&good).unwrap();
        edit(&mut document);
        verdict(&document.to_canonical())
    };
    assert_eq!(edit(&|document| document.intermediate.0.push(0)), Refusal::CollateralChain);
    assert_eq!(edit(&|document| document.intermediate = Blob(vec![0; 4097])), Refusal::CollateralTooLong);
    assert_eq!(edit(&|document| *document.intermediate.0.last_mut().unwrap() ^= 1), Refusal::CertificateChain);
    let list = |edit_list: &dyn Fn(&mut Vec<u8>)| {
        edit(&|document| edit_list(&mut document.revocation_list.as_mut().unwrap().0))
    };
    assert_eq!(list(&|list| list.push(0)), Refusal::RevocationList);
    assert_eq!(list(&Vec::clear), Refusal::RevocationList);
    assert_eq!(list(&|list| *list.last_mut().unwrap() ^= 1), Refusal::RevocationList);
    assert_eq!(list(&|list| list.resize(64 * 1024 + 1, 0)), Refusal::CollateralTooLong);
    // The list of another product's root.
    let other = collateral(SnpProduct::Milan, SnpSigningKey::Vcek);
    let other = SnpCollateralDocument::from_canonical(&other).unwrap();
    assert_eq!(edit(&|document| document.revocation_list = other.revocation_list.clone()), Refusal::RevocationList);
    // A root that is none vouches for nothing, and stands in nobody's way.
    let mut roots = emulated_roots();
    roots[0].certificate.0.truncate(100);
    assert!(VerifiedSnpCollateral::verify(&good, &roots, NOW).is_ok());
    roots[1].certificate.0.truncate(100);
    assert_eq!(VerifiedSnpCollateral::verify(&good, &roots, NOW).err(), Some(Refusal::UnknownRoot));
}

#[test]
fn certificate_tables() {
    let certificate = &EVIDENCE[SNP_REPORT_BYTES..];
    let vcek = hex::decode("63da758de6644564adc5f4b93be8accd").unwrap();
    let length = u32::try_from(certificate.len()).unwrap().to_le_bytes();
    let table = [&vcek, &48u32.to_le_bytes()[..], &length, &[0; 24], certificate, &[0; 100]].concat();
    let read = SnpCertificateTable::read(&table).unwrap();
    assert_eq!(read.endorsement(SnpSigningKey::Vcek), Some(certificate));
    assert_eq!(read.endorsement(SnpSigningKey::Vlek), None);
    assert_eq!(SnpCertificateTable::read(&[]).unwrap().endorsement(SnpSigningKey::Vcek), None);
    assert_eq!(SnpCertificateTable::read(&[0; 64]).unwrap().endorsement(SnpSigningKey::Vcek), None);
    let cut = &table[..48 + certificate.len() - 1];
    assert_eq!(SnpCertificateTable::read(cut), Err(Refusal::EvidenceTruncated));
    assert_eq!(SnpCertificateTable::read(&table[..24]), Err(Refusal::EvidenceTruncated));
    assert_eq!(SnpCertificateTable::read(&vec![0; 64 * 1024 + 1]), Err(Refusal::EvidenceTooLong));
    // Either byte order of a GUID's first fields, the list itself as a certificate, one name or one place twice.
    let put = |entries: &[(&[u8], u32, u32)]| {
        let rows =
            entries.iter().map(|(guid, from, length)| [*guid, &from.to_le_bytes(), &length.to_le_bytes()].concat());
        [rows.collect::<Vec<_>>().concat(), vec![0; 24], vec![7; 100]].concat()
    };
    let mut mirrored = vcek.clone();
    mirrored[..4].reverse();
    mirrored[4..6].reverse();
    mirrored[6..8].reverse();
    let in_other_order = put(&[(&mirrored[..], 48, 5)]);
    let read = SnpCertificateTable::read(&in_other_order).unwrap();
    assert_eq!(read.endorsement(SnpSigningKey::Vcek), Some(&[7; 5][..]));
    for (entries, refusal) in [
        (vec![(&vcek[..], 47, 5)], Refusal::EvidenceTruncated),
        (vec![(&vcek[..], u32::MAX, 5)], Refusal::EvidenceTruncated),
        (vec![(&vcek[..], 72, 5), (&[9; 16][..], 76, 5)], Refusal::SnpEndorsement),
    ] {
        assert_eq!(SnpCertificateTable::read(&put(&entries)), Err(refusal));
    }
    let twice = put(&[(&vcek[..], 72, 5), (&mirrored[..], 80, 5)]);
    assert_eq!(SnpCertificateTable::read(&twice).unwrap().endorsement(SnpSigningKey::Vcek), None);
    let endless: Vec<u8> = [&vcek[..], &[0; 8]].concat().repeat(40);
    assert_eq!(SnpCertificateTable::read(&endless), Err(Refusal::EvidenceTruncated));
}

/// One bit of every byte; which one, the property below varies.
#[test]
fn every_byte_of_evidence_counts() {
    let document = collateral(SnpProduct::Genoa, SnpSigningKey::Vcek);
    let roots = emulated_roots();
    let mut bytes = EVIDENCE.clone();
    for at in 0..bytes.len() {
        bytes[at] ^= 1 << (at % 8);
        assert!(snp::claims_accepted(&bytes, &document, &roots, NOW).is_err(), "{at:#x}");
        bytes[at] = EVIDENCE[at];
    }
    assert!(snp::claims_accepted(&bytes, &document, &roots, NOW).is_ok());
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
    fn any_flipped_bit_of_collateral_is_refused(at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut document = collateral(SnpProduct::Genoa, SnpSigningKey::Vcek);
        let index = at.index(document.len());
        document[index] ^= 1u8 << bit;
        prop_assert!(snp::claims(&EVIDENCE, &document, &emulated_roots(), NOW).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2500), report in any::<bool>()) {
        let head: &[u8] = if report { &EVIDENCE[..SNP_REPORT_BYTES] } else { &[] };
        let bytes = [head, &bytes].concat();
        prop_assert!(claims_of(&bytes).is_err());
        prop_assert!(UnverifiedSnp::read(&bytes).is_err());
        prop_assert!(VerifiedSnpCollateral::verify(&bytes, &emulated_roots(), NOW).is_err());
        let _ = SnpCertificateTable::read(&bytes);
        let _ = snp::canonicalise(&bytes, &bytes);
    }

    /// Bytes of a certificate in disorder: the parsers behind the outer layer see them.
    #[test]
    fn spliced_certificates_never_panic(
        at in any::<prop::sample::Index>(),
        insert in prop::collection::vec(any::<u8>(), 0..40),
        remove in 0usize..40,
    ) {
        let mut bytes = EVIDENCE.clone();
        let from = SNP_REPORT_BYTES + at.index(EVIDENCE.len() - SNP_REPORT_BYTES);
        let to = (from + remove).min(bytes.len());
        let same = bytes[from..to] == insert;
        bytes.splice(from..to, insert);
        prop_assert!(same || claims_of(&bytes).is_err());
    }
}
