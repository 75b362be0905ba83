//! Tests of the parts without a network: sealing and opening, reports, call data, files, forgetting.
#![allow(clippy::unwrap_used)]

use freehold_crypto::{
    AccountKey, Ed25519Secret, HpkeSecret, RequestOpener, ResponseSealer, keccak256, sha256, subject_digest,
};
use freehold_primitives::{
    Account, AppId, Canonical, Digest, EvidenceKind, G1Point, Keyset, NetworkKey, PlatformFamily, Registration,
    SubjectBody, TlsKey, TrustDomain,
};
use proptest::prelude::*;
use serde_json::json;

use crate::{
    Endpoints, EndpointsError, ExchangeError, Message, OpenResponse, RESPONSE_BYTES_MAX, Report, ReportError,
    SealedRequest, chat::forget, pin_network_key, pinned_network_key, register_call::RegisterCall,
};

const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n\
    : comment\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"Grü\"}}]}\n\n\
    data: {\"choices\":[{\"delta\":{\"content\":\"ße\"}}]}\n\ndata: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n";

/// What the instance's side makes of a sealed request and an answer in pieces.
fn answered(pieces: &[&[u8]]) -> (OpenResponse, Vec<u8>) {
    let secret = HpkeSecret::generate(&mut rand::rng());
    let request = SealedRequest::seal("{\"a\":1}".to_owned(), &secret.public(), &mut rand::rng()).unwrap();
    let mut enc = [0; 32];
    hex::decode_to_slice(request.encapsulated_key_hex(), &mut enc).unwrap();
    let mut opener = RequestOpener::new(&secret, &enc).unwrap();
    assert_eq!(opener.open(&request.wire()[4..]).unwrap(), b"{\"a\":1}");
    let mut sealer = ResponseSealer::new(&opener.exported_secret(), &enc, &mut rand::rng());
    let nonce = hex::encode(sealer.nonce());
    let wire = pieces.iter().flat_map(|piece| sealer.seal(piece).unwrap()).collect();
    (request.open(Some(&nonce)).unwrap(), wire)
}

#[test]
fn an_answer_is_read_in_any_pieces() {
    let (head, tail) = STREAM.as_bytes().split_at(120);
    for size in [1, 2, 7, 64, 10_000] {
        let (mut open, wire) = answered(&[head, tail]);
        let text: String = wire.chunks(size).map(|piece| open.push(piece).unwrap()).collect();
        let exchange = open.finish().unwrap();
        assert_eq!((text.as_str(), exchange.text.as_str()), ("Grüße", "Grüße"));
        assert_eq!((exchange.request.as_str(), exchange.response.as_str()), ("{\"a\":1}", STREAM));
        assert_eq!(exchange.response_wire, sha256(&wire));
    }
}

#[test]
fn answers_that_are_cut_changed_or_unsealed_are_refused() {
    let (mut open, wire) = answered(&[STREAM.as_bytes()]);
    open.push(&wire[..wire.len() - 1]).unwrap();
    assert!(matches!(open.finish(), Err(ExchangeError::Ehbp(_))));

    let (mut open, wire) = answered(&[b"data: {}\n\n"]);
    open.push(&wire).unwrap();
    assert_eq!(open.finish(), Err(ExchangeError::Cut));

    let (mut open, mut wire) = answered(&[STREAM.as_bytes()]);
    wire[20] ^= 1;
    assert!(matches!(open.push(&wire), Err(ExchangeError::Ehbp(_))));

    let secret = HpkeSecret::generate(&mut rand::rng());
    for nonce in [None, Some(""), Some("00"), Some("zz"), Some(&*"0".repeat(63))] {
        let request = SealedRequest::seal("{}".to_owned(), &secret.public(), &mut rand::rng()).unwrap();
        assert!(matches!(request.open(nonce), Err(ExchangeError::NotSealed)));
    }

    let (mut open, _) = answered(&[b""]);
    assert_eq!(open.push(&vec![0; RESPONSE_BYTES_MAX + 1]), Err(ExchangeError::ResponseTooLong));
}

