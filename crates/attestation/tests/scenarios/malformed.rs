//! Bytes that are not the canonical form of genuine evidence or collateral: refused, never a panic.

use std::sync::LazyLock;

use freehold_attestation::{
    COLLATERAL_BYTES_MAX, COLLATERAL_JSON_BYTES_MAX, CollateralDocument, REVOCATION_LIST_BYTES_MAX, Refusal,
    RefusalClass, UnverifiedQuote, canonicalise, claims, read_collateral,
};
use freehold_primitives::{Canonical as _, EVIDENCE_BYTES_MAX};
use proptest::prelude::*;

use crate::{NOW, PLATFORM, REPORT_DATA, claims_of, emulated_roots, td};

const AUTH_LENGTH_AT: usize = 632;
const SIGNATURE_AT: usize = 636;
const OUTER_AT: usize = 764;
const QE_SIGNATURE_AT: usize = 1154;
const QE_AUTH_AT: usize = 1218;
const INNER_AT: usize = 1252;
const CHAIN_AT: usize = 1258;

static QUOTE: LazyLock<Vec<u8>> = LazyLock::new(|| PLATFORM.quote_v4(&td(), &REPORT_DATA));

/// The refusal of the quote after an edit.
fn edited(edit: impl FnOnce(&mut Vec<u8>)) -> Refusal {
    let mut quote = QUOTE.clone();
    edit(&mut quote);
    claims_of(&quote).unwrap_err()
}

/// `n - s` in place, written out again: the test must not trust the code it tests.
fn negate(s: &mut [u8]) {
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let mut borrow = 0;
    for (byte, order) in s.iter_mut().zip(order).rev() {
        let difference = i32::from(order) - i32::from(*byte) - borrow;
        borrow = i32::from(difference < 0);
        *byte = (difference + 256 * borrow) as u8;
    }
}

/// Adds to the little-endian length at `at`.
fn grow(quote: &mut [u8], at: usize, by: i64) {
    let length = u32::from_le_bytes(quote[at..at + 4].try_into().unwrap());
    quote[at..at + 4].copy_from_slice(&((i64::from(length) + by) as u32).to_le_bytes());
}

#[test]
fn every_length_boundary_and_every_truncation() {
    for end in 0..QUOTE.len() {
        // All short of the chain, then a sample of it, since each costs a PEM parse at most.
        if end < CHAIN_AT + 64 || end % 97 == 0 || end + 64 > QUOTE.len() {
            let refusal = claims_of(&QUOTE[..end]).unwrap_err();
            assert_eq!(refusal, Refusal::EvidenceTruncated, "cut at {end}");
            assert_eq!(canonicalise(&QUOTE[..end]).unwrap_err(), Refusal::EvidenceTruncated, "cut at {end}");
            assert!(UnverifiedQuote::read(&QUOTE[..end]).is_err());
        }
    }
}

#[test]
fn quote_trailing_byte() {
    assert_eq!(edited(|quote| quote.push(0)), Refusal::EvidenceTrailing);
    assert_eq!(edited(|quote| quote.push(1)), Refusal::EvidenceTrailing);
    let padded = [&QUOTE[..], &[0; 70]].concat();
    assert_eq!(canonicalise(&padded).unwrap(), *QUOTE);
    let stuffed = [&QUOTE[..], &[0, 0, 1]].concat();
    assert_eq!(canonicalise(&stuffed).unwrap_err(), Refusal::EvidenceTrailing);
}

#[test]
fn quote_too_long() {
    assert_eq!(edited(|quote| quote.resize(EVIDENCE_BYTES_MAX + 1, 0)), Refusal::EvidenceTooLong);
    assert_eq!(edited(|quote| quote.resize(EVIDENCE_BYTES_MAX, 0)), Refusal::EvidenceTrailing);
}

