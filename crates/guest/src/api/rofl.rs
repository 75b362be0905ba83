//! The paths of Oasis's appd, byte for byte where its released clients look.
//!
//! A body that is no JSON is 400; JSON of another shape is 422. Key ids of the platform itself are refused, which appd
//! does not do: whoever held its socket could ask for the disk key.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use freehold_rpc::{GenerateKey, GeneratedKey, KeyScope, RoflData, RoflQuery, SignSubmit};
use serde::de::DeserializeOwned;

use super::{json, keys, text};
use crate::{
    agent::Guest,
    metadata::{MetadataError, Pairs},
    rofl::{Asked, query, submit},
    state::Stage,
};

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Response> {
    serde_json::from_slice(body).map_err(|error| {
        let shape = error.classify() == serde_json::error::Category::Data;
        text(if shape { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST }, error.to_string())
    })
}

pub(super) async fn app_id(State(guest): State<Arc<Guest>>) -> Response {
    text(StatusCode::OK, guest.settings().app_id.to_string())
}

pub(super) async fn generate_key(State(guest): State<Arc<Guest>>, body: Bytes) -> Response {
    let ask: GenerateKey = match read(&body) {
        Ok(ask) => ask,
        Err(refusal) => return refusal,
    };
    if guest.stage() == Stage::Stopped {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the instance has stopped");
    }
    let Some(serving) = guest.serving() else {
        return text(StatusCode::BAD_REQUEST, "not initialized yet");
    };
    if let Err(refusal) = keys::check_id(&ask.key_id) {
        return text(StatusCode::BAD_REQUEST, refusal);
    }
    if let Err(refusal) = guest.settings().check_scope(KeyScope::App) {
        return text(StatusCode::BAD_REQUEST, refusal.to_string());
    }
    match serving.roots.root(None) {
        Some(root) => {
            json(StatusCode::OK, &GeneratedKey { key: keys::derive(&root, ask.kind, &ask.key_id).to_string() })
        }
        None => text(StatusCode::BAD_REQUEST, "not initialized yet"),
    }
}

pub(super) async fn sign_submit(State(guest): State<Arc<Guest>>, body: Bytes) -> Response {
    let ask: SignSubmit = match read(&body) {
        Ok(ask) => ask,
        Err(refusal) => return refusal,
    };
    if guest.stage() == Stage::Stopped {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the instance has stopped");
    }
    let Some(serving) = guest.serving() else {
        return text(StatusCode::BAD_REQUEST, "not initialized yet");
    };
    let asked = match Asked::read(ask) {
        Ok(asked) => asked,
        Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    match submit(&guest, serving, asked).await {
        Ok(result) => json(StatusCode::OK, &RoflData { data: hex::encode(result.to_cbor()) }),
        Err(error) => text(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

pub(super) async fn run_query(State(guest): State<Arc<Guest>>, body: Bytes) -> Response {
    let ask: RoflQuery = match read(&body) {
        Ok(ask) => ask,
        Err(refusal) => return refusal,
    };
    if guest.stage() == Stage::Stopped {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the instance has stopped");
    }
    match query(&guest, &ask.method, &ask.args.0).await {
        Ok(data) => json(StatusCode::OK, &RoflData { data: hex::encode(data) }),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("Query failed: {error}")),
    }
}

pub(super) async fn get_metadata(State(guest): State<Arc<Guest>>) -> Response {
    json(StatusCode::OK, &guest.metadata().pairs())
}

fn done(result: Result<(), MetadataError>) -> Response {
    match result {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => text(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

pub(super) async fn replace_metadata(State(guest): State<Arc<Guest>>, body: Bytes) -> Response {
    match read::<Pairs>(&body) {
        Ok(pairs) => done(guest.metadata().replace(pairs)),
        Err(refusal) => refusal,
    }
}

pub(super) async fn upsert_metadata(State(guest): State<Arc<Guest>>, body: Bytes) -> Response {
    match read::<Pairs>(&body) {
        Ok(pairs) => done(guest.metadata().upsert(pairs)),
        Err(refusal) => refusal,
    }
}

pub(super) async fn delete_metadata(State(guest): State<Arc<Guest>>, body: Bytes) -> Response {
    match read::<Vec<String>>(&body) {
        Ok(keys) => done(guest.metadata().delete(&keys)),
        Err(refusal) => refusal,
    }
}
