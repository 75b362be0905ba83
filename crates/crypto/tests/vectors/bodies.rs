//! EHBP bodies and receipts.

use freehold_crypto::{
    Ed25519Secret, ExportedSecret, HpkeSecret, KeyError, ReceiptError, RequestOpener, RequestSealer, ResponseOpener,
    ResponseSealer, key_config, keyset_digest, parse_receipt, receipt_leaf, receipt_text, sign_receipt, signing_input,
    verify_receipt,
};
use freehold_primitives::{ACI_VERSION, Digest, Event, Receipt};
use serde_json::{Value, json};

use crate::{Counter, check, digests::keyset};

#[test]
fn ehbp_vectors() {
    let secret = HpkeSecret::from_bytes(&[3; 32]);
    let mut rng = Counter::new("freehold vectors ehbp");
    let mut sealer = RequestSealer::new(&secret.public(), &mut rng).unwrap();
    let chunks = ["{\"model\":", "", "\"m\"}"];
    let frames: Vec<_> = chunks.iter().map(|chunk| sealer.seal(chunk.as_bytes()).unwrap()).collect();
    let mut opener = RequestOpener::new(&secret, sealer.encapsulated_key()).unwrap();
    for (chunk, frame) in chunks.iter().zip(&frames).filter(|(chunk, _)| !chunk.is_empty()) {
        assert_eq!(opener.open(&frame[4..]).unwrap(), chunk.as_bytes());
    }
    let exported = opener.exported_secret();
    let mut answer = ResponseSealer::new(&exported, sealer.encapsulated_key(), &mut rng);
    let nonce = *answer.nonce();
    let parts = ["data: 1\n\n", "data: [DONE]\n\n"];
    let answers: Vec<_> = parts.iter().map(|part| answer.seal(part.as_bytes()).unwrap()).collect();
    let mut reader =
        ResponseOpener::new(&ExportedSecret::from_bytes(exported.as_bytes()), sealer.encapsulated_key(), &nonce);
    for (part, frame) in parts.iter().zip(&answers) {
        assert_eq!(reader.open(&frame[4..]).unwrap(), part.as_bytes());
    }
    let hex_all = |frames: &[Vec<u8>]| frames.iter().map(hex::encode).collect::<Vec<_>>();
    check(
        "ehbp.json",
        &json!({
            "secret_key": hex::encode(*secret.to_bytes()), "key_config": hex::encode(key_config(&secret.public())),
            "request": {
                "encapsulated_key": hex::encode(sealer.encapsulated_key()), "chunks": chunks,
                "frames": hex_all(&frames), "exported_secret": hex::encode(exported.as_bytes()),
            },
            "response": {"nonce": hex::encode(nonce), "chunks": parts, "frames": hex_all(&answers)},
        }),
    );
}

fn receipt() -> Receipt {
    let hash = |byte| format!("sha256:{}", Digest([byte; 32]));
    Receipt {
        api_version: ACI_VERSION.to_owned(),
        receipt_id: "rcpt-1".to_owned(),
        chat_id: Some("chatcmpl-1".to_owned()),
        model: Some("m".to_owned()),
        workload_keyset_digest: format!("sha256:{}", keyset_digest(&keyset())),
        endpoint: "/v1/chat/completions".to_owned(),
        method: "POST".to_owned(),
        served_at: 1_750_000_000,
        event_log: vec![
            Event::RequestReceived { body_hash: hash(1) },
            Event::Transport { encryption: "ehbp".to_owned(), request_hash: Some(hash(2)), response_hash: None },
            Event::ResponseReturned { body_hash: hash(3) },
            Event::Chain {
                height: 5,
                block_hash: Digest([4; 32]),
                time_unix_s: 1_750_000_000,
                sequence: 0,
                previous: Digest::ZERO,
                instance: Digest([5; 32]),
            },
        ],
        key_id: String::new(),
        signature: String::new(),
    }
}

#[test]
fn receipt_vectors() {
    let secret = Ed25519Secret::from_seed(&[2; 32]);
    let key = secret.public();
    let signed = sign_receipt(receipt(), &secret).unwrap();
    verify_receipt(&signed, &key).unwrap();
    let text = receipt_text(&signed).unwrap();
    let refused: Vec<Value> = [
        ("space after a colon", text.replacen("\":", "\": ", 1)),
        ("unknown member", text.replacen('{', "{\"aaa\":1,", 1)),
        ("member left out", text.replacen("\"chat_id\":\"chatcmpl-1\",", "", 1)),
        ("unknown event", text.replacen("request.received", "request.unknown", 1)),
        ("unknown member of an event", text.replacen("\"encryption\"", "\"aaa\":1,\"encryption\"", 1)),
        ("other version", text.replacen("aci/1", "aci/2", 1)),
        ("other key id", text.replacen("receipt-1", "receipt-2", 1)),
        ("served later", text.replacen("\"served_at\":1750000000", "\"served_at\":1750000001", 1)),
        ("other body hash", text.replacen(&"01".repeat(32), &"0a".repeat(32), 1)),
        ("signature in upper case", text.replacen(&signed.signature, &signed.signature.to_uppercase(), 1)),
        ("signature of other bytes", text.replacen(&signed.signature, &hex::encode(secret.sign(b"other")), 1)),
    ]
    .into_iter()
    .map(|(fault, changed)| {
        assert_ne!(changed, text, "{fault}");
        let error = parse_receipt(&changed).and_then(|receipt| verify_receipt(&receipt, &key)).unwrap_err();
        let signature = error == ReceiptError::Signature(KeyError::Invalid);
        json!({"fault": fault, "text": changed, "refused_by": if signature { "signature" } else { "form" }})
    })
    .collect();
    let input = signing_input(&serde_json::to_value(&signed).unwrap()).unwrap();
    check(
        "receipts.json",
        &json!({
            "seed": hex::encode([2; 32]), "receipt_key": key, "text": text, "signing_input": input,
            "signature": signed.signature, "leaf": receipt_leaf(&text), "refused": refused,
        }),
    );
}