#[test]
fn quote_length_fields() {
    assert_eq!(
        edited(|quote| grow(quote, AUTH_LENGTH_AT, -1)),
        Refusal::EvidenceTrailing.min(Refusal::EvidenceTruncated)
    );
    assert_eq!(edited(|quote| grow(quote, AUTH_LENGTH_AT, 1)), Refusal::EvidenceTruncated);
    assert_eq!(edited(|quote| quote[AUTH_LENGTH_AT..SIGNATURE_AT].fill(0xff)), Refusal::EvidenceTruncated);
    assert_eq!(edited(|quote| quote[AUTH_LENGTH_AT..SIGNATURE_AT].fill(0)), Refusal::EvidenceTruncated);
    for at in [OUTER_AT + 2, INNER_AT + 2] {
        assert_eq!(edited(|quote| grow(quote, at, -1)), Refusal::EvidenceTrailing);
        assert_eq!(edited(|quote| grow(quote, at, 1)), Refusal::EvidenceTruncated);
        assert_eq!(edited(|quote| quote[at..at + 4].fill(0xff)), Refusal::EvidenceTruncated);
    }
    // A byte inside the certification data that no field covers, with the outer lengths made to fit.
    let hidden = |quote: &mut Vec<u8>| {
        quote.push(0);
        grow(quote, AUTH_LENGTH_AT, 1);
        grow(quote, OUTER_AT + 2, 1);
    };
    assert_eq!(edited(hidden), Refusal::EvidenceTrailing);
    let unclaimed = |quote: &mut Vec<u8>| {
        quote.push(0);
        grow(quote, AUTH_LENGTH_AT, 1);
    };
    assert_eq!(edited(unclaimed), Refusal::EvidenceTrailing);
}

#[test]
fn quote_fixed_fields() {
    for at in [0, 1, 2, 3, 4, 5, 6, 7] {
        assert_eq!(edited(|quote| quote[at] ^= 1), Refusal::QuoteFormat, "byte {at}");
    }
    assert_eq!(edited(|quote| quote[OUTER_AT] = 7), Refusal::CertificationType);
    assert_eq!(edited(|quote| quote[OUTER_AT] = 5), Refusal::CertificationType);
    assert_eq!(edited(|quote| quote[INNER_AT] = 4), Refusal::CertificationType);
    assert_eq!(edited(|quote| quote[QE_AUTH_AT] = 31), Refusal::CertificationType);
}

#[test]
fn quote_high_s() {
    for at in [SIGNATURE_AT, QE_SIGNATURE_AT] {
        let mut quote = QUOTE.clone();
        negate(&mut quote[at + 32..at + 64]);
        assert_eq!(claims_of(&quote).unwrap_err(), Refusal::SignatureNotCanonical);
        assert_eq!(canonicalise(&quote).unwrap(), *QUOTE);
    }
}

#[test]
fn quote_high_s_in_a_certificate() {
    use base64_lines::{decode, encode};
    let pem = String::from_utf8(QUOTE[CHAIN_AT..QUOTE.len() - 1].to_vec()).unwrap();
    let certificates = decode(&pem);
    for index in 0..2 {
        let mut certificates = certificates.clone();
        let der = &mut certificates[index];
        // The last integer of the certificate is `s`; the emulator's are low, mostly of 32 bytes.
        let s_at = der.len() - 32;
        assert_eq!(der[s_at - 2..s_at], [2, 32], "the emulator's seed gives a full-width s");
        let mut s = der[s_at..].to_vec();
        negate(&mut s);
        der.truncate(s_at - 2);
        der.extend([2, 33, 0]);
        der.extend(s);
        lengthen(der);
        let mut quote = QUOTE[..CHAIN_AT].to_vec();
        quote.extend(encode(&certificates).as_bytes());
        quote.push(0);
        let by = quote.len() as i64 - QUOTE.len() as i64;
        for at in [AUTH_LENGTH_AT, OUTER_AT + 2, INNER_AT + 2] {
            grow(&mut quote, at, by);
        }
        assert_eq!(claims_of(&quote).unwrap_err(), Refusal::SignatureNotCanonical, "certificate {index}");
        assert_eq!(canonicalise(&quote).unwrap(), *QUOTE, "certificate {index}");
    }
}

