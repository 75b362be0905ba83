//! ACI's published receipt and statement, our own receipts, and every change that must be seen.
#![allow(clippy::unwrap_used)]

use freehold_primitives::{Event, Sampling};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{report_data, sha256};

fn secret() -> Ed25519Secret {
    Ed25519Secret::from_seed(&[2; 32])
}

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

/// ACI's test vectors §2 and §4: body hashes, the statement, signing input and signature.
#[test]
fn aci_vectors() {
    let request = br#"{"messages":[{"content":"hi","role":"user"}],"model":"demo-model"}"#;
    let response = br#"{"choices":[],"id":"chatcmpl-123"}"#;
    let keyset: Digest = "53a5cd44b30dcc51999754c719f2628a041f174ecbf9662a6f8e898a10cd9371".parse().unwrap();
    let nonce = Digest(core::array::from_fn(|i| i as u8));
    let check = |nonce, expect: &str| {
        let data = report_data(&keyset, nonce);
        assert_eq!(hex::encode(&data[..32]), expect);
        assert_eq!(data[32..], [0; 32]);
    };
    check(Some(&nonce), "df2174d28130852b413646a3786927b93e94c11d770268b65def8bdba45cb49e");
    check(None, "0633919ca3f00e97bafaa3304278eb22420cc3ff0d19f87dfca2d3f7508150bc");

    let forwarded = format!("sha256:{}", sha256(request));
    let document = json!({
        "api_version": "aci/1", "receipt_id": "rcpt-0001", "chat_id": "chatcmpl-123", "model": "demo-model",
        "workload_keyset_digest": format!("sha256:{keyset}"), "endpoint": "/v1/chat/completions", "method": "POST",
        "served_at": 1_750_000_000, "key_id": "receipt-1", "signature": "left out of the input",
        "event_log": [
            {"type": "request.received", "body_hash": forwarded},
            {"type": "request.forwarded", "body_hash": forwarded},
            {"type": "upstream.verified", "result": "verified", "required": true, "model_id": "demo-model",
             "session_id": "95ad1cb4dd25445808c2e9d116caf420b05703730b506395e8fc1ca6faeae28f"},
            {"type": "response.returned", "body_hash": format!("sha256:{}", sha256(response))},
        ],
    });
    let input = signing_input(&document).unwrap();
    assert_eq!(
        sha256(input.as_bytes()).to_string(),
        "1bd328e6880a5a12b3915af95ea32111310e04ab9e21ac3d71ce268e33b965c9"
    );
    assert_eq!(secret().public().to_string(), "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394");
    assert_eq!(
        hex::encode(secret().sign(input.as_bytes())),
        "d5b005e093bde3b577faf270b7184b09e169cacb0ecb206b103bd2581f997db03da616175454b063323a23ac1dc68f1ce506c2a6eba8aa0561d5e724f0b80c03"
    );
}

/// A receipt with every event of ours.
fn receipt() -> Receipt {
    let hash = |byte| format!("sha256:{}", digest(byte));
    Receipt {
        api_version: ACI_VERSION.to_owned(),
        receipt_id: "rcpt-1".to_owned(),
        chat_id: Some("chatcmpl-1".to_owned()),
        model: None,
        workload_keyset_digest: hash(1),
        endpoint: "/v1/chat/completions".to_owned(),
        method: "POST".to_owned(),
        served_at: 1_750_000_000,
        event_log: vec![
            Event::RequestReceived { body_hash: hash(2) },
            Event::Model {
                name: "m".to_owned(),
                weights_sha256: digest(3),
                tokenizer_sha256: digest(4),
                template_sha256: digest(5),
                quantisation: "q4_k_m".to_owned(),
                converted_sha256: None,
            },
            Event::Engine {
                name: "candle".to_owned(),
                build: "0".to_owned(),
                kernel_tier: "avx2".to_owned(),
                threads: 2,
                profile: None,
                sampling: Sampling { temperature_milli: 700, top_p_milli: 1_000, top_k: 0, seed: 1, max_tokens: 64 },
            },
            Event::Transport { encryption: "ehbp".to_owned(), request_hash: Some(hash(6)), response_hash: None },
            Event::Stream { interval_tokens: 16, hashes: vec![digest(7)], tokens: 9 },
            Event::ResponseReturned { body_hash: hash(8) },
            Event::Chain {
                height: 5,
                block_hash: digest(9),
                time_unix_s: 1_750_000_000,
                sequence: 0,
                previous: Digest::ZERO,
                instance: digest(10),
            },
        ],
        key_id: String::new(),
        signature: String::new(),
    }
}

fn signed() -> Receipt {
    sign_receipt(receipt(), &secret()).unwrap()
}

