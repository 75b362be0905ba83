//! Nonces, ids and the access rule.
#![allow(clippy::unwrap_used)]

use axum::http::HeaderValue;

use super::*;
use crate::digest::sha256;

#[test]
fn a_nonce_is_64_lower_case_hex_digits_once() {
    let good = "ab".repeat(32);
    assert_eq!(read_nonce("").unwrap(), None);
    assert_eq!(read_nonce("other=1").unwrap(), None);
    assert_eq!(read_nonce(&format!("nonce={good}")).unwrap().unwrap().to_string(), good);
    let bad =
        ["nonce", "nonce=", "nonce=00", &format!("nonce={}", good.to_uppercase()), &format!("nonce=0x{}", &good[2..])];
    for query in bad {
        assert_eq!(read_nonce(query).unwrap_err().status.as_u16(), 400, "{query}");
    }
    assert!(read_nonce(&format!("nonce={good}&nonce={good}")).is_err());
}

#[test]
fn receipts_answer_to_their_token_alone() {
    let status = |headers: &HeaderMap, bound| check_access(headers, bound).map_err(|error| error.status.as_u16());
    let mut with = HeaderMap::new();
    with.insert(header::AUTHORIZATION, HeaderValue::from_static("bearer right"));
    let none = HeaderMap::new();
    assert_eq!(status(&none, None), Ok(()));
    assert_eq!(status(&with, None), Ok(()));
    assert_eq!(status(&none, Some(sha256(b"right"))), Err(401));
    assert_eq!(status(&with, Some(sha256(b"wrong"))), Err(404));
    assert_eq!(status(&with, Some(sha256(b"right"))), Ok(()));
}

#[test]
fn ids_are_plain_and_short() {
    assert!(check_id("rcpt-0123abc").is_ok());
    for id in ["", "a/b", "../x", "a b", &"a".repeat(129)] {
        assert_eq!(check_id(id).unwrap_err().status.as_u16(), 404);
    }
}
