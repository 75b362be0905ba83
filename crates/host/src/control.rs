//! The control channel of one guest (`spec/local-api.md` §4): the guest hands over signed registrations, the host pays.
//!
//! The host checks only what costs it money: that it is the provider named, and the sizes.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy_sol_types::SolCall as _;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use freehold_crypto::{slots::APPS, subject_digest};
use freehold_primitives::{Canonical as _, Digest, EVIDENCE_BYTES_MAX, REGISTRATION_BYTES_MAX, Registration};
use freehold_rpc::{
    BareHex, CONTROL_BODY_BYTES_MAX, Endorsement, EndorsementWanted, LocalError, LocalErrorBody, LocalErrorCode,
    NodeError, RegistrationSubmit, RegistrationSubmitted,
};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    abi::{IApps, explain},
    event::HostEvent,
    hardware::Hardware,
    ingress::Route,
    payer::{Call, EXECUTED_WAIT, Payer},
};

/// Longest wait for a deregistration to be taken in.
const DEREGISTER_WAIT: Duration = Duration::from_secs(2);

/// What the channel works with.
pub(crate) struct Control {
    /// The instance that the running guest registered.
    pub(crate) instance: Mutex<Option<Digest>>,
    /// File that names it, for the host that comes after this one.
    pub(crate) instance_file: PathBuf,
    pub(crate) provider: Arc<Payer>,
    pub(crate) node: freehold_rpc::NodeClient,
    pub(crate) allowance_wei: u128,
    pub(crate) events: mpsc::UnboundedSender<HostEvent>,
    /// The way in over TLS, where this machine has one.
    pub(crate) route: Option<Route>,
    /// What stands behind its evidence, where the machine is no emulated one.
    pub(crate) hardware: Option<Hardware>,
}

pub(crate) fn router(control: Arc<Control>) -> Router {
    Router::new()
        .route("/v1/registration", post(registration))
        .route("/v1/endorsement", post(endorsement))
        .layer(DefaultBodyLimit::max(CONTROL_BODY_BYTES_MAX))
        .with_state(control)
}

fn refuse(status: StatusCode, code: LocalErrorCode, message: impl Into<String>) -> Response {
    (status, Json(LocalErrorBody { error: LocalError { code, message: message.into() } })).into_response()
}

async fn registration(State(control): State<Arc<Control>>, body: Bytes) -> Response {
    let invalid = |message: &str| refuse(StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest, message);
    let submit: RegistrationSubmit = match serde_json::from_slice(&body) {
        Ok(submit) => submit,
        Err(error) => return invalid(&error.to_string()),
    };
    if submit.registration.0.len() > REGISTRATION_BYTES_MAX || submit.evidence.0.len() > EVIDENCE_BYTES_MAX {
        return invalid("registration or evidence is too long");
    }
    let Ok(document) = Registration::from_canonical(&submit.registration.0) else {
        return invalid("the registration is malformed");
    };
    if document.subject.provider != control.provider.account() {
        return invalid("the registration names another provider");
    }
    let instance_id = subject_digest(&document.subject);
    control.remember(instance_id);
    if let Err(reason) = backed(&control, &document, &submit.evidence.0).await {
        let _ = control.events.send(HostEvent::RegistrationRefused { instance_id, reason: reason.clone() });
        return refuse(StatusCode::BAD_GATEWAY, LocalErrorCode::Internal, reason);
    }
    match pay(&control, submit).await {
        Ok(tx_hash) => {
            let _ = control.events.send(HostEvent::RegistrationSubmitted { instance_id, tx_hash });
            tokio::spawn(report(control, instance_id, tx_hash));
            Json(RegistrationSubmitted { tx_hash }).into_response()
        }
        Err(error) => {
            let reason = explain(&error);
            let _ = control.events.send(HostEvent::RegistrationRefused { instance_id, reason: reason.clone() });
            refuse(StatusCode::BAD_GATEWAY, LocalErrorCode::Internal, reason)
        }
    }
}

