//! A guest with real keys behind the real local API, over a real UNIX socket; only its quote is made up.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path as FilePath,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use freehold_crypto::{
    Ed25519Secret, HpkeSecret, MerkleTree, RequestOpener, key_config, keyset_digest, receipt_leaf, receipt_text,
    report_data, sign_receipt,
};
use freehold_primitives::{
    ACI_VERSION, Account, AppId, Digest, Event, G1Point, Keyset, NetworkKey, RECEIPT_KEY_ID, Receipt, SubjectBody,
};
use freehold_rpc::{
    AppendReceipt, AppendedReceipt, BareHex, Base64Text, Capabilities, HeaderReference, Health, HpkeConfig, HpkeOpen,
    HpkeOpened, Inclusion, InstanceInfo, QuoteAnswer, QuoteAsk, StoredReceipt,
};
use serde_json::json;

const BODY_MAX: usize = 8 << 20;

struct Kept {
    receipt: Receipt,
    access: Option<Digest>,
    sequence: u64,
}

#[derive(Default)]
struct Log {
    kept: Vec<Kept>,
    tree: Option<MerkleTree>,
    last: Digest,
}

/// The guest.
pub(crate) struct FakeGuest {
    hpke: HpkeSecret,
    pub(crate) receipts_key: Ed25519Secret,
    pub(crate) keyset: Keyset,
    log: Mutex<Log>,
    /// While true, receipts are refused.
    pub(crate) full: Mutex<bool>,
}

impl FakeGuest {
    pub(crate) fn start(socket: &FilePath) -> Arc<Self> {
        let mut rng = rand::rng();
        let (hpke, receipts_key) = (HpkeSecret::generate(&mut rng), Ed25519Secret::generate(&mut rng));
        let keyset = Keyset {
            subject: Digest([5; 32]),
            not_after: 4_000_000_000,
            receipt_key: receipts_key.public(),
            hpke_key: hpke.public(),
            tls_keys: Vec::new(),
        };
        let guest = Arc::new(Self { hpke, receipts_key, keyset, log: Mutex::default(), full: Mutex::new(false) });
        let router = Router::new()
            .route("/freehold/v1/instance", get(instance))
            .route("/freehold/v1/quote", post(quote))
            .route("/freehold/v1/hpke/config", get(config))
            .route("/freehold/v1/hpke/open", post(open))
            .route("/freehold/v1/receipts/append", post(append))
            .route("/freehold/v1/receipts/{id}", get(receipt))
            .route("/freehold/v1/receipts/{id}/inclusion", get(inclusion))
            .route("/freehold/v1/health", get(health))
            .layer(axum::extract::DefaultBodyLimit::max(BODY_MAX))
            .with_state(Arc::clone(&guest));
        let listener = tokio::net::UnixListener::bind(socket).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        guest
    }

    /// All receipts, in order.
    pub(crate) fn receipts(&self) -> Vec<Receipt> {
        self.log.lock().unwrap().kept.iter().map(|kept| kept.receipt.clone()).collect()
    }

    /// The receipt with that id.
    pub(crate) fn receipt(&self, id: &str) -> Receipt {
        self.receipts().into_iter().find(|receipt| receipt.receipt_id == id).unwrap()
    }
}

type Guest = State<Arc<FakeGuest>>;

async fn instance(State(guest): Guest) -> Json<InstanceInfo> {
    let subject = SubjectBody {
        chain_id: 1,
        genesis_hash: Digest([1; 32]),
        app_id: AppId::new([7; 20]),
        provider: Account([2; 20]),
        account: Account([3; 20]),
        transport_key: G1Point([4; 48]),
        config_digest: Digest::ZERO,
    };
    Json(InstanceInfo {
        app_id: AppId::new([7; 20]),
        instance_id: Digest([9; 32]),
        chain_id: 1,
        genesis_hash: Digest([1; 32]),
        network_key: NetworkKey([6; 96]),
        keyset: serde_json::from_str(&guest.keyset.to_jcs()).unwrap(),
        keyset_digest: keyset_digest(&guest.keyset),
        subject: subject.into(),
        trust_domain: "emulated".to_owned(),
        capabilities: Capabilities {
            tee: "tdx".to_owned(),
            provider: "emulator".to_owned(),
            isolation: "none".to_owned(),
            measured: true,
            encrypted_disk: false,
            hardware: false,
        },
        registered: true,
        expires_at: 4_000_000_000,
        header: HeaderReference { height: 7, block_hash: Digest([8; 32]), time_unix_s: 1 },
    })
}