#[test]
fn signed_receipt_verifies_and_round_trips() {
    let receipt = signed();
    verify_receipt(&receipt, &secret().public()).unwrap();
    let text = receipt_text(&receipt).unwrap();
    let read = parse_receipt(&text).unwrap();
    assert_eq!(read, receipt);
    verify_receipt(&read, &secret().public()).unwrap();
    assert_eq!(receipt_leaf(&text), crate::leaf_hash(text.as_bytes()));
}

#[test]
fn receipt_changed_is_refused() {
    let check = |change: &dyn Fn(&mut Receipt), expect: ReceiptError| {
        let mut receipt = signed();
        change(&mut receipt);
        assert_eq!(verify_receipt(&receipt, &secret().public()), Err(expect));
    };
    let invalid = ReceiptError::Signature(KeyError::Invalid);
    check(&|r| r.receipt_id.push('x'), invalid);
    check(&|r| r.chat_id = None, invalid);
    check(&|r| r.model = Some(String::new()), invalid);
    check(&|r| r.served_at += 1, invalid);
    check(&|r| r.event_log.swap(0, 5), invalid);
    check(&|r| drop(r.event_log.pop()), invalid);
    check(&|r| r.key_id = "receipt-2".to_owned(), ReceiptError::KeyId);
    check(&|r| r.api_version = "aci/2".to_owned(), ReceiptError::Version);
    check(&|r| r.signature.make_ascii_uppercase(), ReceiptError::SignatureForm);
    check(&|r| r.signature.truncate(126), ReceiptError::SignatureForm);
    check(
        &|r| {
            let event = r.event_log[0].clone();
            r.event_log.resize(33, event);
        },
        ReceiptError::Events(33),
    );
    let other = Ed25519Secret::from_seed(&[3; 32]).public();
    assert_eq!(verify_receipt(&signed(), &other), Err(invalid));
}

#[test]
fn receipt_text_malformed() {
    let text = receipt_text(&signed()).unwrap();
    let check = |text: &str, expect: ReceiptError| assert_eq!(parse_receipt(text), Err(expect), "{text}");
    check(&text.replacen("{\"api", "{ \"api", 1), ReceiptError::Json(JcsError::NotCanonical));
    check(&text.replacen("{\"api_version\"", "{\"aaa\":1,\"api_version\"", 1), ReceiptError::Shape);
    check(&text.replacen("\"model\":null,", "", 1), ReceiptError::Shape);
    check(&text.replacen("\"converted_sha256\":null,", "", 1), ReceiptError::Shape);
    check(&text.replacen("\"encryption\":", "\"aaa\":1,\"encryption\":", 1), ReceiptError::Shape);
    check(&text.replacen("request.received", "request.unknown", 1), ReceiptError::Shape);
    check(&text.replacen("\"served_at\":1750000000", "\"served_at\":\"1750000000\"", 1), ReceiptError::Shape);
    check(&text.replacen("\"tokens\":9", "\"tokens\":9.5", 1), ReceiptError::Json(JcsError::Number));
    // A digest in upper case is the same digest in another text.
    let upper = text.replacen(&digest(10).to_string(), &digest(10).to_string().to_uppercase(), 1);
    assert_ne!(upper, text);
    check(&upper, ReceiptError::Shape);
    let prefixed = text.replacen(&digest(10).to_string(), &format!("0x{}", digest(10)), 1);
    check(&prefixed, ReceiptError::Shape);
    let bound = RECEIPT_BYTES_MAX;
    let long = "x".repeat(bound + 1);
    check(&long, ReceiptError::Json(JcsError::TooLong { length: bound + 1, bound }));
}

#[test]
fn receipt_beyond_its_bounds_is_not_signed() {
    let mut large = receipt();
    large.served_at = 1 << 53;
    assert_eq!(sign_receipt(large, &secret()), Err(ReceiptError::Json(JcsError::Number)));
    let mut long = receipt();
    long.endpoint = "x".repeat(RECEIPT_BYTES_MAX);
    assert!(matches!(sign_receipt(long, &secret()), Err(ReceiptError::Json(JcsError::TooLong { .. }))));
}

proptest! {
    #[test]
    fn any_text_never_panics(text: String) {
        let _ = parse_receipt(&text);
    }

    #[test]
    fn any_change_of_one_byte_is_seen(at in 0usize..4_000, byte: u8) {
        let text = receipt_text(&signed()).unwrap();
        let mut bytes = text.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(changed) = String::from_utf8(bytes) && changed != text && let Ok(read) = parse_receipt(&changed) {
            prop_assert!(verify_receipt(&read, &secret().public()).is_err());
        }
    }
}
