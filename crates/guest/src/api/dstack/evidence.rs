//! Quotes, events, and what the instance says of itself.

use axum::{extract::State, response::Response};
use freehold_attestation::tdx::UnverifiedTdx;
use freehold_crypto::sha256;
use freehold_primitives::{Canonical as _, EvidenceBundle, EvidenceKind, Register, TdxMeasurement};
use freehold_rpc::{
    BareHex, DstackAttested, DstackEmitEvent, DstackHashedQuote, DstackInfo, DstackQuote, DstackReportData,
    DstackTcbInfo, DstackTdxQuote, EventLogEntry,
};
use serde_json::{Value, json};

use super::{Body, GuestState, Ready, answer, read};
use crate::{
    agent::Guest,
    dstack::{DstackError, HASH_PREFIX, TlsAuthority, container, hashed_report_data, padded_report_data, short_id},
    evidence::TakenEvidence,
};

/// Name of the event that measures the app.
const APP_EVENT: &str = "freehold-app";

impl Ready<'_> {
    /// A quote of the TD over report data that was checked.
    pub(in super::super) async fn tdx_quote(&self, report_data: [u8; 64]) -> Result<Vec<u8>, DstackError> {
        tdx_of(&*self.guest.quotes().for_app(report_data).await?)
    }

    /// The guest's events and the app's.
    fn event_log(&self) -> Vec<EventLogEntry> {
        [self.guest.settings().event_log.as_slice(), self.guest.emitted().events()].concat()
    }

    /// What is said of the machine; with a quote, the signature that binds the emitted events to it.
    fn machine(&self, report_data: Option<&[u8; 64]>) -> Value {
        let Self { guest, identity, .. } = self;
        let emitted = guest.emitted();
        let signature = report_data.map(|data| hex::encode(emitted.sign(&guest.keys().receipt, data)));
        json!({"freehold": {
            "chain_id": guest.settings().chain.chain_id,
            "genesis_hash": guest.settings().chain.genesis_hash,
            "app_id": guest.settings().app_id,
            "instance_id": identity.instance_id,
            "keyset_digest": identity.keyset_digest,
            "event_register": emitted.register(),
            "event_signature": signature,
        }})
    }
}

/// The quote inside the evidence: GPUs stand beside it.
fn tdx_of(evidence: &TakenEvidence) -> Result<Vec<u8>, DstackError> {
    match evidence.kind {
        EvidenceKind::Tdx => Ok(evidence.bytes.clone()),
        EvidenceKind::Bundle => {
            let bundle = EvidenceBundle::from_canonical(&evidence.bytes).map_err(|_| DstackError::Unreadable)?;
            match bundle.primary_kind {
                EvidenceKind::Tdx => Ok(bundle.primary.0),
                other => Err(DstackError::NotTdx(other.as_str())),
            }
        }
        other => Err(DstackError::NotTdx(other.as_str())),
    }
}

pub(in super::super) async fn get_quote(State(guest): GuestState, body: Body) -> Response {
    answer(quote_of(&guest, &body).await)
}

async fn quote_of(guest: &Guest, body: &[u8]) -> Result<DstackQuote, DstackError> {
    let ask: DstackReportData = read(body)?;
    let ready = Ready::of(guest)?;
    let report_data = padded_report_data(&ask.report_data.0)?;
    let quote = ready.tdx_quote(report_data).await?;
    Ok(DstackQuote {
        quote: BareHex(quote),
        event_log: serde_json::to_string(&ready.event_log())?,
        report_data: BareHex(report_data.to_vec()),
        vm_config: ready.machine(Some(&report_data)).to_string(),
    })
}

pub(in super::super) async fn tdx_quote(State(guest): GuestState, body: Body) -> Response {
    answer(hashed_quote_of(&guest, &body).await)
}

async fn hashed_quote_of(guest: &Guest, body: &[u8]) -> Result<DstackHashedQuote, DstackError> {
    let ask: DstackTdxQuote = read(body)?;
    let ready = Ready::of(guest)?;
    let report_data = hashed_report_data(&ask.report_data.0, &ask.hash_algorithm)?;
    let quote = ready.tdx_quote(report_data).await?;
    let is_raw = ask.hash_algorithm == "raw";
    Ok(DstackHashedQuote {
        quote: BareHex(quote),
        event_log: serde_json::to_string(&ready.event_log())?,
        prefix: if is_raw { String::new() } else { HASH_PREFIX.to_owned() },
        hash_algorithm: if ask.hash_algorithm.is_empty() { "sha512".to_owned() } else { ask.hash_algorithm },
    })
}

