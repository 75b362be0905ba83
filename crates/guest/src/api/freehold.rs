//! The paths that appd lacks: the instance, quotes, body encryption, receipts, health.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use freehold_crypto::{RequestOpener, key_config, report_data};
use freehold_primitives::BlockMoment;
use freehold_rpc::{
    AppendReceipt, BareHex, Base64Text, Capabilities, HeaderReference, Health, HpkeConfig, HpkeOpen, HpkeOpened,
    InstanceInfo, LocalErrorCode, QuoteAnswer, QuoteAsk,
};
use serde::de::DeserializeOwned;

use super::{json, or_refuse, refuse};
use crate::{
    agent::{Guest, Serving},
    config::StorageCare,
    evidence::QuoteError,
    keys::Identity,
    receipts::{AppendError, is_id},
    state::Stage,
};

/// The word of an instance whose state disk does not open.
const DISK_REFUSED: &str = "disk-refused";
/// Most chunks of one request body.
const CHUNKS_MAX: usize = 16 * 1024;

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Response> {
    serde_json::from_slice(body)
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest, error.to_string()))
}

fn not_serving(guest: &Guest) -> Response {
    let message = format!("the instance does not serve now: {}", guest.stage().as_str());
    refuse(StatusCode::SERVICE_UNAVAILABLE, LocalErrorCode::NotServing, message)
}

/// The instance's public face, unless it is not known yet or counts no more.
pub(super) fn identity(guest: &Guest) -> Result<&Identity, Response> {
    guest.identity().filter(|_| guest.stage() != Stage::Stopped).ok_or_else(|| not_serving(guest))
}

pub(super) fn serving(guest: &Guest) -> Result<&Serving, Response> {
    guest.serving().filter(|_| guest.stage() == Stage::Serving).ok_or_else(|| not_serving(guest))
}

pub(super) async fn instance(State(guest): State<Arc<Guest>>) -> Response {
    let identity = or_refuse!(identity(&guest));
    let settings = guest.settings();
    let life = guest.life();
    let Some(newest) = life.newest() else { return not_serving(&guest) };
    let hardware = settings.trust_domain != freehold_primitives::TrustDomain::Emulated;
    let keyset = serde_json::from_str(&identity.keyset.to_jcs());
    let info = InstanceInfo {
        app_id: settings.app_id,
        instance_id: identity.instance_id,
        chain_id: settings.chain.chain_id,
        genesis_hash: settings.chain.genesis_hash,
        network_key: settings.chain.network_key,
        keyset: keyset.expect("the keyset's canonical form is JSON"),
        keyset_digest: identity.keyset_digest,
        subject: identity.subject.clone().into(),
        trust_domain: settings.trust_domain.as_str().to_owned(),
        capabilities: Capabilities {
            tee: tee_type(guest.quotes().provider()).to_owned(),
            provider: guest.quotes().provider().to_owned(),
            isolation: settings.isolation.clone(),
            measured: !settings.event_log.is_empty(),
            encrypted_disk: settings.storage != StorageCare::Clear,
            hardware,
        },
        registered: life.lease().is_some(),
        expires_at: life.lease().map_or(0, |lease| lease.expires_at),
        header: reference(&newest),
    };
    json(StatusCode::OK, &info)
}

/// A header as the API shows it.
pub(super) const fn reference(moment: &BlockMoment) -> HeaderReference {
    HeaderReference { height: moment.height, block_hash: moment.block_hash, time_unix_s: moment.time_unix_s }
}

pub(super) async fn health(State(guest): State<Arc<Guest>>) -> Response {
    let (stage, stopped, expires_at) = {
        let life = guest.life();
        (life.stage(), life.stopped(), life.lease().map_or(0, |lease| lease.expires_at))
    };
    // Not of the life's stages: it waits for keys that it could use, which this disk keeps from it.
    let refusal = guest.disk().refusal().filter(|_| stage == Stage::WaitingForKeys);
    let head = guest.serving().map(|serving| serving.store.head());
    let health = Health {
        ready: stage == Stage::Serving,
        stage: if refusal.is_some() { DISK_REFUSED } else { stage.as_str() }.to_owned(),
        reason: stopped.map(|reason| reason.as_str().to_owned()).or(refusal).or_else(|| guest.trouble()),
        expires_at,
        receipts: head.map_or(0, |head| head.size),
        anchored: head.map_or(0, |head| head.anchored),
    };
    json(if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &health)
}

/// ACI's word for the TEE behind an evidence source.
fn tee_type(provider: &str) -> &'static str {
    if provider == "sev_guest" { "sev_snp" } else { "tdx" }
}

