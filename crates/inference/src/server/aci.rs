//! What a client needs to check an answer: attestation, receipts, inclusion, the key for encryption, models, health.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use freehold_crypto::EHBP_KEYS_TYPE;
use freehold_primitives::{ACI_VERSION, Digest};
use freehold_rpc::{HttpError, InstanceInfo, QuoteAnswer};
use serde_json::{Value, json};

use super::{RETRY_AFTER_S, Service, error::ApiError, exchange::bearer};

/// Longest id of a receipt or completion, in bytes.
const ID_BYTES_MAX: usize = 128;

type Answer = Result<Response, ApiError>;

fn guest_fault(error: &HttpError) -> ApiError {
    match error {
        HttpError::Refused { status, .. } if status.as_u16() == 429 => ApiError::busy(RETRY_AFTER_S),
        _ => {
            tracing::warn!(%error, "the guest does not answer");
            ApiError::unavailable("The guest agent of this instance does not answer.")
        }
    }
}

/// `GET /v1/aci/attestation?nonce=`.
pub(super) async fn attestation(State(service): State<Arc<Service>>, RawQuery(query): RawQuery) -> Answer {
    let nonce = read_nonce(query.as_deref().unwrap_or(""))?;
    let instance = service.instance().await.map_err(|error| guest_fault(&error))?;
    let quote = service.local.quote(nonce).await.map_err(|error| guest_fault(&error))?;
    Ok(Json(report(&instance, &quote)).into_response())
}

/// The nonce of a query: none, or exactly 64 lower-case hex digits once.
fn read_nonce(query: &str) -> Result<Option<Digest>, ApiError> {
    let fault = || ApiError::invalid("nonce", "`nonce` must be 64 lower-case hex digits.");
    let mut found = None;
    for pair in query.split('&') {
        let Some(text) = pair.strip_prefix("nonce=") else {
            if pair == "nonce" {
                return Err(fault());
            }
            continue;
        };
        let plain = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !plain || found.is_some() {
            return Err(fault());
        }
        found = Some(text.parse::<Digest>().map_err(|_| fault())?);
    }
    Ok(found)
}

fn report(instance: &InstanceInfo, quote: &QuoteAnswer) -> Value {
    let report_data = quote.report_data.0.get(..32).map(hex::encode);
    let event_log = serde_json::to_string(&quote.event_log).unwrap_or_else(|_| "[]".to_owned());
    json!({
        "api_version": ACI_VERSION,
        "workload_keyset_digest": format!("sha256:{}", instance.keyset_digest),
        "attestation": {
            "tee_type": quote.tee_type,
            "workload_keyset": instance.keyset,
            "report_data": report_data,
            "source_provenance": {
                "repo_url": null, "repo_commit": null, "image_digest": null, "image_provenance": null,
            },
            "evidence": {
                "quote": quote.quote,
                "quote_report_data": quote.report_data,
                "event_log": event_log,
            },
        },
        "service_capabilities": {
            "supported_e2ee_versions": [],
            "serving": "direct",
            "freehold": {
                "body_encryption": ["ehbp"],
                "app_id": instance.app_id,
                "instance_id": instance.instance_id,
                "chain_id": instance.chain_id,
                "genesis_hash": instance.genesis_hash,
                "network_key": instance.network_key,
                "subject": instance.subject,
                "trust_domain": instance.trust_domain,
                "capabilities": instance.capabilities,
                "registered": instance.registered,
                "expires_at": instance.expires_at,
                "header": instance.header,
            },
        },
    })
}

/// The rule of D9 and ACI §7.6: a receipt with a credential answers to it alone, and to others as if it were not there.
fn check_access(headers: &HeaderMap, bound: Option<Digest>) -> Result<(), ApiError> {
    let Some(bound) = bound else { return Ok(()) };
    match bearer(headers) {
        None => Err(ApiError::unauthorized()),
        Some(found) if found == bound => Ok(()),
        Some(_) => Err(no_receipt()),
    }
}

fn no_receipt() -> ApiError {
    ApiError::not_found("No receipt has this id.")
}

fn check_id(id: &str) -> Result<(), ApiError> {
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if id.is_empty() || id.len() > ID_BYTES_MAX || !plain { Err(no_receipt()) } else { Ok(()) }
}

fn receipt_fault(error: &HttpError) -> ApiError {
    match error {
        HttpError::Refused { status, .. } if status.as_u16() == 404 => no_receipt(),
        _ => guest_fault(error),
    }
}

/// `GET /v1/aci/receipts/{id}`, by receipt id or completion id.
pub(super) async fn receipt(State(service): State<Arc<Service>>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    check_id(&id)?;
    let stored = service.local.receipt(&id).await.map_err(|error| receipt_fault(&error))?;
    check_access(&headers, stored.access)?;
    Ok(Json(stored.receipt).into_response())
}

/// `GET /v1/freehold/receipts/{id}/inclusion`, under the same rule.
pub(super) async fn inclusion(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    check_id(&id)?;
    let stored = service.local.receipt(&id).await.map_err(|error| receipt_fault(&error))?;
    check_access(&headers, stored.access)?;
    let inclusion = service.local.inclusion(&id).await.map_err(|error| receipt_fault(&error))?;
    Ok(Json(inclusion).into_response())
}

/// `GET /.well-known/hpke-keys`: one key configuration, without a length before it.
pub(super) async fn hpke_keys(State(service): State<Arc<Service>>) -> Answer {
    let config = service.local.hpke_config().await.map_err(|error| guest_fault(&error))?;
    Ok(([(header::CONTENT_TYPE, EHBP_KEYS_TYPE)], config.key_config.0).into_response())
}

/// `GET /v1/models`.
pub(super) async fn models(State(service): State<Arc<Service>>) -> Response {
    let identity = service.engine.identity();
    let model = json!({
        "id": identity.name,
        "object": "model",
        "created": service.started_unix_s,
        "owned_by": "freehold",
        "context_length": service.engine.context(),
        "freehold": {"weights_sha256": identity.weights_sha256, "quantisation": identity.quantisation},
    });
    Json(json!({"object": "list", "data": [model]})).into_response()
}

/// `GET /v1/models/{id}`.
pub(super) async fn model(State(service): State<Arc<Service>>, Path(id): Path<String>) -> Answer {
    let identity = service.engine.identity();
    if !id.eq_ignore_ascii_case(&identity.name) {
        return Err(ApiError::model_not_found(&id, &identity.name));
    }
    let model = json!({
        "id": identity.name, "object": "model", "created": service.started_unix_s, "owned_by": "freehold",
    });
    Ok(Json(model).into_response())
}

/// `GET /health`: 200 when the guest serves, else 503.
pub(super) async fn health(State(service): State<Arc<Service>>) -> Response {
    let model = &service.engine.identity().name;
    match service.local.health().await {
        Ok(health) => {
            let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, Json(json!({"ready": health.ready, "model": model, "guest": health}))).into_response()
        }
        Err(error) => {
            let body = json!({"ready": false, "model": model, "guest": null, "reason": error.to_string()});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

#[cfg(test)]
mod tests;
