//! The PKCS #8 form of a known key.
#![allow(clippy::unwrap_used)]

use super::p256_pkcs8;

/// RFC 6979 §A.2.5: the key and its public point.
const SECRET: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
const POINT: &str = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                     7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";

#[test]
fn a_known_key_has_its_public_point() {
    let secret: [u8; 32] = hex::decode(SECRET).unwrap().try_into().unwrap();
    let document = p256_pkcs8(&secret).unwrap();
    assert_eq!((document.len(), document[2]), (138, 0x87));
    assert_eq!(hex::encode(&document[36..68]), SECRET);
    assert_eq!(hex::encode(&document[73..]), POINT);
    // Every length names what stands behind it.
    assert_eq!((document[28], document[30], document[69]), (109, 107, 68));
}

#[test]
fn no_key_of_zero_or_above_the_order() {
    assert!(p256_pkcs8(&[0; 32]).is_err());
    assert!(p256_pkcs8(&[255; 32]).is_err());
}
