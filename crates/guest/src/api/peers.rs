//! Peers (`spec/peers.md`): who they are, and messages to them and from them.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use freehold_primitives::Digest;
use freehold_rpc::{LocalErrorCode, OpenFromPeer, SealForPeer};
use serde::Serialize;

use super::{
    freehold::{identity, read, serving},
    json, or_refuse, refuse,
};
use crate::{
    agent::Guest,
    clock::boot_ms,
    peers::{Ground, PeerError},
};

fn answer<T: Serialize>(result: Result<T, PeerError>) -> Response {
    let error = match result {
        Ok(value) => return json(StatusCode::OK, &value),
        Err(error) => error,
    };
    let (status, code) = match &error {
        PeerError::NotLive(_) => (StatusCode::CONFLICT, LocalErrorCode::PeerNotLive),
        PeerError::Replayed { .. } => (StatusCode::CONFLICT, LocalErrorCode::Replayed),
        PeerError::NotAuthentic => (StatusCode::UNPROCESSABLE_ENTITY, LocalErrorCode::NotAuthentic),
        PeerError::TooLong | PeerError::Malformed(_) => (StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest),
        PeerError::TooManySenders => (StatusCode::TOO_MANY_REQUESTS, LocalErrorCode::TooManyRequests),
        PeerError::NotServing => (StatusCode::SERVICE_UNAVAILABLE, LocalErrorCode::NotServing),
        PeerError::NoKeyset(_) | PeerError::Unverified(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, LocalErrorCode::Unavailable)
        }
        PeerError::Randomness | PeerError::TooManyInstances => {
            (StatusCode::INTERNAL_SERVER_ERROR, LocalErrorCode::Internal)
        }
    };
    refuse(status, code, error.to_string())
}

/// Where peers are looked for, while the instance serves.
fn ground(guest: &Guest) -> Result<Ground<'_>, Response> {
    serving(guest)?;
    let own = identity(guest)?;
    let now = guest.life().now_unix_s(boot_ms());
    let now = now.ok_or_else(|| answer::<()>(Err(PeerError::NotServing)))?;
    Ok(Ground { chain: guest.chain(), own, now })
}

pub(super) async fn peers(State(guest): State<Arc<Guest>>) -> Response {
    let ground = or_refuse!(ground(&guest));
    answer(guest.peers().list(ground).await)
}

pub(super) async fn seal(State(guest): State<Arc<Guest>>, Path(id): Path<String>, body: Bytes) -> Response {
    let ask: SealForPeer = or_refuse!(read(&body));
    let ground = or_refuse!(ground(&guest));
    let Ok(to) = id.parse::<Digest>() else {
        return refuse(StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest, "a peer's id is 32 bytes in hex");
    };
    answer(guest.peers().seal(ground, guest.keys(), (to, ask.plaintext.0)).await)
}

pub(super) async fn open(State(guest): State<Arc<Guest>>, body: Bytes) -> Response {
    let ask: OpenFromPeer = or_refuse!(read(&body));
    let ground = or_refuse!(ground(&guest));
    answer(guest.peers().open(ground, guest.keys(), &ask.envelope.0).await)
}
