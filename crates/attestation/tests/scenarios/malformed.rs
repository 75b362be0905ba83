//! Quotes that are not the canonical form of genuine evidence, in every form: refused, never a panic.

use freehold_attestation::{QUOTE_BYTES_MAX, Refusal, UnverifiedEvidence, canonicalise};
use freehold_primitives::EvidenceKind;
use proptest::prelude::*;

use crate::{FORMS, Form, pem_text};

/// The refusal of a quote after an edit.
fn edited(form: &Form, edit: impl FnOnce(&mut Vec<u8>)) -> Refusal {
    let mut quote = form.quote.clone();
    edit(&mut quote);
    form.claims(&quote).unwrap_err()
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

/// The quote with another text where its PCK chain stands, all lengths made to fit.
fn with_chain(form: &Form, text: &[u8]) -> Vec<u8> {
    let mut quote = form.quote[..form.chain_at()].to_vec();
    quote.extend(text);
    let by = quote.len() as i64 - form.quote.len() as i64;
    for at in form.lengths() {
        grow(&mut quote, at, by);
    }
    quote
}

#[test]
fn every_length_boundary_and_every_truncation() {
    for form in FORMS.iter() {
        let (quote, name) = (&form.quote, form.name);
        for end in 0..quote.len() {
            // All short of the chain, then a sample of it, since each costs a PEM parse at most.
            if end < form.chain_at() + 64 || end % 97 == 0 || end + 64 > quote.len() {
                let cut = &quote[..end];
                assert_eq!(form.claims(cut).unwrap_err(), Refusal::EvidenceTruncated, "{name} cut at {end}");
                assert_eq!(canonicalise(cut).unwrap_err(), Refusal::EvidenceTruncated, "{name} cut at {end}");
                assert!(UnverifiedEvidence::read(form.kind, cut).is_err());
            }
        }
    }
}

#[test]
fn quote_trailing_byte() {
    for form in FORMS.iter() {
        assert_eq!(edited(form, |quote| quote.push(0)), Refusal::EvidenceTrailing);
        assert_eq!(edited(form, |quote| quote.push(1)), Refusal::EvidenceTrailing);
        let padded = [&form.quote[..], &[0; 70]].concat();
        assert_eq!(canonicalise(&padded).unwrap(), form.quote);
        let stuffed = [&form.quote[..], &[0, 0, 1]].concat();
        assert_eq!(canonicalise(&stuffed).unwrap_err(), Refusal::EvidenceTrailing);
    }
}

#[test]
fn quote_too_long() {
    for form in FORMS.iter() {
        assert!(form.quote.len() < QUOTE_BYTES_MAX);
        assert_eq!(edited(form, |quote| quote.resize(QUOTE_BYTES_MAX + 1, 0)), Refusal::EvidenceTooLong);
        assert_eq!(edited(form, |quote| quote.resize(QUOTE_BYTES_MAX, 0)), Refusal::EvidenceTrailing);
        let padded = |length: usize| {
            let mut quote = form.quote.clone();
            quote.resize(length, 0);
            canonicalise(&quote).map(|_| ())
        };
        assert_eq!(padded(2 * QUOTE_BYTES_MAX), Ok(()));
        assert_eq!(padded(2 * QUOTE_BYTES_MAX + 1), Err(Refusal::EvidenceTooLong));
    }
}

#[test]
fn quote_length_fields() {
    for form in FORMS.iter() {
        let (name, first) = (form.name, form.signed);
        let shorter = edited(form, |quote| grow(quote, first, -1));
        assert!(matches!(shorter, Refusal::EvidenceTrailing | Refusal::EvidenceTruncated), "{name}");
        assert_eq!(edited(form, |quote| grow(quote, first, 1)), Refusal::EvidenceTruncated, "{name}");
        for byte in [0, 0xff] {
            assert_eq!(edited(form, |quote| quote[first..first + 4].fill(byte)), Refusal::EvidenceTruncated, "{name}");
        }
        for &at in &form.lengths()[1..] {
            assert_eq!(edited(form, |quote| grow(quote, at, -1)), Refusal::EvidenceTrailing, "{name}");
            assert_eq!(edited(form, |quote| grow(quote, at, 1)), Refusal::EvidenceTruncated, "{name}");
            assert_eq!(edited(form, |quote| quote[at..at + 4].fill(0xff)), Refusal::EvidenceTruncated, "{name}");
        }
        // A byte inside the certification data that no field covers, with the outer lengths made to fit.
        let lengths = form.lengths();
        for covered in 1..lengths.len() {
            let hidden = |quote: &mut Vec<u8>| {
                quote.push(0);
                lengths[..covered].iter().for_each(|at| grow(quote, *at, 1));
            };
            assert_eq!(edited(form, hidden), Refusal::EvidenceTrailing, "{name}");
        }
    }
}

#[test]
fn quote_fixed_fields() {
    for form in FORMS.iter() {
        let name = form.name;
        for at in [1, 2, 3, 5, 6, 7] {
            assert_eq!(edited(form, |quote| quote[at] ^= 1), Refusal::QuoteFormat, "{name}, byte {at}");
        }
        if form.nested {
            let outer_at = form.signed + 132;
            assert_eq!(edited(form, |quote| quote[outer_at] = 7), Refusal::CertificationType, "{name}");
            assert_eq!(edited(form, |quote| quote[outer_at] = 5), Refusal::CertificationType, "{name}");
        }
        for kind in [1, 3, 4, 6] {
            assert_eq!(edited(form, |quote| quote[form.inner_at()] = kind), Refusal::CertificationType, "{name}");
        }
        assert_eq!(edited(form, |quote| quote[form.qe_auth_at()] = 31), Refusal::CertificationType, "{name}");
    }
}

#[test]
fn quote_versions_and_bodies() {
    let [v4, v5, .., sgx] = FORMS.as_slice() else { panic!("five forms") };
    // Versions that do not go with the TEE: SGX in version 4 and 5 is known to Intel's format and verified by nobody here.
    for version in [0, 2, 4, 5, 6] {
        assert_eq!(edited(sgx, |quote| quote[0] = version), Refusal::QuoteFormat, "SGX version {version}");
    }
    for version in [0, 3, 6] {
        assert_eq!(edited(v4, |quote| quote[0] = version), Refusal::QuoteFormat, "TDX version {version}");
    }
    assert_eq!(edited(v4, |quote| quote[4] = 0), Refusal::QuoteFormat);
    // Types of bodies, and sizes that are not theirs.
    for body in [0, 1, 3, 4, 5] {
        assert_eq!(edited(v5, |quote| quote[48] = body), Refusal::QuoteFormat, "body {body}");
    }
    assert_eq!(edited(v5, |quote| grow(quote, 50, 1)), Refusal::QuoteFormat);
    assert_eq!(edited(v5, |quote| grow(quote, 50, -1)), Refusal::QuoteFormat);
}

#[test]
fn quote_high_s() {
    for form in FORMS.iter() {
        for at in [form.signature_at(), form.qe_signature_at()] {
            let mut quote = form.quote.clone();
            negate(&mut quote[at + 32..at + 64]);
            assert_eq!(form.claims(&quote).unwrap_err(), Refusal::SignatureNotCanonical, "{}", form.name);
            assert_eq!(canonicalise(&quote).unwrap(), form.quote, "{}", form.name);
        }
    }
}

#[test]
fn quote_high_s_in_a_certificate() {
    for form in FORMS.iter() {
        let pem = String::from_utf8(form.quote[form.chain_at()..form.quote.len() - 1].to_vec()).unwrap();
        let certificates = pem_text::decode(&pem);
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
            let quote = with_chain(form, &[pem_text::encode(&certificates).as_bytes(), &[0]].concat());
            assert_eq!(form.claims(&quote).unwrap_err(), Refusal::SignatureNotCanonical, "certificate {index}");
            assert_eq!(canonicalise(&quote).unwrap(), form.quote, "certificate {index}");
        }
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

#[test]
fn quote_chain_in_another_form() {
    for form in FORMS.iter() {
        let end = form.quote.len() - 1;
        assert_eq!(edited(form, |quote| quote[end] = b'A'), Refusal::ChainNotCanonical);
        assert_eq!(edited(form, |quote| quote[end - 1] = b' '), Refusal::ChainNotCanonical);
        let pem = &form.quote[form.chain_at()..end];
        assert_eq!(with_chain(form, &form.quote[form.chain_at()..]), form.quote);
        let without_nul = with_chain(form, pem);
        assert_eq!(form.claims(&without_nul).unwrap_err(), Refusal::ChainNotCanonical);
        assert_eq!(canonicalise(&without_nul).unwrap(), form.quote);
        let text = String::from_utf8(pem.to_vec()).unwrap();
        let texts = [
            text.replace('\n', "\r\n"),
            text.replacen('\n', "\n\n", 1),
            format!("\n{text}"),
            format!("comment\n{text}"),
            format!("{text}\n"),
            text[..text.len() / 2].to_owned(),
            text.replacen("CERTIFICATE", "X509 CERTIFICATE", 2),
            String::new(),
        ];
        for text in texts {
            let refusal = form.claims(&with_chain(form, &[text.as_bytes(), &[0]].concat())).unwrap_err();
            assert!(matches!(refusal, Refusal::ChainNotCanonical | Refusal::EvidenceTruncated), "{}", form.name);
        }
        // Six certificates: more than the form has, and it may be more than its bound allows.
        let twice = form.claims(&with_chain(form, &[text.as_bytes(), text.as_bytes(), &[0]].concat())).unwrap_err();
        assert!(matches!(twice, Refusal::ChainNotCanonical | Refusal::EvidenceTooLong), "{}", form.name);
    }
}

#[test]
fn quote_signed_parts() {
    for form in FORMS.iter() {
        let cases = [
            (12, Refusal::QuoteFormat),                              // vendor of the quoting enclave
            (8, Refusal::QuoteSignature),                            // header, an SVN
            (30, Refusal::QuoteSignature),                           // header, user data
            (form.body_at, Refusal::QuoteSignature),                 // SVNs
            (form.body_at + 136, Refusal::QuoteSignature),           // MRTD, MRSIGNER
            (form.report_data_at, Refusal::QuoteSignature),          // report data
            (form.signed - 1, Refusal::QuoteSignature),              // the last byte of the body
            (form.signature_at(), Refusal::QuoteSignature),          // r
            (form.key_at(), Refusal::QuotingEnclaveBinding),         // attestation key
            (form.qe_report_at(), Refusal::QuotingEnclaveSignature), // report of the quoting enclave
            (form.qe_signature_at(), Refusal::QuotingEnclaveSignature),
            (form.qe_auth_at() + 2, Refusal::QuotingEnclaveBinding),
        ];
        for (at, refusal) in cases {
            assert_eq!(edited(form, |quote| quote[at] ^= 1), refusal, "{}, byte {at}", form.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_is_never_accepted(form in 0..5usize, at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let form = &FORMS[form];
        let mut quote = form.quote.clone();
        let at = at.index(quote.len());
        quote[at] ^= 1 << bit;
        prop_assert!(form.claims(&quote).is_err(), "{}, byte {at}", form.name);
        // What has a canonical form at all has the one of the genuine quote, or other bytes that stay refused.
        if let Ok(canonical) = canonicalise(&quote) {
            prop_assert!(canonical == form.quote || form.claims(&canonical).is_err());
        }
        let _ = UnverifiedEvidence::read(form.kind, &quote);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        form in 0..5usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..3_000),
        graft in 0..1_700usize,
    ) {
        let form = &FORMS[form];
        prop_assert!(form.claims(&bytes).is_err());
        // A genuine beginning reaches further into the reader.
        let grafted = [&form.quote[..graft], &bytes[..]].concat();
        prop_assert!(form.claims(&grafted).is_err());
        let _ = canonicalise(&grafted);
        let _ = UnverifiedEvidence::read(EvidenceKind::Bundle, &bytes);
    }
}
