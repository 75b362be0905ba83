//! The local API (`spec/local-api.md`): what the app may ask of its guest, over a UNIX socket.
//!
//! Whoever holds the socket is the app. Nothing but the instance's public face and its health is answered before it
//! serves, nothing after it stopped.

mod dstack;
mod events;
mod fetch;
mod freehold;
mod keys;
mod leases;
mod openapi;
mod peers;
mod rofl;
mod schemas;
mod settings;
mod table;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use freehold_rpc::{LOCAL_BODY_BYTES_MAX, LocalError, LocalErrorBody, LocalErrorCode};
use serde::Serialize;

use crate::{agent::Guest, config::EnvironmentSocket};

/// Who holds a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The app as a whole.
    App,
    /// One of its services, by name.
    Service(Arc<str>),
}

/// The routes of one socket.
pub(crate) fn router(guest: Arc<Guest>, caller: Caller) -> Router {
    table::routes()
        .merge(dstack::unknown_methods())
        .fallback(async || refuse(StatusCode::NOT_FOUND, LocalErrorCode::NotFound, "there is no such path"))
        .layer(DefaultBodyLimit::max(LOCAL_BODY_BYTES_MAX))
        .layer(Extension(caller))
        .with_state(guest)
}

/// The one route of a socket with a service's environment (`spec/settings.md` §6).
pub(crate) fn environment_router(guest: Arc<Guest>, service: EnvironmentSocket) -> Router {
    Router::new()
        .route("/freehold/v1/environment", get(settings::service_environment))
        .fallback(async || refuse(StatusCode::NOT_FOUND, LocalErrorCode::NotFound, "there is no such path"))
        .layer(DefaultBodyLimit::max(LOCAL_BODY_BYTES_MAX))
        .with_state((guest, Arc::new(service)))
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