pub(super) async fn quote(State(guest): State<Arc<Guest>>, body: Bytes) -> Response {
    let ask: QuoteAsk = or_refuse!(read(&body));
    or_refuse!(serving(&guest));
    let identity = or_refuse!(identity(&guest));
    match guest.quotes().for_caller(identity.keyset_digest, ask.nonce).await {
        Ok(quote) => json(
            StatusCode::OK,
            &QuoteAnswer {
                quote: BareHex(quote.bytes.clone()),
                report_data: BareHex(report_data(&identity.keyset_digest, ask.nonce.as_ref()).to_vec()),
                tee_type: tee_type(guest.quotes().provider()).to_owned(),
                event_log: guest.settings().event_log.clone(),
            },
        ),
        Err(QuoteError::QueueFull) => {
            let message = QuoteError::QueueFull.to_string();
            let mut refusal = refuse(StatusCode::TOO_MANY_REQUESTS, LocalErrorCode::TooManyRequests, message);
            refusal.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            refusal
        }
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, LocalErrorCode::Internal, error.to_string()),
    }
}

pub(super) async fn hpke_config(State(guest): State<Arc<Guest>>) -> Response {
    or_refuse!(serving(&guest));
    let key_config = BareHex(key_config(&guest.keys().hpke.public()).to_vec());
    json(StatusCode::OK, &HpkeConfig { key_config })
}

pub(super) async fn hpke_open(State(guest): State<Arc<Guest>>, body: Bytes) -> Response {
    let ask: HpkeOpen = or_refuse!(read(&body));
    or_refuse!(serving(&guest));
    let Ok(enc) = <[u8; 32]>::try_from(ask.enc.0) else {
        return refuse(StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest, "`enc` has not 32 bytes");
    };
    if ask.chunks.len() > CHUNKS_MAX {
        return refuse(StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest, "too many chunks");
    }
    let opened = RequestOpener::new(&guest.keys().hpke, &enc).and_then(|mut opener| {
        let mut plaintext = Vec::new();
        for chunk in &ask.chunks {
            plaintext.extend_from_slice(&opener.open(&chunk.0)?);
        }
        Ok((plaintext, opener.exported_secret()))
    });
    match opened {
        Ok((plaintext, secret)) => {
            let exported_secret = BareHex(secret.as_bytes().to_vec());
            json(StatusCode::OK, &HpkeOpened { plaintext: Base64Text(plaintext), exported_secret })
        }
        Err(error) => refuse(StatusCode::UNPROCESSABLE_ENTITY, LocalErrorCode::DecryptionFailed, error.to_string()),
    }
}

pub(super) async fn append_receipt(State(guest): State<Arc<Guest>>, body: Bytes) -> Response {
    let ask: AppendReceipt = or_refuse!(read(&body));
    let serving = or_refuse!(serving(&guest));
    match serving.writer.append(ask).await {
        Ok(appended) => json(StatusCode::OK, &appended),
        Err(error) => {
            let (status, code) = match &error {
                AppendError::Refused(_) => (StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest),
                AppendError::Duplicate => (StatusCode::CONFLICT, LocalErrorCode::Duplicate),
                AppendError::NotServing => (StatusCode::SERVICE_UNAVAILABLE, LocalErrorCode::NotServing),
                AppendError::Log(_) | AppendError::Ended => {
                    (StatusCode::INTERNAL_SERVER_ERROR, LocalErrorCode::Internal)
                }
            };
            refuse(status, code, error.to_string())
        }
    }
}

fn unknown_receipt() -> Response {
    refuse(StatusCode::NOT_FOUND, LocalErrorCode::NotFound, "there is no receipt with this id")
}

pub(super) async fn receipt(State(guest): State<Arc<Guest>>, Path(id): Path<String>) -> Response {
    let serving = or_refuse!(serving(&guest));
    if !is_id(&id) {
        return unknown_receipt();
    }
    match serving.store.stored(&id) {
        Ok(Some(stored)) => json(StatusCode::OK, &stored),
        Ok(None) => unknown_receipt(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, LocalErrorCode::Internal, error.to_string()),
    }
}

pub(super) async fn inclusion(State(guest): State<Arc<Guest>>, Path(id): Path<String>) -> Response {
    let serving = or_refuse!(serving(&guest));
    if !is_id(&id) {
        return unknown_receipt();
    }
    match serving.store.inclusion(&id) {
        Ok(Some(inclusion)) => json(StatusCode::OK, &inclusion),
        Ok(None) => unknown_receipt(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, LocalErrorCode::Internal, error.to_string()),
    }
}