fn subject() -> SubjectBody {
    SubjectBody {
        chain_id: 23293,
        genesis_hash: Digest([1; 32]),
        app_id: AppId::new([2; 20]),
        provider: Account([3; 20]),
        account: AccountKey::from_bytes(&[4; 32]).unwrap().account(),
        transport_key: G1Point([5; 48]),
        config_digest: Digest([6; 32]),
    }
}

fn keyset() -> Keyset {
    Keyset {
        subject: subject_digest(&subject()),
        not_after: 1_800_000_000,
        receipt_key: Ed25519Secret::from_seed(&[7; 32]).public(),
        hpke_key: HpkeSecret::from_bytes(&[8; 32]).public(),
        tls_keys: vec![TlsKey { domain: "api.example.com".to_owned(), spki_sha256: Digest([9; 32]) }],
    }
}

fn report_json() -> serde_json::Value {
    let keyset = keyset();
    let document: serde_json::Value = serde_json::from_str(&keyset.to_jcs()).unwrap();
    json!({
        "api_version": "aci/1",
        "workload_keyset_digest": format!("sha256:{}", sha256(keyset.to_jcs().as_bytes())),
        "attestation": {
            "tee_type": "tdx", "workload_keyset": document, "report_data": "00", "source_provenance": null,
            "evidence": {"quote": "0102", "event_log": "[]"},
        },
        "service_capabilities": {"serving": "direct"},
    })
}

#[test]
fn a_report_is_read_whole_or_refused() {
    let report = Report::read(report_json()).unwrap();
    assert_eq!((report.keyset, report.quote), (keyset(), vec![1, 2]));
    let with = |pointer: &str, value: serde_json::Value| {
        let mut report = report_json();
        *report.pointer_mut(pointer).unwrap() = value;
        Report::read(report).unwrap_err()
    };
    let mut other = report_json();
    *other.pointer_mut("/attestation/tee_type").unwrap() = json!("sev_snp");
    assert!(Report::read(other).is_ok());
    let keys = "/attestation/workload_keyset";
    assert!(matches!(with("/api_version", json!("aci/2")), ReportError::Version));
    assert!(matches!(with("/attestation/tee_type", json!("trustzone")), ReportError::Version));
    assert!(matches!(with("/workload_keyset_digest", json!("sha256:00")), ReportError::Digest));
    assert!(matches!(with("/attestation/evidence/quote", json!("0")), ReportError::Quote));
    assert!(matches!(with("/attestation/evidence", json!(null)), ReportError::Shape(_)));
    assert!(matches!(with(&format!("{keys}/not_after"), json!(1)), ReportError::Digest));
    assert!(matches!(with(&format!("{keys}/subject"), json!("freehold:2:00")), ReportError::Keyset));
    assert!(matches!(with(&format!("{keys}/e2ee_public_keys"), json!([])), ReportError::Keyset));
    assert!(matches!(with(&format!("{keys}/receipt_signing_keys/0/algo"), json!("rsa")), ReportError::Keyset));
    let mut report = report_json();
    report["attestation"]["workload_keyset"]["more"] = json!(1);
    assert!(matches!(Report::read(report), Err(ReportError::Keyset)));
}

fn registration() -> Registration {
    Registration {
        subject: subject(),
        keyset: keyset(),
        nonce_height: 3,
        nonce: Digest([7; 32]),
        evidence_kind: EvidenceKind::Tdx,
        trust_domain: TrustDomain::Emulated,
        family: PlatformFamily([0xe0; 6]),
        lease_s: 600,
    }
}

