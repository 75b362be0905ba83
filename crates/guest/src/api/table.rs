//! Every operation of the local API, once: routes and the OpenAPI document are both made of it, so that neither knows one
//! that the other lacks.

use std::sync::Arc;

use axum::{
    Router,
    routing::{MethodRouter, delete, get, post, put},
};

use super::{dstack, fetch, freehold, keys, leases, openapi, rofl, settings};
use crate::agent::Guest;

/// HTTP methods that the API uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    /// As OpenAPI writes it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// None.
    Empty,
    /// Plain text.
    Text,
    /// A JSON object: `name:type`, `name?:type` where it may be missing.
    Object(&'static [&'static str]),
    /// JSON of another shape.
    Any,
}

/// One operation.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// Parameter of the query, `name:type`.
    pub(super) query: Option<&'static str>,
    pub(super) asks: Body,
    pub(super) gives: Body,
    serve: fn() -> MethodRouter<Arc<Guest>>,
}

type Serve = fn() -> MethodRouter<Arc<Guest>>;

impl Operation {
    const fn new(method: Method, path: &'static str, summary: &'static str, serve: Serve) -> Self {
        Self { method, path, summary, query: None, asks: Body::Empty, gives: Body::Empty, serve }
    }
    const fn get(path: &'static str, summary: &'static str, serve: Serve) -> Self {
        Self::new(Method::Get, path, summary, serve)
    }
    const fn post(path: &'static str, summary: &'static str, serve: Serve) -> Self {
        Self::new(Method::Post, path, summary, serve)
    }
    const fn query(self, query: &'static str) -> Self {
        Self { query: Some(query), ..self }
    }
    const fn asks(self, members: &'static [&'static str]) -> Self {
        Self { asks: Body::Object(members), ..self }
    }
    const fn gives(self, members: &'static [&'static str]) -> Self {
        Self { gives: Body::Object(members), ..self }
    }
    const fn bodies(self, asks: Body, gives: Body) -> Self {
        Self { asks, gives, ..self }
    }
}

/// Members of a lease's answer.
const LEASE: &[&str] = &[
    "name:string",
    "fence:integer",
    "holder:hex|null",
    "account:hex|null",
    "expires_at:integer",
    "held:boolean",
    "disk:object|null",
    "header:object",
];
/// Members of the settings' answer.
const SETTINGS: &[&str] =
    &["generation:integer", "changed_at:integer", "settings:array", "spending:object|null", "header:object"];
/// Members of an answer with CBOR.
const DATA: &[&str] = &["data:hex"];

/// Paths of Oasis's appd.
const ROFL: &[Operation] = &[
    Operation::get("/rofl/v1/app/id", "The app's id.", || get(rofl::app_id)).bodies(Body::Empty, Body::Text),
    Operation::post("/rofl/v1/keys/generate", "A key of the app by its name.", || post(rofl::generate_key))
        .asks(&["key_id:string", "kind:string"])
        .gives(&["key:hex"]),
    Operation::post("/rofl/v1/tx/sign-submit", "Signs and submits a transaction, within the owner's limits.", || {
        post(rofl::sign_submit)
    })
    .asks(&["encrypt?:boolean", "tx:object"])
    .gives(DATA),
    Operation::post("/rofl/v1/query", "Asks the chain; the answer is proven.", || post(rofl::run_query))
        .asks(&["method:string", "args:hex"])
        .gives(DATA),
    Operation::get("/rofl/v1/metadata", "The instance's metadata.", || get(rofl::get_metadata))
        .bodies(Body::Empty, Body::Any),
    Operation::post("/rofl/v1/metadata", "Replaces all metadata.", || post(rofl::replace_metadata))
        .bodies(Body::Any, Body::Empty),
    Operation::new(Method::Put, "/rofl/v1/metadata", "Adds or changes metadata.", || put(rofl::upsert_metadata))
        .bodies(Body::Any, Body::Empty),
    Operation::new(Method::Delete, "/rofl/v1/metadata", "Removes metadata by its keys.", || {
        delete(rofl::delete_metadata)
    })
    .bodies(Body::Any, Body::Empty),
];

