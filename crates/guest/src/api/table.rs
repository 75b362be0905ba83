//! Every operation of the local API, once: routes and the OpenAPI document are both made of it, so that neither knows one
//! that the other lacks.

use std::sync::Arc;

use axum::{
    Router,
    routing::{MethodRouter, delete, get, post, put},
};

use super::{dstack, events, fetch, freehold, keys, leases, openapi, peers, rofl, settings};
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
    /// JSON of a type, as `schemas` writes types.
    Json(&'static str),
    /// JSON of a type, a line each, for as long as somebody listens.
    Lines(&'static str),
}

/// What an instance does that does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unready {
    /// It refuses.
    Refuses,
    /// It answers as otherwise.
    Answers,
}

/// One operation.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// Its name in clients.
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    /// Parameters of the query, `name:type`; each may be missing.
    pub(super) query: &'static [&'static str],
    pub(super) asks: Body,
    pub(super) gives: Body,
    /// Whether an instance that does not serve answers with the same, and status 503.
    pub(super) unready: Unready,
    serve: Serve,
}

type Serve = fn() -> MethodRouter<Arc<Guest>>;

impl Operation {
    const fn new(
        method: Method,
        path: &'static str,
        (name, summary): (&'static str, &'static str),
        serve: Serve,
    ) -> Self {
        Self {
            method,
            path,
            name,
            summary,
            query: &[],
            asks: Body::Empty,
            gives: Body::Empty,
            unready: Unready::Refuses,
            serve,
        }
    }
    const fn get(path: &'static str, called: (&'static str, &'static str), serve: Serve) -> Self {
        Self::new(Method::Get, path, called, serve)
    }
    const fn post(path: &'static str, called: (&'static str, &'static str), serve: Serve) -> Self {
        Self::new(Method::Post, path, called, serve)
    }
    const fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }
    const fn asks(self, of: &'static str) -> Self {
        Self { asks: Body::Json(of), ..self }
    }
    const fn gives(self, of: &'static str) -> Self {
        Self { gives: Body::Json(of), ..self }
    }
    const fn answers_unready(self) -> Self {
        Self { unready: Unready::Answers, ..self }
    }
    const fn answers(self, gives: Body) -> Self {
        Self { gives, ..self }
    }
}

/// Paths of Oasis's appd.
const ROFL: &[Operation] = &[
    Operation::get("/rofl/v1/app/id", ("rofl_app_id", "The app's id."), || get(rofl::app_id)).answers(Body::Text),
    Operation::post("/rofl/v1/keys/generate", ("rofl_generate_key", "A key of the app by its name."), || {
        post(rofl::generate_key)
    })
    .asks("RoflKeyAsk")
    .gives("RoflKey"),
    Operation::post(
        "/rofl/v1/tx/sign-submit",
        ("rofl_sign_submit", "Signs and submits a transaction, within the owner's limits."),
        || post(rofl::sign_submit),
    )
    .asks("RoflTransactionAsk")
    .gives("RoflData"),
    Operation::post("/rofl/v1/query", ("rofl_query", "Asks the chain; the answer is proven."), || {
        post(rofl::run_query)
    })
    .asks("RoflQueryAsk")
    .gives("RoflData"),
    Operation::get("/rofl/v1/metadata", ("rofl_metadata", "The instance's metadata."), || get(rofl::get_metadata))
        .gives("{string}"),
    Operation::post("/rofl/v1/metadata", ("rofl_set_metadata", "Replaces all metadata."), || {
        post(rofl::replace_metadata)
    })
    .asks("{string}"),
    Operation::new(Method::Put, "/rofl/v1/metadata", ("rofl_change_metadata", "Adds or changes metadata."), || {
        put(rofl::upsert_metadata)
    })
    .asks("{string}"),
    Operation::new(
        Method::Delete,
        "/rofl/v1/metadata",
        ("rofl_remove_metadata", "Removes metadata by its keys."),
        || delete(rofl::delete_metadata),
    )
    .asks("[string]"),
];