async fn quote(State(guest): Guest, Json(ask): Json<QuoteAsk>) -> Json<QuoteAnswer> {
    let data = report_data(&keyset_digest(&guest.keyset), ask.nonce.as_ref());
    Json(QuoteAnswer {
        quote: BareHex(data.repeat(3)),
        report_data: BareHex(data.to_vec()),
        tee_type: "tdx".to_owned(),
        event_log: Vec::new(),
    })
}

async fn config(State(guest): Guest) -> Json<HpkeConfig> {
    Json(HpkeConfig { key_config: BareHex(key_config(&guest.hpke.public()).to_vec()) })
}

fn refusal(status: StatusCode, code: &str) -> Response {
    (status, Json(json!({"error": {"code": code, "message": code}}))).into_response()
}

async fn open(State(guest): Guest, Json(ask): Json<HpkeOpen>) -> Response {
    let failed = || refusal(StatusCode::UNPROCESSABLE_ENTITY, "decryption_failed");
    let Ok(enc) = <[u8; 32]>::try_from(ask.enc.0) else { return refusal(StatusCode::BAD_REQUEST, "invalid_request") };
    let Ok(mut opener) = RequestOpener::new(&guest.hpke, &enc) else { return failed() };
    let mut plaintext = Vec::new();
    for chunk in ask.chunks {
        match opener.open(&chunk.0) {
            Ok(opened) => plaintext.extend_from_slice(&opened),
            Err(_) => return failed(),
        }
    }
    let secret = opener.exported_secret().as_bytes().to_vec();
    Json(HpkeOpened { plaintext: Base64Text(plaintext), exported_secret: BareHex(secret) }).into_response()
}

async fn append(State(guest): Guest, Json(ask): Json<AppendReceipt>) -> Response {
    if *guest.full.lock().unwrap() {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal");
    }
    let mut log = guest.log.lock().unwrap();
    let sequence = log.kept.len() as u64;
    let mut event_log = ask.events;
    event_log.push(Event::Chain {
        height: 7,
        block_hash: Digest([8; 32]),
        time_unix_s: 1,
        sequence,
        previous: log.last,
        instance: Digest([9; 32]),
    });
    let unsigned = Receipt {
        api_version: ACI_VERSION.to_owned(),
        receipt_id: ask.receipt_id,
        chat_id: ask.chat_id,
        model: ask.model,
        workload_keyset_digest: format!("sha256:{}", keyset_digest(&guest.keyset)),
        endpoint: ask.endpoint,
        method: ask.method,
        served_at: 1,
        event_log,
        key_id: RECEIPT_KEY_ID.to_owned(),
        signature: String::new(),
    };
    let receipt = sign_receipt(unsigned, &guest.receipts_key).unwrap();
    log.last = receipt_leaf(&receipt_text(&receipt).unwrap());
    let leaf = log.last;
    log.tree.get_or_insert_with(|| MerkleTree::from_leaves([])).push(leaf);
    log.kept.push(Kept { receipt: receipt.clone(), access: ask.access, sequence });
    Json(AppendedReceipt { receipt, sequence }).into_response()
}

async fn receipt(State(guest): Guest, Path(id): Path<String>) -> Response {
    let log = guest.log.lock().unwrap();
    let found =
        log.kept.iter().find(|kept| kept.receipt.receipt_id == id || kept.receipt.chat_id.as_deref() == Some(&id));
    match found {
        Some(kept) => Json(StoredReceipt { receipt: kept.receipt.clone(), access: kept.access }).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "not_found"),
    }
}

async fn inclusion(State(guest): Guest, Path(id): Path<String>) -> Response {
    let log = guest.log.lock().unwrap();
    let Some(kept) = log.kept.iter().find(|kept| kept.receipt.receipt_id == id) else {
        return refusal(StatusCode::NOT_FOUND, "not_found");
    };
    let tree = log.tree.as_ref().unwrap();
    Json(Inclusion {
        instance_id: Digest([9; 32]),
        sequence: kept.sequence,
        leaf: tree.leaf(kept.sequence).unwrap(),
        size: tree.size(),
        root: tree.root(),
        path: tree.inclusion_path(kept.sequence, tree.size()).unwrap(),
        anchor: None,
    })
    .into_response()
}

async fn health() -> Json<Health> {
    Json(Health {
        ready: true,
        stage: "serving".to_owned(),
        reason: None,
        expires_at: 4_000_000_000,
        receipts: 0,
        anchored: 0,
    })
}