pub(in super::super) async fn attest(State(guest): GuestState, body: Body) -> Response {
    answer(attested(&guest, &body).await)
}

async fn attested(guest: &Guest, body: &[u8]) -> Result<DstackAttested, DstackError> {
    let ask: DstackReportData = read(body)?;
    let ready = Ready::of(guest)?;
    let report_data = padded_report_data(&ask.report_data.0)?;
    let quote = ready.tdx_quote(report_data).await?;
    let machine = ready.machine(Some(&report_data)).to_string();
    Ok(DstackAttested { attestation: BareHex(container(&quote, &guest.settings().event_log, &report_data, &machine)) })
}

pub(in super::super) async fn emit_event(State(guest): GuestState, body: Body) -> Response {
    let make = || {
        let ask: DstackEmitEvent = read(&body)?;
        Ready::of(&guest)?.guest.emitted().emit(ask.event, ask.payload.0)?;
        Ok(json!({}))
    };
    answer(make())
}

pub(in super::super) async fn info(State(guest): GuestState, _body: Body) -> Response {
    answer(info_of(&guest).await)
}

async fn info_of(guest: &Guest) -> Result<DstackInfo, DstackError> {
    let ready = Ready::of(guest)?;
    let evidence = guest.quotes().for_caller(ready.identity.keyset_digest, None).await?;
    let registers = match tdx_of(&evidence) {
        Ok(quote) => {
            let quote = UnverifiedTdx::read(&quote).map_err(|_| DstackError::Unreadable)?;
            let TdxMeasurement { mrtd, rtmr0, rtmr1, rtmr2, rtmr3 } = quote.measurement().clone();
            [Some(mrtd), rtmr0, rtmr1, rtmr2, rtmr3]
        }
        Err(DstackError::NotTdx(_)) => [const { None }; 5],
        Err(error) => return Err(error),
    };
    let [mrtd, rtmr0, rtmr1, rtmr2, rtmr3] =
        registers.map(|register: Option<Register>| BareHex(register.map_or_else(Vec::new, |value| value.0.to_vec())));
    let all = [&mrtd, &rtmr0, &rtmr1, &rtmr2, &rtmr3].map(|register| register.0.as_slice()).concat();
    let mr_aggregated = BareHex(sha256(&all).0.to_vec());
    let settings = guest.settings();
    let measured = settings.event_log.iter().find(|event| event.event == APP_EVENT);
    let payload = measured.and_then(|event| hex::decode(&event.event_payload).ok());
    let compose_hash = BareHex(payload.map_or_else(Vec::new, |payload| sha256(&payload).0.to_vec()));
    let none = BareHex(Vec::new());
    let tcb_info = DstackTcbInfo {
        mrtd,
        rtmr0,
        rtmr1,
        rtmr2,
        rtmr3,
        mr_aggregated: mr_aggregated.clone(),
        os_image_hash: none.clone(),
        compose_hash: compose_hash.clone(),
        device_id: none.clone(),
        app_compose: String::new(),
        event_log: ready.event_log(),
    };
    let authority = TlsAuthority::new(&ready.root()?.secret, &settings.app_id.to_string())?;
    let master = settings.genesis.derivation_polynomial.first();
    Ok(DstackInfo {
        app_id: BareHex(short_id(&settings.app_id).to_vec()),
        instance_id: BareHex(ready.identity.instance_id.0.to_vec()),
        app_cert: authority.pem(),
        tcb_info: serde_json::to_string(&tcb_info)?,
        app_name: settings.app_id.to_string(),
        device_id: none.clone(),
        mr_aggregated,
        os_image_hash: none,
        key_provider_info: json!({"name": "freehold", "id": master}).to_string(),
        compose_hash,
        vm_config: ready.machine(None).to_string(),
        cloud_vendor: String::new(),
        cloud_product: String::new(),
    })
}
