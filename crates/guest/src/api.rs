//! The local API (`spec/local-api.md`): what the app may ask of its guest, over a UNIX socket.
//!
//! Whoever holds the socket is the app. Nothing but the instance's public face and its health is answered before it
//! serves, nothing after it stopped.

mod dstack;
mod freehold;
mod keys;
mod leases;
mod metadata;
mod rofl;
mod settings;

#[cfg(test)]
mod tests;

pub(crate) use metadata::Metadata;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use freehold_rpc::{LOCAL_BODY_BYTES_MAX, LocalError, LocalErrorBody, LocalErrorCode};
use serde::Serialize;

use crate::agent::Guest;

/// The routes.
pub(crate) fn router(guest: Arc<Guest>) -> Router {
    Router::new()
        .route("/rofl/v1/app/id", get(rofl::app_id))
        .route("/rofl/v1/keys/generate", post(rofl::generate_key))
        .route(
            "/rofl/v1/metadata",
            get(rofl::get_metadata)
                .post(rofl::replace_metadata)
                .put(rofl::upsert_metadata)
                .delete(rofl::delete_metadata),
        )
        .route("/freehold/v1/instance", get(freehold::instance))
        .route("/freehold/v1/keys/generations", get(keys::generations))
        .route("/freehold/v1/keys/generate", post(keys::generate))
        .route("/freehold/v1/quote", post(freehold::quote))
        .route("/freehold/v1/hpke/config", get(freehold::hpke_config))
        .route("/freehold/v1/hpke/open", post(freehold::hpke_open))
        .route("/freehold/v1/receipts/append", post(freehold::append_receipt))
        .route("/freehold/v1/receipts/{id}", get(freehold::receipt))
        .route("/freehold/v1/receipts/{id}/inclusion", get(freehold::inclusion))
        .route("/freehold/v1/health", get(freehold::health))
        .route("/freehold/v1/settings", get(settings::settings))
        .route("/freehold/v1/settings/reload", post(settings::reload))
        .route("/freehold/v1/settings/{name}", get(settings::value))
        .route("/freehold/v1/environment", get(settings::environment))
        .route("/freehold/v1/leases/{name}", get(leases::lease))
        .route("/freehold/v1/leases/{name}/acquire", post(leases::acquire))
        .route("/freehold/v1/leases/{name}/release", post(leases::release))
        .route("/freehold/v1/leases/{name}/adopt", post(leases::adopt))
        .route("/freehold/v1/counters/increment", post(leases::increment))
        .route("/freehold/v1/counters/{lease}", get(leases::counters))
        .merge(dstack::routes())
        .fallback(async || refuse(StatusCode::NOT_FOUND, LocalErrorCode::NotFound, "there is no such path"))
        .layer(DefaultBodyLimit::max(LOCAL_BODY_BYTES_MAX))
        .with_state(guest)
}

/// Takes the value or answers with the refusal.
macro_rules! or_refuse {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(refusal) => return refusal,
        }
    };
}
use or_refuse;

/// JSON with a length, as Rust's appd client needs it.
fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            (status, [kind], body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Plain text, without a newline.
fn text(status: StatusCode, text: impl Into<String>) -> Response {
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    (status, [kind], text.into()).into_response()
}

/// A refusal on `/freehold` paths.
fn refuse(status: StatusCode, code: LocalErrorCode, message: impl Into<String>) -> Response {
    json(status, &LocalErrorBody { error: LocalError { code, message: message.into() } })
}
