//! Bytes that are not the canonical form of a GPU's evidence or collateral: refused, never a panic.

use std::sync::LazyLock;

use freehold_attestation::{
    Refusal, RefusalClass,
    nvidia::{self, NvidiaClaims, NvidiaCollateral, NvidiaEvidence, UnverifiedNvidia},
};
use freehold_primitives::{Blob, Canonical as _};
use proptest::prelude::*;

use crate::{BLACKWELL, HOPPER, NONCE, NOW, claims_of, emulated_roots};

static EVIDENCE: LazyLock<Vec<u8>> = LazyLock::new(|| HOPPER.evidence(&NONCE));
static OTHER: LazyLock<Vec<u8>> = LazyLock::new(|| BLACKWELL.evidence(&NONCE));
static CLAIMS: LazyLock<NvidiaClaims> = LazyLock::new(|| claims_of(&EVIDENCE).unwrap());
static OTHER_CLAIMS: LazyLock<NvidiaClaims> = LazyLock::new(|| claims_of(&OTHER).unwrap());
static COLLATERAL: LazyLock<Vec<u8>> = LazyLock::new(|| HOPPER.collateral(NOW));

/// Offset of the opaque data's length in a report.
const OPAQUE_AT: usize = 37 + 8 + 64 * 55 + 32;

/// The refusal after an edit of the document.
fn edited(edit: impl FnOnce(&mut NvidiaEvidence)) -> Refusal {
    let mut document = NvidiaEvidence::from_canonical(&EVIDENCE).unwrap();
    edit(&mut document);
    claims_of(&document.to_canonical()).unwrap_err()
}

fn report(edit: impl FnOnce(&mut Vec<u8>)) -> Refusal {
    edited(|document| edit(&mut document.report.0))
}

/// `n - s` in place, written out again: the test must not trust the code it tests.
fn negate(s: &mut [u8]) {
    let order =
        hex::decode("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973")
            .unwrap();
    let mut borrow = 0;
    for (byte, order) in s.iter_mut().zip(order).rev() {
        let difference = i32::from(order) - i32::from(*byte) - borrow;
        borrow = i32::from(difference < 0);
        *byte = (difference + 256 * borrow) as u8;
    }
}

/// A DER certificate with `s` of its signature in the upper half. Both integers are the last of the DER.
fn upper_half(der: &[u8]) -> Vec<u8> {
    // 0x03 length 0x00 0x30 length 0x02 length r 0x02 length s
    let mut at = der.len() - 96 - 16;
    while der[at] != 0x03 || usize::from(der[at + 1]) + at + 2 != der.len() || der[at + 3] != 0x30 {
        at += 1;
    }
    let r_length = usize::from(der[at + 6]);
    let s_at = at + 7 + r_length;
    let mut s = [0; 48];
    let shown = &der[s_at + 2..];
    let shown = shown.strip_prefix(&[0]).unwrap_or(shown);
    s[48 - shown.len()..].copy_from_slice(shown);
    negate(&mut s);
    // The upper half has its first bit set, always: one more zero in front.
    let integer = [&[0x02, 49, 0][..], &s].concat();
    let sequence = [&der[at + 5..s_at], &integer].concat();
    let bits = [&[0, 0x30, sequence.len() as u8][..], &sequence].concat();
    let content = [&der[4..at], &[0x03, bits.len() as u8], &bits].concat();
    let length = (content.len() as u16).to_be_bytes();
    [&[0x30, 0x82, length[0], length[1]][..], &content].concat()
}

