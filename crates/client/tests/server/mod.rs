//! One server that is both the app's API and a node, with faults on demand.
#![allow(clippy::unwrap_used)]

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use freehold_crypto::{
    MerkleTree, RequestOpener, ResponseSealer, genesis_hash, keccak256, keyset_digest, receipt_leaf, receipt_text,
    report_data, sha256, sign_receipt, slots::storage_key,
};
use freehold_emulator::{DEVELOPMENT_SEED, Platform};
use freehold_primitives::{
    ACI_VERSION, Account, AppId, Canonical, Digest, Event, Genesis, NetworkKey, Receipt, entries::AnchorEntry,
};
use freehold_rpc::Endpoint;
use freehold_verify::FinalityProof;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{
    ANCHOR_HEIGHT, Instance, Network, Plan, RECEIPT_HEIGHT, STATE_HEIGHT, TestTree, choose_genesis_time, genesis,
    genesis_time, headers, instance, moment, state_tree,
};

/// What the app answers.
pub(crate) const ANSWER: &str = "Because of Rayleigh scattering…";
/// Height of the state before the answer.
const BEFORE: u64 = 39;

/// What the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Quotes for another nonce than asked.
    OtherNonce,
    /// Reports another keyset than it registered.
    OtherKeyset,
    /// Serves another state than the header's.
    OtherState,
    /// Serves headers of another day.
    OldHeaders,
    /// Answers in clear.
    Unsealed,
    /// Signs a receipt for another response.
    OtherReceipt,
    /// Does not anchor until it is told to.
    Unanchored,
}

struct Spoken {
    receipt: Receipt,
    path: Vec<Digest>,
    anchor: AnchorEntry,
}

struct World {
    fault: Fault,
    network: Network,
    genesis: Genesis,
    instance: Instance,
    spoken: Mutex<Option<Spoken>>,
    requests: Mutex<Vec<String>>,
    anchored: AtomicBool,
}

/// A running server.
pub(crate) struct Served {
    pub(crate) endpoint: Endpoint,
    pub(crate) network_key: NetworkKey,
    pub(crate) app_id: AppId,
    pub(crate) instance_id: Digest,
    world: Arc<World>,
}

impl Served {
    pub(crate) fn requests(&self) -> usize {
        self.world.requests.lock().unwrap().len()
    }

    /// Anchors what was not.
    pub(crate) fn anchor(&self) {
        self.world.anchored.store(true, Ordering::SeqCst);
    }

    pub(crate) fn last_request(&self) -> String {
        self.world.requests.lock().unwrap().last().unwrap().clone()
    }
}

