//! Fetch records against header files: whose, when, and on which chain.
#![allow(clippy::unwrap_used)]

mod support;

use freehold_crypto::{AccountKey, sign_fetch};
use freehold_primitives::{AppId, Digest, FetchMethod, FetchRecord};
use freehold_verify::{FetchRecordError, HeaderFileError, VerifiedFetch, verify_fetch};
use support::{Made, RECEIPT_HEIGHT, genesis_time, made};

/// Secret of the account of the proof's instance.
const ACCOUNT: [u8; 32] = [7; 32];

fn record(made: &Made) -> FetchRecord {
    let subject = &made.document.keyset.subject;
    FetchRecord {
        chain_id: subject.chain_id,
        genesis_hash: subject.genesis_hash,
        app_id: made.instance.app_id,
        instance_id: made.instance.instance_id,
        height: RECEIPT_HEIGHT,
        block_hash: Digest([3; 32]),
        time_unix_s: genesis_time() + RECEIPT_HEIGHT + 1,
        method: FetchMethod::Get,
        url: "https://prices.example/".to_owned(),
        request_headers: Digest([0; 32]),
        request_body: Digest([0; 32]),
        roots: Digest([0; 32]),
        certificates: Digest([5; 32]),
        status: 200,
        response_body: Digest([6; 32]),
    }
}

fn check(made: &Made, record: &FetchRecord, header: (u64, Option<u64>)) -> Result<VerifiedFetch, FetchRecordError> {
    let signature = sign_fetch(&AccountKey::from_bytes(&ACCOUNT).unwrap(), record);
    let header = made.header_file(header.0, header.1).to_text().unwrap();
    verify_fetch((record, &signature), &header, (made.network_key, &[]))
}

#[test]
fn a_record_of_a_live_instance_counts() {
    let made = made();
    let verified = check(&made, &record(&made), (90, None)).unwrap();
    assert_eq!((verified.app_id, verified.instance_id), (made.instance.app_id, made.instance.instance_id));
    assert_eq!((verified.as_of.height, verified.tier), (90, made.instance.tier));
    // Closed later: it was live then.
    assert!(check(&made, &record(&made), (90, Some(60))).is_ok());
}

#[test]
fn a_record_of_another_or_of_none_does_not() {
    let made = made();
    let header = made.header_file(90, None).to_text().unwrap();
    let stranger = sign_fetch(&AccountKey::from_bytes(&[8; 32]).unwrap(), &record(&made));
    let judged = |signature: &[u8]| verify_fetch((&record(&made), signature), &header, (made.network_key, &[]));
    assert!(matches!(judged(&stranger), Err(FetchRecordError::Signer { .. })));
    assert!(matches!(judged(&[0; 65]), Err(FetchRecordError::Signature(_))));
    assert!(matches!(judged(&[]), Err(FetchRecordError::Signature(_))));
    let at = (90, None);
    let other_app = FetchRecord { app_id: AppId::new([1; 20]), ..record(&made) };
    assert!(matches!(check(&made, &other_app, at), Err(FetchRecordError::App { .. })));
    let other_instance = FetchRecord { instance_id: Digest([9; 32]), ..record(&made) };
    let refused = check(&made, &other_instance, at);
    assert!(matches!(refused, Err(FetchRecordError::Header(HeaderFileError::ForeignInstance { .. }))), "{refused:?}");
    for other_chain in [
        FetchRecord { chain_id: record(&made).chain_id + 1, ..record(&made) },
        FetchRecord { genesis_hash: Digest([9; 32]), ..record(&made) },
    ] {
        let refused = check(&made, &other_chain, at);
        assert!(matches!(refused, Err(FetchRecordError::Header(HeaderFileError::Finality(_)))), "{refused:?}");
    }
    let long = FetchRecord { url: "a".repeat(2049), ..record(&made) };
    assert!(matches!(check(&made, &long, at), Err(FetchRecordError::Form)));
}

#[test]
fn a_record_from_when_the_instance_was_not_live_does_not_count() {
    let made = made();
    let not_live =
        |record: &FetchRecord, header| matches!(check(&made, record, header), Err(FetchRecordError::NotLive(_)));
    assert!(not_live(&record(&made), (90, Some(RECEIPT_HEIGHT))));
    assert!(not_live(&FetchRecord { height: 0, ..record(&made) }, (90, None)));
    let late = FetchRecord { time_unix_s: made.instance.expires_at + 1, ..record(&made) };
    assert!(not_live(&late, (90, None)));
    let early = check(&made, &record(&made), (RECEIPT_HEIGHT - 1, None));
    assert!(matches!(early, Err(FetchRecordError::HeaderBefore { .. })));
    let forked = check(&made, &record(&made), (RECEIPT_HEIGHT, None));
    assert!(matches!(forked, Err(FetchRecordError::OtherBlock(RECEIPT_HEIGHT))));
}
