//! Fetch records: the signature covers every field, and digests tell lists apart.

use freehold_primitives::{AppId, Canonical as _, Digest, FetchMethod, FetchRecord};
use rand::{SeedableRng as _, rngs::StdRng};

use super::{
    fetch_certificates_digest, fetch_digest, fetch_headers_digest, fetch_roots_digest, recover_fetch, sign_fetch,
};
use crate::{
    hash::keccak256,
    keys::{AccountKey, KeyError},
};

fn record() -> FetchRecord {
    FetchRecord {
        chain_id: 7,
        genesis_hash: Digest([1; 32]),
        app_id: AppId::new([0; 20]),
        instance_id: Digest([2; 32]),
        height: 3,
        block_hash: Digest([4; 32]),
        time_unix_s: 5,
        method: FetchMethod::Get,
        url: "https://example.org/price".to_owned(),
        request_headers: Digest([0; 32]),
        request_body: Digest([0; 32]),
        roots: Digest([0; 32]),
        certificates: Digest([6; 32]),
        status: 200,
        response_body: Digest([7; 32]),
    }
}

#[test]
fn every_field_is_under_the_signature() {
    let key = AccountKey::generate(&mut StdRng::seed_from_u64(1));
    let signature = sign_fetch(&key, &record());
    assert_eq!(recover_fetch(&record(), &signature), Ok(key.account()));
    let other = Digest([9; 32]);
    let others = [
        FetchRecord { chain_id: 8, ..record() },
        FetchRecord { genesis_hash: other, ..record() },
        FetchRecord { app_id: AppId::new([1; 20]), ..record() },
        FetchRecord { instance_id: other, ..record() },
        FetchRecord { height: 4, ..record() },
        FetchRecord { block_hash: other, ..record() },
        FetchRecord { time_unix_s: 6, ..record() },
        FetchRecord { method: FetchMethod::Post, ..record() },
        FetchRecord { url: "https://example.org/pric".to_owned(), ..record() },
        FetchRecord { request_headers: other, ..record() },
        FetchRecord { request_body: other, ..record() },
        FetchRecord { roots: other, ..record() },
        FetchRecord { certificates: other, ..record() },
        FetchRecord { status: 404, ..record() },
        FetchRecord { response_body: other, ..record() },
    ];
    for changed in others {
        assert_ne!(recover_fetch(&changed, &signature), Ok(key.account()), "{changed:?}");
    }
    assert_eq!(recover_fetch(&record(), &signature[..64]), Err(KeyError::Malformed));
}

/// The layout that `contracts/library/Fetched.sol` packs: the digest of a document written by hand.
#[test]
fn the_document_is_as_the_page_says() {
    let mut document = vec![1];
    document.extend_from_slice(&7_u64.to_be_bytes());
    document.extend_from_slice(&[1; 32]);
    document.extend_from_slice(&[0; 21]);
    document.extend_from_slice(&[2; 32]);
    document.extend_from_slice(&3_u64.to_be_bytes());
    document.extend_from_slice(&[4; 32]);
    document.extend_from_slice(&5_u64.to_be_bytes());
    document.push(1);
    document.extend_from_slice(&25_u32.to_be_bytes());
    document.extend_from_slice(b"https://example.org/price");
    document.extend_from_slice(&[0; 96]);
    document.extend_from_slice(&[6; 32]);
    document.extend_from_slice(&200_u16.to_be_bytes());
    document.extend_from_slice(&[7; 32]);
    assert_eq!(record().to_canonical(), document);
    assert_eq!(fetch_digest(&record()), keccak256(&[b"freehold fetch\n", &document]));
}

#[test]
fn lists_are_told_apart_and_none_is_zero() {
    let zero = Digest([0; 32]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(fetch_headers_digest(&[]), zero);
    assert_eq!(fetch_roots_digest(&[] as &[&[u8]]), zero);
    assert_ne!(fetch_headers_digest(&[pair("ab", "c")]), fetch_headers_digest(&[pair("a", "bc")]));
    assert_eq!(fetch_roots_digest(&["b", "a"]), fetch_roots_digest(&["a", "b", "a"]));
    assert_ne!(fetch_certificates_digest(&["b", "a"]), fetch_certificates_digest(&["a", "b"]));
    assert_ne!(fetch_certificates_digest(&["ab"]), fetch_certificates_digest(&["a", "b"]));
    assert_ne!(fetch_roots_digest(&["a"]), fetch_certificates_digest(&["a"]));
}
