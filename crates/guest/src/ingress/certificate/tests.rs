//! Chains as authorities give them, and as they must not.

use rcgen::{CertificateParams, date_time_ymd};

use super::*;
use crate::ingress::key::TlsKey;

fn key(seed: u8) -> TlsKey {
    TlsKey::from_secret(&[seed; 32]).unwrap()
}

fn pem(key: &TlsKey, year: i32) -> String {
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 7, 15);
    params.self_signed(&key.pair()).unwrap().pem()
}

#[test]
fn the_end_of_a_certificate_is_read_from_both_forms_of_time() {
    // 2049 and before stand in UTCTime, later years in GeneralizedTime; seconds by another program.
    for (year, end) in [(2026, 1_784_073_600), (2049, 2_509_920_000), (2050, 2_541_456_000), (2400, 13_586_400_000)] {
        let chain = Chain::read(&pem(&key(1), year), &key(1).spki_sha256()).unwrap();
        assert_eq!(chain.not_after, end, "{year}");
    }
}

#[test]
fn a_chain_for_another_key_is_refused() {
    assert_eq!(Chain::read(&pem(&key(2), 2030), &key(1).spki_sha256()).unwrap_err(), ChainError::OtherKey);
}

#[test]
fn what_is_no_chain_is_refused() {
    let whole = pem(&key(1), 2030);
    let digest = key(1).spki_sha256();
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for text in ["", "hello", garbage, &whole[..whole.len() / 2], &whole.repeat(9), &"a".repeat(CHAIN_BYTES_MAX + 1)] {
        assert_eq!(Chain::read(text, &digest).unwrap_err(), ChainError::Form);
    }
}

#[test]
fn no_bytes_break_the_reader_of_times() {
    let der = key(1).certified(Vec::new());
    drop(der);
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2030, 1, 1);
    let der = params.self_signed(&key(1).pair()).unwrap().der().to_vec();
    for length in 0..der.len() {
        let _ = not_after(&der[..length]);
    }
    for at in 0..der.len() {
        for value in [0, 0x7f, 0x80, 0x84, 0xff] {
            let mut changed = der.clone();
            changed[at] = value;
            let _ = not_after(&changed);
        }
    }
    for text in [&b"991332000000Z"[..], b"99010100000Z", b"990101000000", b"99a101000000Z", b"690101000000Z"] {
        let _ = seconds(23, text);
    }
    assert_eq!(seconds(23, b"991332000000Z"), None);
    assert_eq!(seconds(23, b"700101000000Z"), Some(0));
    assert_eq!(seconds(24, b"19700101000001Z"), Some(1));
}