#[test]
fn every_truncation_and_a_trailing_byte() {
    for end in (0..EVIDENCE.len()).filter(|end| end % 61 == 0 || end + 8 > EVIDENCE.len() || *end < 64) {
        assert_eq!(claims_of(&EVIDENCE[..end]).unwrap_err(), Refusal::EvidenceTruncated, "cut at {end}");
        assert!(UnverifiedNvidia::read(&EVIDENCE[..end]).is_err());
    }
    let longer = [&EVIDENCE[..], &[0]].concat();
    assert_eq!(claims_of(&longer).unwrap_err(), Refusal::EvidenceTrailing);
    let mut longest = EVIDENCE.clone();
    longest.resize(nvidia::EVIDENCE_BYTES_MAX + 1, 0);
    assert_eq!(claims_of(&longest).unwrap_err(), Refusal::EvidenceTooLong);
    assert_eq!(report(|bytes| bytes.truncate(100)), Refusal::EvidenceTruncated);
    assert_eq!(report(|bytes| bytes.push(0)), Refusal::EvidenceTrailing);
    let mut version = EVIDENCE.clone();
    version[0] = 2;
    assert_eq!(claims_of(&version).unwrap_err(), Refusal::GpuEvidenceFormat);
}

#[test]
fn report_header_and_blocks() {
    for at in [0, 1, 2, 3, 36, 37, 38, 41, 42, 43, 44, 45, 46, 47, 49, 50, 51, 45 + 55 * 63] {
        assert_eq!(report(|bytes| bytes[at] ^= 0x40), Refusal::GpuReportFormat, "byte {at}");
    }
    // A digest, a nonce: signed, and nothing else.
    for at in [4, 39, 52, OPAQUE_AT - 1] {
        assert_eq!(report(|bytes| bytes[at] ^= 0x40), Refusal::GpuReportSignature, "byte {at}");
    }
}

#[test]
fn opaque_data_faults() {
    assert_eq!(report(|bytes| bytes[OPAQUE_AT + 1] ^= 0x10), Refusal::EvidenceTruncated, "length of all");
    let first = OPAQUE_AT + 2;
    assert_eq!(report(|bytes| bytes[first + 2] += 1), Refusal::GpuOpaqueData, "length of the first field");
    assert_eq!(report(|bytes| bytes[first] = 14), Refusal::GpuOpaqueData, "a field twice");
    assert_eq!(report(|bytes| bytes[first] = 99), Refusal::GpuOpaqueData, "no VBIOS version");
    assert_eq!(report(|bytes| bytes[first + 9] = 1), Refusal::GpuOpaqueData, "VBIOS version too long");
    let find = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    let driver = |bytes: &mut Vec<u8>, byte: u8| {
        let at = find(bytes, b"550.90.07\0");
        bytes[at + 3] = byte;
    };
    assert_eq!(report(|bytes| driver(bytes, b' ')), Refusal::GpuOpaqueData, "driver version with a space");
    assert_eq!(report(|bytes| driver(bytes, 0)), Refusal::GpuOpaqueData, "driver version with a NUL inside");
    let mode = |bytes: &mut Vec<u8>, flag: u8| {
        let at = find(bytes, &[36, 0, 2, 0]);
        bytes[at + 4] = flag;
    };
    assert_eq!(report(|bytes| mode(bytes, 3)), Refusal::GpuOpaqueData, "unknown mode");
    assert_eq!(report(|bytes| mode(bytes, 2)), Refusal::GpuOpaqueData, "mode and status contradict");
    assert_eq!(report(|bytes| mode(bytes, 1)), Refusal::GpuReportSignature);
    let fwid = |bytes: &mut Vec<u8>| {
        let at = find(bytes, &[20, 0, 48, 0]);
        bytes[at] = 98;
    };
    assert_eq!(report(fwid), Refusal::GpuOpaqueData, "no firmware id");
}