#[test]
fn call_data_is_read_back_or_refused() {
    let document = registration().to_canonical();
    // Lengths that are whole words, so that the padding of this test's encoder is plain.
    let evidence = vec![1; 5024];
    let padded = [document.clone(), vec![0; document.len().next_multiple_of(32) - document.len()]].concat();
    let input = {
        let mut input = keccak256(&[b"register(bytes,bytes,bytes)"]).0[..4].to_vec();
        let word = |value: usize| [vec![0; 28], (value as u32).to_be_bytes().to_vec()].concat();
        let second = 96 + 32 + padded.len();
        let third = second + 32 + evidence.len();
        for offset in [96, second, third] {
            input.extend(word(offset));
        }
        input.extend(word(document.len()));
        input.extend(&padded);
        input.extend(word(evidence.len()));
        input.extend(&evidence);
        input.extend(word(65));
        input.extend([9; 96]);
        input
    };
    let call = RegisterCall::read(&input).unwrap();
    assert_eq!((call.registration, call.evidence, call.signature), (registration(), evidence, vec![9; 65]));
    assert_eq!(RegisterCall::read(&input[..input.len() - 40]), None);
    assert_eq!(RegisterCall::read(&input[1..]), None);
    assert_eq!(RegisterCall::read(&input[..4]), None);
    let mut far = input.clone();
    far[4..36].fill(0xff);
    assert_eq!(RegisterCall::read(&far), None);
}

proptest! {
    #[test]
    fn any_call_data_is_read_or_refused(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
        let input = [&keccak256(&[b"register(bytes,bytes,bytes)"]).0[..4], &tail].concat();
        prop_assert_eq!(RegisterCall::read(&input), None);
    }

    #[test]
    fn any_pieces_are_opened_or_refused(pieces in proptest::collection::vec(any::<Vec<u8>>(), 0..8)) {
        let (mut open, _) = answered(&[b"x"]);
        for piece in &pieces {
            if open.push(piece).is_err() {
                break;
            }
        }
        prop_assert!(open.finish().is_err());
    }
}

#[test]
fn a_data_directory_keeps_one_network() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Endpoints::load(dir.path()), Err(EndpointsError::None(_))));
    assert_eq!(pinned_network_key(dir.path()).unwrap(), None);
    let endpoints = Endpoints {
        rpc: "http://127.0.0.1:8545".to_owned(),
        api: None,
        network_key: NetworkKey([7; 96]),
        chain_id: 23293,
        genesis_hash: Digest([1; 32]),
        app_id: None,
    };
    endpoints.save(dir.path()).unwrap();
    assert_eq!(Endpoints::load(dir.path()).unwrap(), endpoints);
    assert_eq!(pinned_network_key(dir.path()).unwrap(), Some(NetworkKey([7; 96])));
    endpoints.save(dir.path()).unwrap();
    let other = Endpoints { network_key: NetworkKey([8; 96]), ..endpoints };
    assert!(matches!(other.save(dir.path()), Err(EndpointsError::OtherNetwork(_))));
    assert!(matches!(pin_network_key(dir.path(), &NetworkKey([8; 96])), Err(EndpointsError::OtherNetwork(_))));
    Endpoints::remove(dir.path()).unwrap();
    Endpoints::remove(dir.path()).unwrap();
    assert!(matches!(Endpoints::load(dir.path()), Err(EndpointsError::None(_))));
    std::fs::write(dir.path().join(crate::ENDPOINTS_FILE), "{\"rpc\":1}").unwrap();
    assert!(matches!(Endpoints::load(dir.path()), Err(EndpointsError::Malformed { .. })));
}

#[test]
fn a_long_conversation_forgets_its_oldest_turn_and_keeps_instructions() {
    let mut messages = vec![Message::system("be brief")];
    messages.extend((0..80).map(|turn| Message::user(turn.to_string())));
    forget(&mut messages);
    assert_eq!(messages.len(), crate::MESSAGES_MAX);
    assert_eq!((messages[0].content.as_str(), messages[1].content.as_str()), ("be brief", "17"));
}