/// Brings the collateral that judges the evidence, where it is the vendor's to give. It goes on where the guest waits no longer, so
/// that the next try finds it there.
async fn backed(control: &Arc<Control>, document: &Registration, evidence: &[u8]) -> Result<(), String> {
    if control.hardware.is_none() {
        return Ok(());
    }
    let (control, evidence) = (Arc::clone(control), evidence.to_vec());
    let stated = (document.evidence_kind, document.trust_domain, document.family);
    let work = tokio::spawn(async move {
        let Some(hardware) = &control.hardware else { return Ok(()) };
        hardware.backs(&evidence, stated, &control.events).await
    });
    match work.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("collateral was not brought: this host is stopping".to_owned()),
    }
}

/// The certificate of a report's key, from AMD.
async fn endorsement(State(control): State<Arc<Control>>, body: Bytes) -> Response {
    let wanted: EndorsementWanted = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, LocalErrorCode::InvalidRequest, error.to_string()),
    };
    let Some(hardware) = &control.hardware else {
        return refuse(StatusCode::NOT_FOUND, LocalErrorCode::NotFound, "this machine's evidence is emulated");
    };
    match hardware.bringer.lock().await.endorsement(&wanted.report.0).await {
        Ok(certificate) => Json(Endorsement { certificate: BareHex(certificate) }).into_response(),
        Err(error) => {
            let _ = control.events.send(HostEvent::Trouble { message: error.to_string() });
            refuse(StatusCode::BAD_GATEWAY, LocalErrorCode::Internal, error.to_string())
        }
    }
}

async fn pay(control: &Control, submit: RegistrationSubmit) -> Result<Digest, NodeError> {
    let balance = control.node.balance(&submit.account).await?;
    let mut low = [0; 16];
    low.copy_from_slice(&balance[16..]);
    let has = if balance[..16].iter().all(|&b| b == 0) { u128::from_be_bytes(low) } else { u128::MAX };
    // Topped up once half of it is spent.
    let value_wei = if has < control.allowance_wei / 2 { control.allowance_wei - has } else { 0 };
    let data = IApps::registerCall {
        registration: submit.registration.0.into(),
        evidence: submit.evidence.0.into(),
        signature: submit.signature.to_vec().into(),
    }
    .abi_encode();
    control.provider.send(Call { to: APPS, value_wei, gas_min: 0, data }).await.map(|(tx_hash, _)| tx_hash)
}

/// Tells how it went; the guest sees for itself.
async fn report(control: Arc<Control>, instance_id: Digest, tx_hash: Digest) {
    let event = match control.node.wait_for_receipt(&tx_hash, EXECUTED_WAIT).await {
        Ok(receipt) if receipt.status.0 == 1 => HostEvent::RegistrationExecuted {
            instance_id,
            height: receipt.block_number.0,
            gas_used: receipt.gas_used.0,
        },
        Ok(_) => HostEvent::RegistrationRefused { instance_id, reason: format!("transaction {tx_hash} was reverted") },
        Err(error) => HostEvent::RegistrationRefused { instance_id, reason: error.to_string() },
    };
    let _ = control.events.send(event);
}

impl Control {
    fn running(&self) -> MutexGuard<'_, Option<Digest>> {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the running instance, here and in the file.
    fn remember(&self, instance: Digest) {
        if self.running().replace(instance) == Some(instance) {
            return;
        }
        if let Some(route) = &self.route {
            route.instance(Some(instance));
        }
        if let Err(error) = fs::write(&self.instance_file, instance.to_string()) {
            tracing::warn!(%error, "the instance is not noted; if this host is killed, its lease runs to the end");
        }
    }

    /// Takes up what a host before this one left: an instance whose guest died with it.
    pub(crate) fn recall(&self) {
        let left = fs::read_to_string(&self.instance_file).ok().and_then(|text| text.trim().parse().ok());
        *self.running() = left;
    }

    /// Closes the registration of a guest that is no more, so that its successor may adopt its receipts at once.
    pub(crate) async fn deregister(&self) {
        let Some(instance) = self.running().take() else { return };
        if let Some(route) = &self.route {
            route.instance(None);
        }
        let _ = fs::remove_file(&self.instance_file);
        let data = IApps::deregisterCall { instance: instance.0.into() }.abi_encode();
        let sent =
            timeout(DEREGISTER_WAIT, self.provider.send(Call { to: APPS, value_wei: 0, gas_min: 0, data })).await;
        if let Ok(Err(error)) = sent {
            // It never stood on the chain, or was closed already; otherwise its lease ends by itself.
            tracing::debug!(error = explain(&error), %instance, "not deregistered");
        }
    }
}