#[test]
fn signature_twins() {
    let twin = |document: &mut NvidiaEvidence| {
        let at = document.report.0.len() - 48;
        negate(&mut document.report.0[at..]);
    };
    assert_eq!(edited(twin), Refusal::SignatureNotCanonical);
    for place in 0..4 {
        let twin = |document: &mut NvidiaEvidence| {
            document.certificates[place].0 = upper_half(&document.certificates[place].0);
        };
        assert_eq!(edited(twin), Refusal::SignatureNotCanonical, "certificate {place}");
    }
    assert_eq!(report(|bytes| bytes.truncate(bytes.len() - 96)), Refusal::EvidenceTruncated);
    let zero = |bytes: &mut Vec<u8>| {
        let at = bytes.len() - 48;
        bytes[at..].fill(0);
    };
    assert_eq!(report(zero), Refusal::GpuReportSignature);

    // What hardware gives may be either half; canonicalisation brings both to one.
    let mut document = NvidiaEvidence::from_canonical(&EVIDENCE).unwrap();
    twin(&mut document);
    let pem: String = document.certificates[..4]
        .iter()
        .map(|one| upper_half(&one.0))
        .chain([document.certificates[4].0.clone()])
        .map(|der| {
            let body = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, der);
            format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
        })
        .collect();
    assert_eq!(nvidia::canonicalise(&document.report.0, pem.as_bytes()).unwrap(), *EVIDENCE);
    assert_eq!(nvidia::canonicalise(&document.report.0, b"").unwrap_err(), Refusal::GpuEvidenceFormat);
    assert_eq!(nvidia::canonicalise(b"", pem.as_bytes()).unwrap_err(), Refusal::EvidenceTruncated);
}

#[test]
fn chain_faults() {
    let other = NvidiaEvidence::from_canonical(&OTHER).unwrap();
    assert_eq!(edited(|document| drop(document.certificates.pop())), Refusal::GpuEvidenceFormat);
    assert_eq!(edited(|document| document.certificates.clear()), Refusal::GpuEvidenceFormat);
    let longer = |document: &mut NvidiaEvidence| document.certificates.insert(1, document.certificates[1].clone());
    assert_eq!(edited(longer), Refusal::GpuEvidenceFormat);
    assert_eq!(edited(|document| document.certificates[4] = document.certificates[3].clone()), Refusal::UnknownRoot);
    assert_eq!(edited(|document| document.certificates.swap(1, 2)), Refusal::CertificateChain);
    assert_eq!(edited(|document| document.certificates.swap(0, 1)), Refusal::CertificateChain);
    for place in 0..4 {
        let foreign = |document: &mut NvidiaEvidence| document.certificates[place] = other.certificates[place].clone();
        assert_eq!(edited(foreign), Refusal::CertificateChain, "certificate {place}");
        let garbage = |document: &mut NvidiaEvidence| document.certificates[place] = Blob(vec![0x30, 0]);
        assert_eq!(edited(garbage), Refusal::GpuCertificate, "certificate {place}");
        let trailing = |document: &mut NvidiaEvidence| document.certificates[place].0.push(0);
        assert_eq!(edited(trailing), Refusal::GpuCertificate, "certificate {place}");
    }
    // A chain of another GPU under a report, whole.
    let chain = |document: &mut NvidiaEvidence| document.certificates = other.certificates.clone();
    assert_eq!(edited(chain), Refusal::GpuReportSignature);
}

