//! The public API from outside: answers, streams, encryption, receipts, refusals.

use freehold_crypto::{
    FrameReader, HpkeSecret, RequestSealer, ResponseOpener, keyset_digest, parse_key_config, report_data, sha256,
    verify_inclusion, verify_receipt,
};
use freehold_primitives::{Digest, Event, Receipt};
use freehold_rpc::{HttpResponse, Inclusion, full_body};
use serde_json::{Value, json};

use crate::support::Scene;

const CHAT: &str = "/v1/chat/completions";

fn ask(scene: &Scene, change: Value) -> Value {
    let mut body = json!({"model": scene.model, "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0, "max_tokens": 70});
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn post(scene: &Scene, headers: &[(&str, &str)], body: Vec<u8>) -> HttpResponse {
    let mut request = http_request("POST", CHAT);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    scene.http.send(request.body(full_body(body)).unwrap()).await.unwrap()
}

fn http_request(method: &str, path: &str) -> axum::http::request::Builder {
    axum::http::Request::builder().method(method).uri(path)
}

async fn get(scene: &Scene, path: &str, token: Option<&str>) -> HttpResponse {
    let mut request = http_request("GET", path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    scene.http.send(request.body(full_body(Vec::new())).unwrap()).await.unwrap()
}

fn header(response: &HttpResponse, name: &str) -> String {
    response.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap().to_owned()
}

fn hash(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

/// Checks a receipt's signature and its hashes of both bodies; gives it for more.
fn check_receipt(scene: &Scene, id: &str, request: &[u8], response: &[u8]) -> Receipt {
    let receipt = scene.guest.receipt(id);
    verify_receipt(&receipt, &scene.guest.receipts_key.public()).unwrap();
    let first = receipt.event_log.first().unwrap();
    assert_eq!(*first, Event::RequestReceived { body_hash: hash(request) });
    let returned = Event::ResponseReturned { body_hash: hash(response) };
    assert!(receipt.event_log.contains(&returned), "{receipt:?}");
    receipt
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_answers_are_recorded_before_they_leave() {
    let scene = Scene::tiny().await;
    let body = ask(&scene, json!({})).to_string().into_bytes();
    let response = post(&scene, &[], body.clone()).await;
    assert_eq!(response.status.as_u16(), 200);
    let id = header(&response, "x-receipt-id");
    assert_eq!(header(&response, "x-aci-version"), "aci/1");
    assert_eq!(header(&response, "x-aci-keyset-digest"), format!("sha256:{}", keyset_digest(&scene.guest.keyset)));
    let bytes = response.bytes().await.unwrap();
    let receipt = check_receipt(&scene, &id, &body, &bytes);
    let answer: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(receipt.chat_id.as_deref(), answer["id"].as_str());
    assert_eq!(receipt.model.as_deref(), Some("tiny"));
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    for event in &receipt.event_log {
        match event {
            Event::Transport { encryption, request_hash, response_hash } => {
                assert_eq!((encryption.as_str(), request_hash, response_hash), ("none", &None, &None));
            }
            Event::Stream { interval_tokens, hashes, tokens } => {
                assert_eq!(hashes.len() as u32, tokens / interval_tokens + 1);
                assert_eq!(*hashes.last().unwrap(), sha256(text.as_bytes()));
            }
            Event::Engine { profile, sampling, .. } => {
                assert_eq!(*profile, None);
                assert_eq!((sampling.temperature_milli, sampling.max_tokens), (0, 70));
            }
            _ => {}
        }
    }
    assert_eq!(receipt.event_log.len(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_with_usage_and_done() {
    let scene = Scene::tiny().await;
    let body = ask(&scene, json!({"stream": true, "stream_options": {"include_usage": true}})).to_string();
    let response = post(&scene, &[], body.clone().into_bytes()).await;
    assert_eq!(header(&response, "content-type"), "text/event-stream");
    let id = header(&response, "x-receipt-id");
    let bytes = response.bytes().await.unwrap();
    check_receipt(&scene, &id, body.as_bytes(), &bytes);
    let text = std::str::from_utf8(&bytes).unwrap();
    let frames: Vec<&str> = text.split("\n\n").filter(|frame| !frame.is_empty()).collect();
    assert_eq!(*frames.last().unwrap(), "data: [DONE]");
    let chunk = |frame: &str| serde_json::from_str::<Value>(frame.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(chunk(frames[0])["choices"][0]["delta"]["role"], "assistant");
    let usage = chunk(frames[frames.len() - 2]);
    assert_eq!(usage["choices"], json!([]));
    assert!(usage["usage"]["completion_tokens"].as_u64().unwrap() > 0);
    let finish = chunk(frames[frames.len() - 3]);
    assert!(["stop", "length"].contains(&finish["choices"][0]["finish_reason"].as_str().unwrap()));

    // The same question as a whole gives the same text.
    let streamed: String = frames[..frames.len() - 3]
        .iter()
        .filter_map(|frame| chunk(frame)["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    let whole = post(&scene, &[], ask(&scene, json!({})).to_string().into_bytes()).await;
    let whole: Value = whole.json().await.unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], streamed.as_str());
}

struct Sealed {
    response: HttpResponse,
    opener: ResponseOpener,
    ciphertext: Vec<u8>,
}

async fn post_sealed(scene: &Scene, chunks: &[&[u8]]) -> Sealed {
    let config = get(scene, "/.well-known/hpke-keys", None).await;
    assert_eq!(header(&config, "content-type"), "application/ohttp-keys");
    let config = config.bytes().await.unwrap();
    assert_eq!(config.len(), 41);
    let key = parse_key_config(&config).unwrap();
    let mut sealer = RequestSealer::new(&key, &mut rand::rng()).unwrap();
    let ciphertext: Vec<u8> = chunks.iter().flat_map(|chunk| sealer.seal(chunk).unwrap()).collect();
    let enc = hex::encode(sealer.encapsulated_key());
    let response = post(scene, &[("ehbp-encapsulated-key", &enc)], ciphertext.clone()).await;
    let nonce: [u8; 32] = hex::decode(header(&response, "ehbp-response-nonce")).unwrap().try_into().unwrap();
    let opener = ResponseOpener::new(&sealer.exported_secret(), sealer.encapsulated_key(), &nonce);
    Sealed { response, opener, ciphertext }
}

fn open(opener: &mut ResponseOpener, bytes: &[u8]) -> Vec<u8> {
    let mut reader = FrameReader::new(1 << 20);
    let frames = reader.push(bytes).unwrap();
    reader.finish().unwrap();
    frames.iter().flat_map(|frame| opener.open(frame).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_exchanges_hash_plaintext_and_ciphertext() {
    let scene = Scene::tiny().await;
    let body = ask(&scene, json!({"stream": true})).to_string();
    let (one, two) = body.as_bytes().split_at(20);
    let Sealed { response, mut opener, ciphertext } = post_sealed(&scene, &[one, b"", two]).await;
    assert_eq!(response.status.as_u16(), 200);
    let id = header(&response, "x-receipt-id");
    let wire = response.bytes().await.unwrap();
    let plain = open(&mut opener, &wire);
    assert!(plain.ends_with(b"data: [DONE]\n\n"));
    let receipt = check_receipt(&scene, &id, body.as_bytes(), &plain);
    let transport = Event::Transport {
        encryption: "ehbp".to_owned(),
        request_hash: Some(hash(&ciphertext)),
        response_hash: Some(hash(&wire)),
    };
    assert!(receipt.event_log.contains(&transport));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_encrypted_requests_are_encrypted_and_recorded() {
    let scene = Scene::tiny().await;
    let body = ask(&scene, json!({"n": 3})).to_string();
    let Sealed { response, mut opener, .. } = post_sealed(&scene, &[body.as_bytes()]).await;
    assert_eq!(response.status.as_u16(), 400);
    let id = header(&response, "x-receipt-id");
    let plain = open(&mut opener, &response.bytes().await.unwrap());
    let error: Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!(error["error"]["param"], "n");
    let receipt = check_receipt(&scene, &id, body.as_bytes(), &plain);
    assert_eq!(receipt.event_log.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encryption_faults_are_told_apart() {
    let scene = Scene::tiny().await;
    let other = HpkeSecret::generate(&mut rand::rng());
    let mut sealer = RequestSealer::new(&other.public(), &mut rand::rng()).unwrap();
    let foreign = sealer.seal(b"{}").unwrap();
    let enc = hex::encode(sealer.encapsulated_key());
    let response = post(&scene, &[("ehbp-encapsulated-key", &enc)], foreign.clone()).await;
    assert_eq!(response.status.as_u16(), 422);
    assert_eq!(header(&response, "content-type"), "application/problem+json");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["type"], "urn:ietf:params:ehbp:error:key-config");

    for (enc, body) in [(enc.as_str(), &foreign[..foreign.len() - 1]), (enc.as_str(), b""), ("zz", &foreign)] {
        let response = post(&scene, &[("ehbp-encapsulated-key", enc)], body.to_vec()).await;
        assert_eq!(response.status.as_u16(), 400, "{enc}");
        assert!(response.headers.get("ehbp-response-nonce").is_none());
    }
    assert!(scene.guest.receipts().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_have_openais_shape() {
    let scene = Scene::tiny().await;
    for (body, status, code) in [
        (b"{".to_vec(), 400, Value::Null),
        (ask(&scene, json!({"model": "gpt-5"})).to_string().into_bytes(), 404, json!("model_not_found")),
        (ask(&scene, json!({"tools": [{}]})).to_string().into_bytes(), 400, json!("unsupported_parameter")),
        (
            ask(&scene, json!({"messages": [{"role": "user", "content": "x".repeat(600)}]})).to_string().into_bytes(),
            400,
            json!("context_length_exceeded"),
        ),
    ] {
        let response = post(&scene, &[], body.clone()).await;
        assert_eq!(response.status.as_u16(), status);
        let id = header(&response, "x-receipt-id");
        let bytes = response.bytes().await.unwrap();
        let error: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(error["error"]["code"], code);
        assert_eq!(error["error"]["type"], "invalid_request_error");
        check_receipt(&scene, &id, &body, &bytes);
    }
    let response = post(&scene, &[], vec![b' '; freehold_inference::BODY_BYTES_MAX + 1]).await;
    assert_eq!(response.status.as_u16(), 413);
    for (path, status) in [("/v1/nothing", 404), (CHAT, 405)] {
        let response = get(&scene, path, None).await;
        assert_eq!(response.status.as_u16(), status);
        assert_eq!(header(&response, "x-aci-version"), "aci/1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_answer_to_their_token() {
    let scene = Scene::tiny().await;
    let body = ask(&scene, json!({"max_tokens": 2})).to_string().into_bytes();
    let with = post(&scene, &[("authorization", "Bearer secret")], body.clone()).await;
    let bound = header(&with, "x-receipt-id");
    let chat: Value = with.json().await.unwrap();
    let open = header(&post(&scene, &[], body).await, "x-receipt-id");
    let chat_id = chat["id"].as_str().unwrap();
    for id in [bound.as_str(), chat_id] {
        let path = format!("/v1/aci/receipts/{id}");
        assert_eq!(get(&scene, &path, None).await.status.as_u16(), 401);
        assert_eq!(get(&scene, &path, Some("other")).await.status.as_u16(), 404);
        let receipt: Receipt = get(&scene, &path, Some("secret")).await.json().await.unwrap();
        assert_eq!(receipt.receipt_id, bound);
    }
    assert_eq!(get(&scene, &format!("/v1/aci/receipts/{open}"), None).await.status.as_u16(), 200);
    assert_eq!(get(&scene, "/v1/aci/receipts/rcpt-none", None).await.status.as_u16(), 404);
    let path = format!("/v1/freehold/receipts/{bound}/inclusion");
    assert_eq!(get(&scene, &path, None).await.status.as_u16(), 401);
    let inclusion: Inclusion = get(&scene, &path, Some("secret")).await.json().await.unwrap();
    let Inclusion { root, size, sequence, leaf, path, .. } = inclusion;
    verify_inclusion(&root, size, sequence, &leaf, &path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attestation_binds_the_callers_nonce() {
    let scene = Scene::tiny().await;
    let nonce = Digest([0xab; 32]);
    let report: Value = get(&scene, &format!("/v1/aci/attestation?nonce={nonce}"), None).await.json().await.unwrap();
    let expected = report_data(&keyset_digest(&scene.guest.keyset), Some(&nonce));
    assert_eq!(report["attestation"]["report_data"], hex::encode(&expected[..32]));
    assert_eq!(report["attestation"]["evidence"]["quote_report_data"], hex::encode(expected));
    assert_eq!(report["service_capabilities"]["serving"], "direct");
    assert_eq!(report["attestation"]["workload_keyset"]["e2ee_public_keys"][0]["key_id"], "hpke-1");
    let bad = get(&scene, "/v1/aci/attestation?nonce=abc", None).await;
    assert_eq!(bad.status.as_u16(), 400);
    let error: Value = bad.json().await.unwrap();
    assert_eq!(error["error"]["type"], "invalid_request_error");
    assert_eq!(get(&scene, "/v1/aci/attestation", None).await.status.as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaves_without_a_durable_receipt() {
    let scene = Scene::tiny().await;
    *scene.guest.full.lock().unwrap() = true;
    let whole = post(&scene, &[], ask(&scene, json!({})).to_string().into_bytes()).await;
    assert_eq!(whole.status.as_u16(), 503);
    let body = whole.bytes().await.unwrap();
    assert!(!String::from_utf8_lossy(&body).contains("choices"));
    let mut stream = post(&scene, &[], ask(&scene, json!({"stream": true})).to_string().into_bytes()).await;
    let mut seen = Vec::new();
    let broken = loop {
        match stream.body.next().await {
            Ok(Some(piece)) => seen.extend_from_slice(&piece),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken && !String::from_utf8_lossy(&seen).contains("[DONE]"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_and_health_are_listed() {
    let scene = Scene::tiny().await;
    let models: Value = get(&scene, "/v1/models", None).await.json().await.unwrap();
    assert_eq!(models["data"][0]["id"], "tiny");
    assert_eq!(get(&scene, "/v1/models/tiny", None).await.status.as_u16(), 200);
    assert_eq!(get(&scene, "/v1/models/huge", None).await.status.as_u16(), 404);
    let health: Value = get(&scene, "/health", None).await.json().await.unwrap();
    assert_eq!(health["ready"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_refused_and_leavers_free_their_places() {
    let scene = Scene::tiny().await;
    let body = ask(&scene, json!({"max_tokens": 480, "stream": true})).to_string().into_bytes();
    let mut open = Vec::new();
    let mut refused = 0;
    for _ in 0..freehold_inference::QUEUE_MAX * 4 {
        let response = post(&scene, &[], body.clone()).await;
        match response.status.as_u16() {
            200 => open.push(response),
            429 => {
                assert_eq!(header(&response, "retry-after"), "2");
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(refused > 0, "{} answers were queued", open.len());
    drop(open);
    tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while post(&scene, &[], body.clone()).await.status.as_u16() != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
}