/// Adds one to the three lengths around the last integer of a certificate.
fn lengthen(der: &mut [u8]) {
    let total = u16::from_be_bytes([der[2], der[3]]) + 1;
    der[2..4].copy_from_slice(&total.to_be_bytes());
    let r_at = (0..der.len()).rev().find(|at| der[*at..].starts_with(&[0x30]) && is_signature(&der[*at..])).unwrap();
    der[r_at + 1] += 1;
    der[r_at - 2] += 1;
}

/// Whether a sequence of two integers ends the certificate, one byte short.
fn is_signature(tail: &[u8]) -> bool {
    tail.len() > 60 && usize::from(tail[1]) + 3 == tail.len() && tail[2] == 2
}

/// A PEM reader and writer of the test's own.
mod base64_lines {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    pub(super) fn decode(pem: &str) -> Vec<Vec<u8>> {
        let bodies = pem.split("-----END CERTIFICATE-----\n").filter(|body| !body.is_empty());
        bodies.map(|body| bytes(&body.replace("-----BEGIN CERTIFICATE-----\n", "").replace('\n', ""))).collect()
    }

    fn bytes(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for group in text.as_bytes().chunks(4) {
            let digit = |byte: u8| ALPHABET.iter().position(|letter| *letter == byte).unwrap_or(0) as u32;
            let value = group.iter().fold(0, |value, byte| value << 6 | digit(*byte));
            let padding = group.iter().filter(|byte| **byte == b'=').count();
            out.extend(&value.to_be_bytes()[1..4 - padding]);
        }
        out
    }

    pub(super) fn encode(certificates: &[Vec<u8>]) -> String {
        let mut out = String::new();
        for der in certificates {
            let mut text = String::new();
            for group in der.chunks(3) {
                let mut value = [0; 4];
                value[1..=group.len()].copy_from_slice(group);
                let value = u32::from_be_bytes(value);
                for index in 0..4 {
                    let digit = ALPHABET[(value >> (18 - 6 * index) & 63) as usize];
                    text.push(if index <= group.len() { char::from(digit) } else { '=' });
                }
            }
            out.push_str("-----BEGIN CERTIFICATE-----\n");
            for line in text.as_bytes().chunks(64) {
                out.push_str(core::str::from_utf8(line).unwrap());
                out.push('\n');
            }
            out.push_str("-----END CERTIFICATE-----\n");
        }
        out
    }
}

#[test]
fn quote_chain_in_another_form() {
    let end = QUOTE.len() - 1;
    assert_eq!(edited(|quote| quote[end] = b'A'), Refusal::ChainNotCanonical);
    assert_eq!(edited(|quote| quote[end - 1] = b' '), Refusal::ChainNotCanonical);
    let with_chain = |pem: &[u8]| {
        let mut quote = QUOTE[..CHAIN_AT].to_vec();
        quote.extend(pem);
        let by = quote.len() as i64 - QUOTE.len() as i64;
        for at in [AUTH_LENGTH_AT, OUTER_AT + 2, INNER_AT + 2] {
            grow(&mut quote, at, by);
        }
        quote
    };
    let pem = &QUOTE[CHAIN_AT..end];
    assert_eq!(with_chain(&QUOTE[CHAIN_AT..]), *QUOTE);
    let without_nul = with_chain(pem);
    assert_eq!(claims_of(&without_nul).unwrap_err(), Refusal::ChainNotCanonical);
    assert_eq!(canonicalise(&without_nul).unwrap(), *QUOTE);
    let text = String::from_utf8(pem.to_vec()).unwrap();
    let forms = [
        text.replace('\n', "\r\n"),
        text.replacen('\n', "\n\n", 1),
        format!("\n{text}"),
        format!("comment\n{text}"),
        format!("{text}\n"),
        format!("{text}{text}"),
        text[..text.len() / 2].to_owned(),
        text.replacen("CERTIFICATE", "X509 CERTIFICATE", 2),
        String::new(),
    ];
    for form in forms {
        let quote = with_chain(&[form.as_bytes(), &[0]].concat());
        assert!(matches!(claims_of(&quote).unwrap_err(), Refusal::ChainNotCanonical | Refusal::EvidenceTruncated));
    }
}

