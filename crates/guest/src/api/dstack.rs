//! dstack's guest API on the same socket (`spec/local-api.md` §7): the newer paths `/GetKey` … and the older
//! `/prpc/Tappd.DeriveKey` …, as the released clients call them.
//!
//! A refusal is `{"error": sentence}`. What cannot hold without one key server stands in `docs/dstack.md`.

mod evidence;
mod keys;

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use freehold_rpc::{DstackGpuInfo, DstackRefusal, DstackVersion};
use serde::{Serialize, de::DeserializeOwned};

use super::json;
use crate::{
    agent::{Guest, Serving},
    dstack::DstackError,
    evidence::QuoteError,
    keys::Identity,
    roots::Root,
    state::Stage,
};

/// The routes.
pub(super) fn routes() -> Router<Arc<Guest>> {
    Router::new()
        .route("/GetKey", post(keys::get_key))
        .route("/GetTlsKey", post(keys::get_tls_key))
        .route("/Sign", post(keys::sign))
        .route("/Verify", post(keys::verify))
        .route("/GetQuote", post(evidence::get_quote))
        .route("/Attest", post(evidence::attest))
        .route("/EmitEvent", post(evidence::emit_event))
        .route("/Info", get(evidence::info).post(evidence::info))
        .route("/GpuInfo", get(gpu_info).post(gpu_info))
        .route("/Version", get(version).post(version))
        .route("/prpc/Tappd.DeriveKey", post(keys::derive_key))
        .route("/prpc/Tappd.DeriveK256Key", post(keys::derive_k256_key))
        .route("/prpc/Tappd.TdxQuote", post(evidence::tdx_quote))
        .route("/prpc/Tappd.RawQuote", post(evidence::get_quote))
        .route("/prpc/Tappd.Info", get(evidence::info).post(evidence::info))
        .route("/prpc/{method}", post(unknown))
}

// Bodies are read where nothing stands in them too: a client that writes on while the connection closes sees it reset.

async fn unknown(_body: Body) -> Response {
    answer::<()>(Err(DstackError::NotFound))
}

async fn version(_body: Body) -> Response {
    answer(Ok(DstackVersion { version: env!("CARGO_PKG_VERSION").to_owned(), rev: "freehold".to_owned() }))
}

async fn gpu_info(_body: Body) -> Response {
    answer(Ok(DstackGpuInfo { attestation: String::new() }))
}

/// A body; none at all is one without members.
fn read<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, DstackError> {
    if body.is_empty() { Ok(T::default()) } else { Ok(serde_json::from_slice(body)?) }
}

fn answer<T: Serialize>(result: Result<T, DstackError>) -> Response {
    let error = match result {
        Ok(value) => return json(StatusCode::OK, &value),
        Err(error) => error,
    };
    let status = match &error {
        DstackError::NotServing(_) => StatusCode::SERVICE_UNAVAILABLE,
        DstackError::NotFound => StatusCode::NOT_FOUND,
        DstackError::Quote(QuoteError::QueueFull) => StatusCode::TOO_MANY_REQUESTS,
        DstackError::Quote(_) | DstackError::Randomness | DstackError::Unreadable => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    json(status, &DstackRefusal { error: error.to_string() })
}

/// An instance that serves.
struct Ready<'a> {
    guest: &'a Guest,
    identity: &'a Identity,
    serving: &'a Serving,
}

impl<'a> Ready<'a> {
    fn of(guest: &'a Guest) -> Result<Self, DstackError> {
        let stage = guest.stage();
        let serves = (guest.identity(), guest.serving());
        match serves {
            (Some(identity), Some(serving)) if stage == Stage::Serving => Ok(Self { guest, identity, serving }),
            _ => Err(DstackError::NotServing(stage.as_str())),
        }
    }

    /// The newest root key.
    fn root(&self) -> Result<Root, DstackError> {
        self.serving.roots.root(None).ok_or(DstackError::NotServing("no root key is held"))
    }
}

type GuestState = State<Arc<Guest>>;
type Body = Bytes;