/// Starts a server on a free port.
pub(crate) async fn serve(fault: Fault) -> Served {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    choose_genesis_time(now - STATE_HEIGHT - 5);
    let network = Network::new();
    let genesis = genesis(&network);
    let instance = instance(&Plan::default(), genesis_hash(&genesis));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (network_key, app_id, instance_id) = (network.key(), instance.entry.app_id, instance.entry.instance_id);
    let (spoken, requests) = (Mutex::new(None), Mutex::new(Vec::new()));
    let anchored = AtomicBool::new(fault != Fault::Unanchored);
    let world = Arc::new(World { fault, network, genesis, instance, spoken, requests, anchored });
    let shared = world.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let world = shared.clone();
            let service = service_fn(move |request| answer(world.clone(), request));
            tokio::spawn(async move {
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Served { endpoint, network_key, app_id, instance_id, world }
}

async fn answer(world: Arc<World>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let json = |value: Value| Response::new(Full::from(value.to_string()));
    Ok(match path.as_str() {
        "/" => json(world.rpc(&serde_json::from_slice(&body).unwrap())),
        "/v1/models" => json(json!({"data": [{"id": "SmolLM2-135M-Instruct"}]})),
        "/v1/aci/attestation" => json(world.report(query.strip_prefix("nonce=").unwrap())),
        "/v1/chat/completions" => {
            let enc = head.headers["Ehbp-Encapsulated-Key"].to_str().unwrap();
            world.complete(enc, &body)
        }
        "/v1/aci/receipts/rcpt-1" => {
            json(serde_json::to_value(&world.spoken.lock().unwrap().as_ref().unwrap().receipt).unwrap())
        }
        "/v1/freehold/receipts/rcpt-1/inclusion" => json(world.inclusion()),
        other => panic!("{other}"),
    })
}

fn hexed(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

impl World {
    fn is_anchored(&self) -> bool {
        self.anchored.load(Ordering::SeqCst)
    }

    fn report(&self, nonce: &str) -> Value {
        let nonce: Digest = if self.fault == Fault::OtherNonce { Digest::ZERO } else { nonce.parse().unwrap() };
        let mut keyset = self.instance.keyset.clone();
        if self.fault == Fault::OtherKeyset {
            keyset.hpke_key.0[0] ^= 1;
        }
        let digest = keyset_digest(&keyset);
        let report_data = report_data(&digest, Some(&nonce));
        let quote = Platform::new(&DEVELOPMENT_SEED).quote_v4(&self.instance.td, &report_data);
        json!({
            "api_version": "aci/1",
            "workload_keyset_digest": format!("sha256:{digest}"),
            "attestation": {
                "tee_type": "tdx",
                "workload_keyset": serde_json::from_str::<Value>(&keyset.to_jcs()).unwrap(),
                "report_data": hex::encode(&report_data[..32]),
                "source_provenance": {"repo_url": null},
                "evidence": {"quote": hex::encode(quote)},
            },
            "service_capabilities": {"serving": "direct"},
        })
    }

    fn complete(&self, enc: &str, body: &[u8]) -> Response<Full<Bytes>> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(enc, &mut bytes).unwrap();
        let mut opener = RequestOpener::new(&self.instance.hpke, &bytes).unwrap();
        let request = String::from_utf8(opener.open(&body[4..]).unwrap()).unwrap();
        let (head, tail) = ANSWER.split_at(10);
        let event = |content: &str| format!("data: {}\n\n", json!({"choices": [{"delta": {"content": content}}]}));
        let pieces = [event(head), event(tail), "data: [DONE]\n\n".to_owned()];
        let mut sealer = ResponseSealer::new(&opener.exported_secret(), &bytes, &mut rand::rng());
        let wire: Vec<u8> = pieces.iter().flat_map(|piece| sealer.seal(piece.as_bytes()).unwrap()).collect();
        let response = if self.fault == Fault::OtherReceipt { "other".to_owned() } else { pieces.concat() };
        *self.spoken.lock().unwrap() = Some(self.speak(&request, &response, (body, &wire)));
        self.requests.lock().unwrap().push(request);
        let answer = Response::builder().header("X-Receipt-Id", "rcpt-1");
        if self.fault == Fault::Unsealed {
            return answer.body(Full::from(pieces.concat())).unwrap();
        }
        answer.header("Ehbp-Response-Nonce", hex::encode(sealer.nonce())).body(Full::from(wire)).unwrap()
    }

    fn speak(&self, request: &str, response: &str, wires: (&[u8], &[u8])) -> Spoken {
        let named = moment(&headers(RECEIPT_HEIGHT, 1, Digest([0xaa; 32]))[0]);
        let hash = |bytes: &[u8]| format!("sha256:{}", sha256(bytes));
        let instance_id = self.instance.entry.instance_id;
        let receipt = Receipt {
            api_version: ACI_VERSION.to_owned(),
            receipt_id: "rcpt-1".to_owned(),
            chat_id: None,
            model: None,
            workload_keyset_digest: format!("sha256:{}", keyset_digest(&self.instance.keyset)),
            endpoint: "/v1/chat/completions".to_owned(),
            method: "POST".to_owned(),
            served_at: genesis_time(),
            event_log: vec![
                Event::RequestReceived { body_hash: hash(request.as_bytes()) },
                Event::Model {
                    name: "SmolLM2-135M-Instruct".to_owned(),
                    weights_sha256: Digest([1; 32]),
                    tokenizer_sha256: Digest([2; 32]),
                    template_sha256: Digest([3; 32]),
                    quantisation: "Q8_0".to_owned(),
                    converted_sha256: None,
                },
                Event::Transport {
                    encryption: "ehbp".to_owned(),
                    request_hash: Some(hash(wires.0)),
                    response_hash: Some(hash(wires.1)),
                },
                Event::ResponseReturned { body_hash: hash(response.as_bytes()) },
                Event::Chain {
                    height: named.height,
                    block_hash: named.block_hash,
                    time_unix_s: named.time_unix_s,
                    sequence: 1,
                    previous: Digest([4; 32]),
                    instance: instance_id,
                },
            ],
            key_id: String::new(),
            signature: String::new(),
        };
        let receipt = sign_receipt(receipt, &self.instance.receipt_key).unwrap();
        let mut log = MerkleTree::new();
        log.push(Digest([5; 32]));
        log.push(receipt_leaf(&receipt_text(&receipt).unwrap()));
        let anchor = AnchorEntry {
            instance_id,
            index: 0,
            size: 2,
            root: log.root(),
            anchored_by: instance_id,
            height: ANCHOR_HEIGHT,
            time_unix_s: genesis_time() + ANCHOR_HEIGHT,
        };
        Spoken { receipt, path: log.inclusion_path(1, 2).unwrap(), anchor }
    }

    fn inclusion(&self) -> Value {
        let spoken = self.spoken.lock().unwrap();
        let spoken = spoken.as_ref().unwrap();
        let anchor = (self.is_anchored()).then(|| json!({"index": 0, "height": ANCHOR_HEIGHT}));
        json!({
            "instance_id": spoken.anchor.instance_id,
            "sequence": 1,
            "leaf": receipt_leaf(&receipt_text(&spoken.receipt).unwrap()),
            "size": 2,
            "root": spoken.anchor.root,
            "path": spoken.path,
            "anchor": anchor,
        })
    }

    /// The newest state: after the answer it holds the anchor.
    fn state(&self) -> (u64, TestTree) {
        match self.spoken.lock().unwrap().as_ref() {
            None => (BEFORE, state_tree(&Plan::default(), &self.instance, None)),
            Some(spoken) => {
                let anchor = (self.is_anchored()).then_some(&spoken.anchor);
                (STATE_HEIGHT, state_tree(&Plan::default(), &self.instance, anchor))
            }
        }
    }

    fn finality(&self, height: u64) -> FinalityProof {
        let root = match height {
            RECEIPT_HEIGHT => Digest([0xaa; 32]),
            _ => self.state().1.root(),
        };
        let mut run = headers(height, 2, root);
        if self.fault == Fault::OldHeaders {
            run = headers(height, 1, root);
            run[0].timestamp -= 86_400;
        }
        self.network.finality(genesis_hash(&self.genesis), &run)
    }

    fn rpc(&self, call: &Value) -> Value {
        let params = &call["params"];
        let result = match call["method"].as_str().unwrap() {
            "freehold_genesis" => json!(hexed(self.genesis.to_canonical())),
            "freehold_successions" => json!([]),
            "freehold_getFinality" => {
                let height = params[0].as_u64().unwrap();
                let proof = self.finality(height);
                json!({
                    "height": height,
                    "headers": proof.headers.iter().map(hexed).collect::<Vec<_>>(),
                    "payload_head": hexed(proof.payload_head),
                    "certificate": hexed(proof.certificate),
                })
            }
            "freehold_getProof" => self.proof(params),
            "freehold_getContent" => {
                let digest: Digest = params[0].as_str().unwrap().parse().unwrap();
                let (_, tree) = self.state();
                let content = match digest == self.instance.entry.collateral_digests[0] {
                    true => Some(self.instance.collateral.as_slice()),
                    false => tree.content(&digest),
                };
                json!(content.map(hexed))
            }
            "eth_getBlockByNumber" => {
                assert_eq!(params, &json!(["0xa", true]));
                json!({"number": "0xa", "transactions": [
                    {"to": null, "input": "0x"},
                    {"to": hexed([9; 20]), "input": "0x01"},
                    {"to": "0x0000000000000000000000000000000000f4ee01", "input": hexed(self.call_data())},
                ]})
            }
            other => panic!("{other}"),
        };
        json!({"jsonrpc": "2.0", "id": call["id"], "result": result})
    }

    fn proof(&self, params: &Value) -> Value {
        let (height, tree) = self.state();
        let account: Account = params[0].as_str().unwrap().parse().unwrap();
        let leaf = |slot: &Value| {
            let slot: Digest = slot.as_str().unwrap().parse().unwrap();
            let key = storage_key(&account, &slot.0);
            let mut proof = tree.prove_key(key);
            if self.fault == Fault::OtherState {
                proof[20] ^= 1;
            }
            json!({"key": hexed(key), "value": tree.value(&key).map(hexed), "proof": hexed(proof)})
        };
        json!({
            "height": height,
            "state_root": hexed(tree.root()),
            "proofs": params[1].as_array().unwrap().iter().map(leaf).collect::<Vec<_>>(),
            "account": {"key": hexed(Digest::ZERO), "value": null, "proof": "0x"},
        })
    }

    /// `register(bytes,bytes,bytes)` as Solidity encodes it.
    fn call_data(&self) -> Vec<u8> {
        let instance = &self.instance;
        let document = instance.registration.to_canonical();
        let signature = instance.account.sign_registration(&instance.registration, &instance.evidence);
        let arguments: [&[u8]; 3] = [&document, &instance.evidence, &signature];
        let word = |value: usize| [vec![0; 24], (value as u64).to_be_bytes().to_vec()].concat();
        let mut out = keccak256(&[b"register(bytes,bytes,bytes)"]).0[..4].to_vec();
        let mut offset = 96;
        for argument in arguments {
            out.extend(word(offset));
            offset += 32 + argument.len().next_multiple_of(32);
        }
        for argument in arguments {
            out.extend(word(argument.len()));
            out.extend_from_slice(argument);
            out.extend(vec![0; argument.len().next_multiple_of(32) - argument.len()]);
        }
        out
    }
}
