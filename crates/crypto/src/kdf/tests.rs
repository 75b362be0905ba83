//! Published vectors of `appd`'s keys, of KMAC256 and of HKDF.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn app_key_vectors() {
    let check = |kind, expect: &str| assert_eq!(hex::encode(&*app_key(b"key", kind, b"key id")), expect);
    check(KeyKind::Raw256, "1cba05338c243901f5784a57746ad972e4aa609ab632b3431d85cb8c2f1d72b3");
    check(
        KeyKind::Raw384,
        "89b9c608809516f749489e2c78d98e4cddda04c7a5695dbf212036aeb80ed2c193f6dccd74745dc2fc0e1799073ce9cf",
    );
    check(KeyKind::Ed25519, "f5d58be0f6df3b91e8c1e918d71c0cf717a4efc35790c9534b58f8c3b2b6163f");
    check(KeyKind::Secp256k1, "97d87b946892a8cfbc2773f13f89a98ef1db9fa15ef799ee9e9841a6f7f28842");
}

/// NIST's KMAC256 sample 4.
#[test]
fn kmac256_vector() {
    let key: Vec<u8> = (0x40..=0x5f).collect();
    let mut out = [0; 64];
    kmac256(&key, b"My Tagged Application", &[0, 1, 2, 3], &mut out);
    assert_eq!(
        hex::encode(out),
        "20c570c31346f703c9ac36c61c03cb64c3970d0cfc787e9b79599d273a68d2f7f69d4cc3de9d104a351689f27cf6f5951f0103f33f4f24871024d9c27773a8dd"
    );
}

/// RFC 5869 A.1 and A.3.
#[test]
fn hkdf_vectors() {
    let mut out = [0; 42];
    let salt: Vec<u8> = (0..=0x0c).collect();
    let info: Vec<u8> = (0xf0..=0xf9).collect();
    hkdf_sha256(&salt, &[0x0b; 22], &[&info[..3], &info[3..]], &mut out);
    assert_eq!(
        hex::encode(out),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    );
    hkdf_sha256(&[], &[0x0b; 22], &[], &mut out);
    assert_eq!(
        hex::encode(out),
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    );
}

#[test]
fn kinds_round_trip_through_their_words() {
    for word in ["raw-256", "raw-384", "ed25519", "secp256k1"] {
        assert_eq!(KeyKind::parse(word).unwrap().as_str(), word);
    }
    assert_eq!(KeyKind::parse("raw-512"), None);
}
