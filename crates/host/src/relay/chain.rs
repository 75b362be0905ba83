//! The guest's questions to a node: one JSON-RPC request in, its answer out, for a closed list of methods.
//!
//! The guest checks what comes back; the list and the bounds keep a broken guest from leaning on the node.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use freehold_rpc::{HttpClient, HttpError, full_body};
use http::Request;
use serde::Deserialize;
use serde_json::{Value, json};

/// Methods that a guest may call.
const METHODS: [&str; 21] = [
    "eth_blockNumber",
    "eth_call",
    "eth_chainId",
    "eth_estimateGas",
    "eth_getBalance",
    "eth_getBlockByNumber",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_sendRawTransaction",
    "freehold_call",
    "freehold_getBlock",
    "freehold_getContent",
    "freehold_getFinality",
    "freehold_getHeaders",
    "freehold_getProof",
    "freehold_keyShares",
    "freehold_networkKey",
    "freehold_proveCall",
    "freehold_stateKeyShares",
    "freehold_status",
    "oasis_callDataPublicKey",
];
/// Longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 512 * 1024;

/// The relay.
pub(crate) struct ChainRelay {
    pub(crate) node: HttpClient,
}

#[derive(Deserialize)]
struct Head {
    method: String,
    #[serde(default)]
    id: Value,
}

pub(crate) fn chain_router(relay: Arc<ChainRelay>) -> Router {
    Router::new().route("/", post(forward)).layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX)).with_state(relay)
}

fn answer(body: impl Into<Bytes>) -> Response {
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (StatusCode::OK, [kind], body.into()).into_response()
}

fn error(id: &Value, code: i64, message: &str) -> Response {
    answer(json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}).to_string())
}

async fn forward(State(relay): State<Arc<ChainRelay>>, body: Bytes) -> Response {
    let Ok(head) = serde_json::from_slice::<Head>(&body) else {
        return error(&Value::Null, -32600, "one JSON-RPC request is expected");
    };
    if !METHODS.contains(&head.method.as_str()) {
        return error(&head.id, -32601, "this method is not relayed");
    }
    let exchange = async {
        let request = Request::post("/").header(header::CONTENT_TYPE, "application/json").body(full_body(body))?;
        relay.node.send(request).await?.success().await?.bytes().await
    };
    match exchange.await {
        Ok(bytes) => answer(bytes),
        Err(HttpError::Unreachable { .. }) => error(&head.id, -32000, "the node cannot be reached"),
        Err(problem) => error(&head.id, -32000, &problem.to_string()),
    }
}
