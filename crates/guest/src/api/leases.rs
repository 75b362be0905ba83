//! Leases and counters (`spec/leases.md` §3): the app's way to one writer at a time and to numbers that never fall.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use freehold_rpc::{AcquireLease, AdoptCounters, IncrementCounter, LocalErrorCode};
use serde::Serialize;

use super::{
    freehold::{read, serving},
    json, or_refuse, refuse,
};
use crate::{agent::Guest, leases::LeaseError};

fn answer<T: Serialize>(result: Result<T, LeaseError>) -> Response {
    let error = match result {
        Ok(value) => return json(StatusCode::OK, &value),
        Err(error) => error,
    };
    let (status, code) = match &error {
        LeaseError::NotServing | LeaseError::Copied => (StatusCode::SERVICE_UNAVAILABLE, LocalErrorCode::NotServing),
        LeaseError::Name | LeaseError::Length | LeaseError::By | LeaseError::CountersFull | LeaseError::TooMany => {
            (StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest)
        }
        LeaseError::Held { .. } => (StatusCode::CONFLICT, LocalErrorCode::LeaseHeld),
        LeaseError::Lost => (StatusCode::CONFLICT, LocalErrorCode::LeaseLost),
        LeaseError::DiskBehind(_) => (StatusCode::CONFLICT, LocalErrorCode::DiskBehind),
        LeaseError::ChainBehind(_) => (StatusCode::SERVICE_UNAVAILABLE, LocalErrorCode::ChainBehind),
        LeaseError::Unavailable | LeaseError::Send(_) | LeaseError::Unverified(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, LocalErrorCode::Unavailable)
        }
        LeaseError::Record(_) => (StatusCode::INTERNAL_SERVER_ERROR, LocalErrorCode::Internal),
    };
    refuse(status, code, error.to_string())
}

pub(super) async fn lease(State(guest): State<Arc<Guest>>, Path(name): Path<String>) -> Response {
    let serving = or_refuse!(serving(&guest));
    answer(serving.leases.report(&name).await)
}

pub(super) async fn acquire(State(guest): State<Arc<Guest>>, Path(name): Path<String>, body: Bytes) -> Response {
    let ask: AcquireLease = or_refuse!(read(&body));
    let serving = or_refuse!(serving(&guest));
    answer(serving.leases.acquire(&name, ask).await)
}

pub(super) async fn release(State(guest): State<Arc<Guest>>, Path(name): Path<String>, _body: Bytes) -> Response {
    let serving = or_refuse!(serving(&guest));
    answer(serving.leases.release(&name).await)
}

pub(super) async fn adopt(State(guest): State<Arc<Guest>>, Path(name): Path<String>, body: Bytes) -> Response {
    let ask: AdoptCounters = or_refuse!(read(&body));
    let serving = or_refuse!(serving(&guest));
    answer(serving.leases.adopt(&name, ask.sequence).await)
}

pub(super) async fn increment(State(guest): State<Arc<Guest>>, body: Bytes) -> Response {
    let ask: IncrementCounter = or_refuse!(read(&body));
    let serving = or_refuse!(serving(&guest));
    answer(serving.leases.increment(ask).await)
}

pub(super) async fn counters(State(guest): State<Arc<Guest>>, Path(lease): Path<String>) -> Response {
    let serving = or_refuse!(serving(&guest));
    answer(serving.leases.counters(&lease).await)
}