/// Paths of Freehold.
const FREEHOLD: &[Operation] = &[
    Operation::get("/freehold/v1/openapi.json", ("document", "This document."), || get(openapi::document)).gives("any"),
    Operation::get("/freehold/v1/instance", ("instance", "Who the instance is, and what protects it."), || {
        get(freehold::instance)
    })
    .gives("Instance"),
    Operation::get("/freehold/v1/health", ("health", "Whether the instance serves, and what it waits for."), || {
        get(freehold::health)
    })
    .gives("Health")
    .answers_unready(),
    Operation::get(
        "/freehold/v1/keys/generations",
        (
            "key_generations",
            "Generations of the app's root key; with `after`, once there is a newer one, or after a while.",
        ),
        || get(keys::generations),
    )
    .query(&["after:integer"])
    .gives("Generations"),
    Operation::post(
        "/freehold/v1/keys/generate",
        ("generate_key", "A key of a scope, under a generation of the root key."),
        || post(keys::generate),
    )
    .asks("KeyAsk")
    .gives("Key"),
    Operation::post("/freehold/v1/quote", ("quote", "A quote over the keyset, for a nonce."), || post(freehold::quote))
        .asks("QuoteAsk")
        .gives("Quote"),
    Operation::get("/freehold/v1/hpke/config", ("hpke_config", "The key that bodies are sealed to."), || {
        get(freehold::hpke_config)
    })
    .gives("HpkeConfig"),
    Operation::post("/freehold/v1/hpke/open", ("hpke_open", "Opens a sealed body."), || post(freehold::hpke_open))
        .asks("HpkeOpenAsk")
        .gives("HpkeOpened"),
    Operation::post("/freehold/v1/receipts/append", ("append_receipt", "Signs and keeps a receipt."), || {
        post(freehold::append_receipt)
    })
    .asks("ReceiptAsk")
    .gives("AppendedReceipt"),
    Operation::post("/freehold/v1/fetch", ("fetch", "Fetches over HTTPS, and signs what came."), || post(fetch::fetch))
        .asks("FetchAsk")
        .gives("Fetched"),
    Operation::get("/freehold/v1/receipts/{id}", ("receipt", "A receipt."), || get(freehold::receipt))
        .gives("StoredReceipt"),
    Operation::get("/freehold/v1/receipts/{id}/inclusion", ("inclusion", "Where a receipt stands in the log."), || {
        get(freehold::inclusion)
    })
    .gives("Inclusion"),
    Operation::get(
        "/freehold/v1/settings",
        ("settings", "What the owner set, without values; with `after`, once there is a newer set, or after a while."),
        || get(settings::settings),
    )
    .query(&["after:integer"])
    .gives("Settings"),
    Operation::post("/freehold/v1/reload", ("reload_settings", "Looks at the chain for a newer set, now."), || {
        post(settings::reload)
    })
    .gives("Settings"),
    Operation::get("/freehold/v1/settings/{name}", ("setting", "One value."), || get(settings::value))
        .gives("SettingValue"),
    Operation::get(
        "/freehold/v1/environment",
        ("environment", "What the owner set, as environment variables."),
        || get(settings::environment),
    )
    .gives("Environment"),
    Operation::get("/freehold/v1/leases/{name}", ("lease", "A lease."), || get(leases::lease)).gives("Lease"),
    Operation::post("/freehold/v1/leases/{name}/acquire", ("acquire_lease", "Takes a lease, or renews it."), || {
        post(leases::acquire)
    })
    .asks("LeaseAsk")
    .gives("Lease"),
    Operation::post("/freehold/v1/leases/{name}/release", ("release_lease", "Lets a lease go."), || {
        post(leases::release)
    })
    .gives("Lease"),
    Operation::post(
        "/freehold/v1/leases/{name}/adopt",
        ("adopt_counters", "Says that the app's data are the newest."),
        || post(leases::adopt),
    )
    .asks("AdoptAsk")
    .gives("Lease"),
    Operation::post("/freehold/v1/counters/increment", ("increment", "Raises a counter."), || post(leases::increment))
        .asks("IncrementAsk")
        .gives("Incremented"),
    Operation::get("/freehold/v1/counters/{lease}", ("counters", "All counters under a lease."), || {
        get(leases::counters)
    })
    .gives("Counters"),
    Operation::get(
        "/freehold/v1/events",
        ("events", "Verified logs and the app's own life, from a height on and as they come."),
        || get(events::events),
    )
    .query(&[
        "from:integer",
        "address:[hex]",
        "topic0:[hex]",
        "topic1:[hex]",
        "topic2:[hex]",
        "topic3:[hex]",
        "life:boolean",
    ])
    .answers(Body::Lines("EventLine")),
    Operation::get("/freehold/v1/peers", ("peers", "The other live instances of the app."), || get(peers::peers))
        .gives("Peers"),
    Operation::post("/freehold/v1/peers/{id}/seal", ("seal_for_peer", "Seals a message for a peer."), || {
        post(peers::seal)
    })
    .asks("PeerSealAsk")
    .gives("PeerSealed"),
    Operation::post("/freehold/v1/peers/open", ("open_from_peer", "Opens a message of a peer, once."), || {
        post(peers::open)
    })
    .asks("PeerOpenAsk")
    .gives("PeerOpened"),
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

/// dstack's clients have names of their own: an operation's is its path.
const fn dstack(path: &'static str, summary: &'static str, serve: Serve) -> Operation {
    Operation::post(path, (path, summary), serve).asks("any").gives("any")
}

const fn dstack_get(path: &'static str, summary: &'static str, serve: Serve) -> Operation {
    Operation::get(path, (path, summary), serve).gives("any")
}

/// All operations.
pub(super) fn operations() -> impl Iterator<Item = &'static Operation> {
    ROFL.iter().chain(FREEHOLD).chain(DSTACK)
}

/// The routes of all operations.
pub(super) fn routes() -> Router<Arc<Guest>> {
    operations().fold(Router::new(), |router, operation| router.route(operation.path, (operation.serve)()))
}