#[test]
fn collateral_faults() {
    let roots = emulated_roots();
    let read = |bytes: &[u8]| nvidia::read_collateral(bytes, &roots, NOW).map(|_| ());
    let document = NvidiaCollateral::from_canonical(&COLLATERAL).unwrap();
    let edited = |edit: &dyn Fn(&mut NvidiaCollateral)| {
        let mut document = document.clone();
        edit(&mut document);
        read(&document.to_canonical())
    };
    assert_eq!(edited(&|_| ()), Ok(()));
    assert_eq!(read(&vec![0; nvidia::COLLATERAL_BYTES_MAX + 1]), Err(Refusal::CollateralTooLong));
    assert_eq!(read(&[]), Err(Refusal::CollateralFormat));
    assert_eq!(read(&[&COLLATERAL[..], &[0]].concat()), Err(Refusal::CollateralFormat));
    assert_eq!(edited(&|one| drop(one.certificates.remove(0))), Err(Refusal::CollateralFormat));
    assert_eq!(edited(&|one| one.certificates.swap(0, 1)), Err(Refusal::RevocationList));
    assert_eq!(edited(&|one| one.certificates.swap(1, 2)), Err(Refusal::UnknownRoot));
    assert_eq!(edited(&|one| one.revocation_lists.swap(0, 1)), Err(Refusal::RevocationList));
    assert_eq!(edited(&|one| one.revocation_lists[1] = one.revocation_lists[0].clone()), Err(Refusal::RevocationList));
    assert_eq!(
        edited(&|one| one.revocation_lists.push(one.revocation_lists[0].clone())),
        Err(Refusal::CollateralFormat)
    );
    assert_eq!(edited(&|one| one.revocation_lists[0].0.push(0)), Err(Refusal::RevocationList));
    assert_eq!(edited(&|one| one.revocation_lists[0].0.resize(64 * 1024 + 1, 0)), Err(Refusal::CollateralTooLong));
    let twin = |one: &mut NvidiaCollateral| one.revocation_lists[2].0 = upper_half(&one.revocation_lists[2].0);
    assert_eq!(edited(&twin), Err(Refusal::SignatureNotCanonical));
    let twin = |one: &mut NvidiaCollateral| one.certificates[0].0 = upper_half(&one.certificates[0].0);
    assert_eq!(edited(&twin), Err(Refusal::SignatureNotCanonical));
    // A list that its issuer did not sign is refused when it is submitted, and not looked at again.
    let forged = |one: &mut NvidiaCollateral| {
        let list = &mut one.revocation_lists[0].0;
        let last = list.len() - 1;
        list[last] ^= 1;
    };
    assert!(matches!(edited(&forged), Err(Refusal::RevocationList | Refusal::SignatureNotCanonical)));
    let mut document = document.clone();
    forged(&mut document);
    assert!(nvidia::claims_accepted(&HOPPER.evidence(&NONCE), &document.to_canonical(), &roots, NOW).is_ok());

    let (_, pem) = HOPPER.raw(&NONCE, &freehold_emulator::GpuPlan::new(freehold_primitives::GpuArchitecture::Hopper));
    let above: String = pem.split_inclusive("-----END CERTIFICATE-----\n").skip(2).collect();
    let lists: Vec<Vec<u8>> = NvidiaCollateral::from_canonical(&COLLATERAL)
        .unwrap()
        .revocation_lists
        .into_iter()
        .map(|list| upper_half(&list.0))
        .collect();
    assert_eq!(nvidia::canonicalise_collateral(above.as_bytes(), &lists).unwrap(), *COLLATERAL);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// No bit of accepted evidence is free: each is signed, part of a certificate, or part of the canonical form.
    #[test]
    fn any_flipped_bit_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8, other in any::<bool>()) {
        let (sound, claims) = if other { (&OTHER, &OTHER_CLAIMS) } else { (&EVIDENCE, &CLAIMS) };
        let mut evidence = sound.to_vec();
        prop_assert_eq!(&claims_of(&evidence).unwrap(), &**claims);
        let at = at.index(evidence.len());
        evidence[at] ^= 1 << bit;
        prop_assert!(claims_of(&evidence).is_err(), "bit {bit} of byte {at}");
    }

    #[test]
    fn any_flipped_bit_of_collateral_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut document = COLLATERAL.clone();
        let at = at.index(document.len());
        document[at] ^= 1 << bit;
        prop_assert!(nvidia::read_collateral(&document, &emulated_roots(), NOW).is_err(), "bit {bit} of byte {at}");
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let refusal = claims_of(&bytes).unwrap_err();
        prop_assert!(matches!(refusal.class(), RefusalClass::Invalid | RefusalClass::Untrusted));
        let document = NvidiaEvidence { report: Blob(bytes.clone()), certificates: vec![Blob(bytes.clone()); 5] };
        prop_assert!(claims_of(&document.to_canonical()).is_err());
        let _ = nvidia::canonicalise(&bytes, &bytes);
        let _ = nvidia::read_collateral(&bytes, &emulated_roots(), NOW);
    }

    /// Edits in the middle of genuine evidence: still no panic.
    #[test]
    fn spliced_evidence_never_panics(
        at in any::<prop::sample::Index>(), remove in 0usize..80, insert in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut evidence = EVIDENCE.clone();
        let at = at.index(evidence.len());
        let end = (at + remove).min(evidence.len());
        let same = evidence[at..end] == insert[..];
        evidence.splice(at..end, insert);
        prop_assert!(same || claims_of(&evidence).is_err());
    }
}