/// Paths of Freehold.
const FREEHOLD: &[Operation] = &[
    Operation::get("/freehold/v1/openapi.json", "This document.", || get(openapi::document))
        .bodies(Body::Empty, Body::Any),
    Operation::get("/freehold/v1/instance", "Who the instance is, and what protects it.", || get(freehold::instance))
        .gives(&[
            "app_id:string",
            "instance_id:hex",
            "chain_id:integer",
            "genesis_hash:hex",
            "network_key:hex",
            "keyset:object",
            "keyset_digest:hex",
            "subject:object",
            "trust_domain:string",
            "capabilities:object",
            "registered:boolean",
            "expires_at:integer",
            "header:object",
        ]),
    Operation::get("/freehold/v1/health", "Whether the instance serves, and what it waits for.", || {
        get(freehold::health)
    })
    .gives(&[
        "ready:boolean",
        "stage:string",
        "reason:string|null",
        "expires_at:integer",
        "receipts:integer",
        "anchored:integer",
    ]),
    Operation::get("/freehold/v1/keys/generations", "Generations of the app's root key.", || get(keys::generations))
        .query("after:integer")
        .gives(&["newest:integer", "previous:integer|null", "previous_until:integer"]),
    Operation::post("/freehold/v1/keys/generate", "A key of a scope, under a generation of the root key.", || {
        post(keys::generate)
    })
    .asks(&["key_id:string", "kind:string", "generation?:integer|null", "scope?:string"])
    .gives(&["key:hex", "generation:integer"]),
    Operation::post("/freehold/v1/quote", "A quote over the keyset, for a nonce.", || post(freehold::quote))
        .asks(&["nonce:hex|null"])
        .gives(&["quote:hex", "report_data:hex", "tee_type:string", "event_log:array"]),
    Operation::get("/freehold/v1/hpke/config", "The key that bodies are sealed to.", || get(freehold::hpke_config))
        .gives(&["key_config:hex"]),
    Operation::post("/freehold/v1/hpke/open", "Opens a sealed body.", || post(freehold::hpke_open))
        .asks(&["enc:hex", "chunks:array"])
        .gives(&["plaintext:base64", "exported_secret:hex"]),
    Operation::post("/freehold/v1/receipts/append", "Signs and keeps a receipt.", || post(freehold::append_receipt))
        .asks(&[
            "receipt_id:string",
            "chat_id:string|null",
            "model:object|null",
            "endpoint:string",
            "method:string",
            "access:hex|null",
            "events:array",
        ])
        .gives(&["receipt:object", "sequence:integer"]),
    Operation::post("/freehold/v1/fetch", "Fetches over HTTPS, and signs what came.", || post(fetch::fetch))
        .asks(&[
            "url:string",
            "method?:string",
            "headers?:array",
            "body?:base64|null",
            "roots?:array",
            "body_bytes_max?:integer|null",
            "timeout_ms?:integer|null",
        ])
        .gives(&["format:string", "record:object", "signature:hex", "headers:array", "body:base64"]),
    Operation::get("/freehold/v1/receipts/{id}", "A receipt.", || get(freehold::receipt))
        .gives(&["receipt:object", "access:hex|null"]),
    Operation::get("/freehold/v1/receipts/{id}/inclusion", "Where a receipt stands in the log.", || {
        get(freehold::inclusion)
    })
    .gives(&[
        "instance_id:hex",
        "sequence:integer",
        "leaf:hex",
        "size:integer",
        "root:hex",
        "path:array",
        "anchor:object|null",
    ]),
    Operation::get("/freehold/v1/settings", "What the owner set, without values.", || get(settings::settings))
        .query("after:integer")
        .gives(SETTINGS),
    Operation::post("/freehold/v1/reload", "Looks at the chain for a newer set, now.", || post(settings::reload))
        .gives(SETTINGS),
    Operation::get("/freehold/v1/settings/{name}", "One value.", || get(settings::value)).gives(&[
        "name:string",
        "value:base64",
        "secret:boolean",
        "set_at:integer",
        "generation:integer",
    ]),
    Operation::get("/freehold/v1/environment", "What the owner set, as environment variables.", || {
        get(settings::environment)
    })
    .gives(&["generation:integer", "environment:object", "missing?:array"]),
    Operation::get("/freehold/v1/leases/{name}", "A lease.", || get(leases::lease)).gives(LEASE),
    Operation::post("/freehold/v1/leases/{name}/acquire", "Takes a lease, or renews it.", || post(leases::acquire))
        .asks(&["length_s?:integer", "wait_s?:integer"])
        .gives(LEASE),
    Operation::post("/freehold/v1/leases/{name}/release", "Lets a lease go.", || post(leases::release)).gives(LEASE),
    Operation::post("/freehold/v1/leases/{name}/adopt", "Says that the app's data are the newest.", || {
        post(leases::adopt)
    })
    .asks(&["sequence:integer"])
    .gives(LEASE),
    Operation::post("/freehold/v1/counters/increment", "Raises a counter.", || post(leases::increment))
        .asks(&["lease:string", "counter:string", "by?:integer"])
        .gives(&["value:integer", "sequence:integer", "fence:integer", "header:object"]),
    Operation::get("/freehold/v1/counters/{lease}", "All counters under a lease.", || get(leases::counters)).gives(&[
        "lease:string",
        "sequence:integer",
        "fence:integer",
        "values:object",
        "header:object",
    ]),
];

