//! Attested fetch (`spec/fetch.md` §4).

use std::sync::Arc;

use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use freehold_rpc::{FetchAsk, LocalErrorCode};

use super::{
    freehold::{identity, read, serving},
    json, or_refuse, refuse,
};
use crate::{
    agent::Guest,
    clock::boot_ms,
    fetch::{FetchError, Fetching},
};

pub(super) async fn fetch(State(guest): State<Arc<Guest>>, body: Bytes) -> Response {
    let ask: FetchAsk = or_refuse!(read(&body));
    or_refuse!(serving(&guest));
    let identity = or_refuse!(identity(&guest));
    let Some(newest) = guest.life().newest() else { return refused(&FetchError::NoTime) };
    let settings = guest.settings();
    let who = Fetching {
        chain_id: settings.chain.chain_id,
        genesis_hash: settings.chain.genesis_hash,
        app_id: settings.app_id,
        instance_id: identity.instance_id,
        account: &guest.keys().account,
    };
    let now = || guest.life().now_unix_s(boot_ms());
    match guest.fetcher().fetch(&who, ask, newest, now).await {
        // What ended meanwhile signs nothing any more.
        Ok(fetched) => or_refuse!(serving(&guest).map(|_| json(StatusCode::OK, &fetched))),
        Err(error) => refused(&error),
    }
}

fn refused(error: &FetchError) -> Response {
    let (status, code) = match error {
        FetchError::Ask(_) => (StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest),
        FetchError::NoGate | FetchError::Denied(..) => (StatusCode::FORBIDDEN, LocalErrorCode::EgressDenied),
        FetchError::NoTime => (StatusCode::SERVICE_UNAVAILABLE, LocalErrorCode::NotServing),
        FetchError::Busy => (StatusCode::TOO_MANY_REQUESTS, LocalErrorCode::TooManyRequests),
        FetchError::Unreachable(..) | FetchError::Broken(_) => (StatusCode::BAD_GATEWAY, LocalErrorCode::Unreachable),
        FetchError::Tls(_) => (StatusCode::BAD_GATEWAY, LocalErrorCode::TlsRefused),
        FetchError::TooLarge(_) => (StatusCode::BAD_GATEWAY, LocalErrorCode::TooLarge),
        FetchError::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, LocalErrorCode::TimedOut),
    };
    refuse(status, code, error.to_string())
}
