//! dstack's guest API on the same socket (`spec/local-api.md` §7): the newer paths `/GetKey` … and the older
//! `/prpc/Tappd.DeriveKey` …, as the released clients call them.
//!
//! A refusal is `{"error": sentence}`. What cannot hold without one key server stands in `docs/dstack.md`.

pub(super) mod evidence;
pub(super) mod keys;

use std::sync::Arc;

use axum::{Router, body::Bytes, extract::State, http::StatusCode, response::Response, routing::post};
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

/// What answers methods of the older API that are not known.
pub(super) fn unknown_methods() -> Router<Arc<Guest>> {
    Router::new().route("/prpc/{method}", post(unknown))
}

// Bodies are read where nothing stands in them too: a client that writes on while the connection closes sees it reset.

async fn unknown(_body: Body) -> Response {
    answer::<()>(Err(DstackError::NotFound))
}

pub(super) async fn version(_body: Body) -> Response {
    answer(Ok(DstackVersion { version: env!("CARGO_PKG_VERSION").to_owned(), rev: "freehold".to_owned() }))
}

pub(super) async fn gpu_info(_body: Body) -> Response {
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