/// Paths of dstack's guest API; bodies stand on its own pages.
const DSTACK: &[Operation] = &[
    dstack("/GetKey", "A key by its path.", || post(dstack::keys::get_key)),
    dstack("/GetTlsKey", "A TLS key and its certificates.", || post(dstack::keys::get_tls_key)),
    dstack("/Sign", "A signature.", || post(dstack::keys::sign)),
    dstack("/Verify", "Whether a signature is good.", || post(dstack::keys::verify)),
    dstack("/GetQuote", "A quote over data of the caller's.", || post(dstack::evidence::get_quote)),
    dstack("/Attest", "The same as a container.", || post(dstack::evidence::attest)),
    dstack("/EmitEvent", "Adds an event to the log.", || post(dstack::evidence::emit_event)),
    dstack("/Info", "Who the instance is.", || post(dstack::evidence::info)),
    dstack_get("/Info", "Who the instance is.", || get(dstack::evidence::info)),
    dstack("/GpuInfo", "Evidence of GPUs.", || post(dstack::gpu_info)),
    dstack_get("/GpuInfo", "Evidence of GPUs.", || get(dstack::gpu_info)),
    dstack("/Version", "The agent's version.", || post(dstack::version)),
    dstack_get("/Version", "The agent's version.", || get(dstack::version)),
    dstack("/prpc/Tappd.DeriveKey", "As /GetTlsKey.", || post(dstack::keys::derive_key)),
    dstack("/prpc/Tappd.DeriveK256Key", "As /GetKey.", || post(dstack::keys::derive_k256_key)),
    dstack("/prpc/Tappd.TdxQuote", "A quote over hashed data.", || post(dstack::evidence::tdx_quote)),
    dstack("/prpc/Tappd.RawQuote", "As /GetQuote.", || post(dstack::evidence::get_quote)),
    dstack("/prpc/Tappd.Info", "As /Info.", || post(dstack::evidence::info)),
    dstack_get("/prpc/Tappd.Info", "As /Info.", || get(dstack::evidence::info)),
];

const fn dstack(path: &'static str, summary: &'static str, serve: Serve) -> Operation {
    Operation::post(path, summary, serve).bodies(Body::Any, Body::Any)
}

const fn dstack_get(path: &'static str, summary: &'static str, serve: Serve) -> Operation {
    Operation::get(path, summary, serve).bodies(Body::Empty, Body::Any)
}

/// All operations.
pub(super) fn operations() -> impl Iterator<Item = &'static Operation> {
    ROFL.iter().chain(FREEHOLD).chain(DSTACK)
}

/// The routes of all operations.
pub(super) fn routes() -> Router<Arc<Guest>> {
    operations().fold(Router::new(), |router, operation| router.route(operation.path, (operation.serve)()))
}