#[test]
fn quote_signed_parts() {
    let cases = [
        (12, Refusal::QuoteFormat),                          // vendor of the quoting enclave
        (8, Refusal::QuoteSignature),                        // header, an SVN
        (30, Refusal::QuoteSignature),                       // header, user data
        (48 + 136, Refusal::QuoteSignature),                 // MRTD
        (48 + 472, Refusal::QuoteSignature),                 // RTMR3
        (48 + 520, Refusal::QuoteSignature),                 // report data
        (SIGNATURE_AT, Refusal::QuoteSignature),             // r
        (SIGNATURE_AT + 64, Refusal::QuotingEnclaveBinding), // attestation key
        (OUTER_AT + 6, Refusal::QuotingEnclaveSignature),    // report of the quoting enclave
        (QE_SIGNATURE_AT, Refusal::QuotingEnclaveSignature),
        (QE_AUTH_AT + 2, Refusal::QuotingEnclaveBinding),
    ];
    for (at, refusal) in cases {
        assert_eq!(edited(|quote| quote[at] ^= 1), refusal, "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_is_never_accepted(at in 0..QUOTE.len(), bit in 0..8u8) {
        let mut quote = QUOTE.clone();
        quote[at] ^= 1 << bit;
        prop_assert!(claims_of(&quote).is_err());
        let _ = canonicalise(&quote);
        let _ = UnverifiedQuote::read(&quote);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3_000), graft in 0..1_300usize) {
        prop_assert!(claims_of(&bytes).is_err());
        // A genuine beginning reaches further into the reader.
        let grafted = [&QUOTE[..graft], &bytes[..]].concat();
        prop_assert!(claims_of(&grafted).is_err());
        let _ = canonicalise(&grafted);
        prop_assert!(read_collateral(&bytes, &emulated_roots(), NOW).is_err());
    }

    #[test]
    fn a_flipped_bit_in_collateral_never_panics(at in 0..COLLATERAL.len(), bit in 0..8u8) {
        let mut document = COLLATERAL.clone();
        document[at] ^= 1 << bit;
        // The one field that is not vouched for twice is the issuer chain of the PCK list; `read_collateral` alone
        // judges it, and every byte of the document.
        prop_assert!(read_collateral(&document, &emulated_roots(), NOW).is_err());
        let _ = claims(&QUOTE, &document, &emulated_roots(), NOW);
    }
}

static COLLATERAL: LazyLock<Vec<u8>> = LazyLock::new(|| PLATFORM.collateral(NOW));

/// The refusals of the document after an edit: alone, and with a quote.
fn collateral(edit: impl FnOnce(&mut CollateralDocument)) -> [Result<(), Refusal>; 2] {
    let mut document = CollateralDocument::from_canonical(&COLLATERAL).unwrap();
    edit(&mut document);
    let bytes = document.to_canonical();
    let alone = read_collateral(&bytes, &emulated_roots(), NOW).map(|_| ());
    [alone, claims(&QUOTE, &bytes, &emulated_roots(), NOW).map(|_| ())]
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
    assert_eq!(
        read_collateral(&vec![1; COLLATERAL_BYTES_MAX + 1], &emulated_roots(), NOW),
        Err(Refusal::CollateralTooLong)
    );
    assert_eq!(read_collateral(&[], &emulated_roots(), NOW), Err(Refusal::CollateralFormat));
    let trailing = [&COLLATERAL[..], &[0]].concat();
    assert_eq!(read_collateral(&trailing, &emulated_roots(), NOW), Err(Refusal::CollateralFormat));
    for end in (0..COLLATERAL.len()).step_by(61) {
        assert_eq!(read_collateral(&COLLATERAL[..end], &emulated_roots(), NOW), Err(Refusal::CollateralFormat));
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
