//! A client of the guest's local API, for apps.

use std::collections::BTreeMap;

use freehold_primitives::{AppId, Digest, Generation};
use http::Request;
use serde_json::json;

use crate::{
    endpoint::Endpoint,
    hexed::Base64Text,
    http_client::{HttpClient, HttpError, HttpLimits, full_body},
    local::{
        AppendReceipt, AppendedReceipt, GenerateKey, GenerateKeyOf, GeneratedKey, GeneratedKeyOf, Health, HpkeConfig,
        HpkeOpen, HpkeOpened, Inclusion, InstanceInfo, KeyGenerations, KeyKind, KeyScope, QuoteAnswer, QuoteAsk,
        StoredReceipt,
    },
    local_events::{EventStream, EventsAsk},
    local_fetch::{FetchAsk, Fetched},
    local_leases::{AcquireLease, AdoptCounters, CountersReport, IncrementCounter, IncrementedCounter, LeaseReport},
    local_peers::{OpenFromPeer, OpenedFromPeer, PeersReport, SealForPeer, SealedForPeer},
    local_settings::{Environment, SettingValue, SettingsReport},
};

/// A client of one guest. A refusal is [`HttpError::Refused`], whose body is a [`crate::LocalErrorBody`] on `/freehold`
/// paths and plain text on `/rofl` paths.
#[derive(Debug, Clone)]
pub struct LocalClient {
    http: HttpClient,
}

impl LocalClient {
    /// A client with the default bounds.
    pub fn new(endpoint: Endpoint) -> Self {
        Self::with_limits(endpoint, HttpLimits::default())
    }

    /// A client with bounds of the caller's.
    pub fn with_limits(endpoint: Endpoint, limits: HttpLimits) -> Self {
        Self { http: HttpClient::with_limits(endpoint, limits) }
    }

    /// `GET /rofl/v1/app/id`; `None` where the text is no app id.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn app_id(&self) -> Result<Option<AppId>, HttpError> {
        let request = Request::get("/rofl/v1/app/id").body(full_body(Vec::new()))?;
        let text = self.http.send(request).await?.success().await?.bytes().await?;
        Ok(std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()))
    }

    /// `POST /rofl/v1/keys/generate`.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn generate_key(&self, key_id: &str, kind: KeyKind) -> Result<GeneratedKey, HttpError> {
        self.http.post_json("/rofl/v1/keys/generate", &GenerateKey { key_id: key_id.to_owned(), kind }).await
    }

    /// `POST /freehold/v1/keys/generate`: a key under a generation of the root key, the newest where none is named.
    ///
    /// # Errors
    /// Any [`HttpError`]; 404 for a generation that is not held.
    pub async fn generate_key_of(
        &self,
        key_id: &str,
        kind: KeyKind,
        generation: Option<Generation>,
    ) -> Result<GeneratedKeyOf, HttpError> {
        let ask = GenerateKeyOf { key_id: key_id.to_owned(), kind, generation, scope: KeyScope::App };
        self.http.post_json("/freehold/v1/keys/generate", &ask).await
    }

    /// `POST /freehold/v1/keys/generate`: a key of a scope, under the newest generation of the root key.
    ///
    /// # Errors
    /// Any [`HttpError`]; 400 for the scope of a service on a socket that is no service's.
    pub async fn generate_key_in(
        &self,
        scope: KeyScope,
        key_id: &str,
        kind: KeyKind,
    ) -> Result<GeneratedKeyOf, HttpError> {
        let ask = GenerateKeyOf { key_id: key_id.to_owned(), kind, generation: None, scope };
        self.http.post_json("/freehold/v1/keys/generate", &ask).await
    }

    /// `GET /freehold/v1/keys/generations`: at once, or once there is one after `after`, or after a while.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn key_generations(&self, after: Option<Generation>) -> Result<KeyGenerations, HttpError> {
        let query = after.map(|after| format!("?after={after}")).unwrap_or_default();
        self.http.get_json(&format!("/freehold/v1/keys/generations{query}")).await
    }

    /// `GET /rofl/v1/metadata`.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn metadata(&self) -> Result<BTreeMap<String, String>, HttpError> {
        self.http.get_json("/rofl/v1/metadata").await
    }

    /// `GET /freehold/v1/instance`.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn instance(&self) -> Result<InstanceInfo, HttpError> {
        self.http.get_json("/freehold/v1/instance").await
    }

    /// `GET /freehold/v1/health`, whether ready or not.
    ///
    /// # Errors
    /// Any [`HttpError`] but [`HttpError::Refused`].
    pub async fn health(&self) -> Result<Health, HttpError> {
        let request = Request::get("/freehold/v1/health").body(full_body(Vec::new()))?;
        self.http.send(request).await?.json().await
    }

    /// `POST /freehold/v1/quote`.
    ///
    /// # Errors
    /// Any [`HttpError`]; [`HttpError::Refused`] with 429 when the queue is full.
    pub async fn quote(&self, nonce: Option<Digest>) -> Result<QuoteAnswer, HttpError> {
        self.http.post_json("/freehold/v1/quote", &QuoteAsk { nonce }).await
    }

    /// `GET /freehold/v1/hpke/config`.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn hpke_config(&self) -> Result<HpkeConfig, HttpError> {
        self.http.get_json("/freehold/v1/hpke/config").await
    }

    /// `POST /freehold/v1/hpke/open`.
    ///
    /// # Errors
    /// Any [`HttpError`]; [`HttpError::Refused`] with 422 where the body cannot be opened.
    pub async fn hpke_open(&self, ask: &HpkeOpen) -> Result<HpkeOpened, HttpError> {
        self.http.post_json("/freehold/v1/hpke/open", ask).await
    }

    /// `POST /freehold/v1/receipts/append`; returns once the receipt is durable.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn append_receipt(&self, receipt: &AppendReceipt) -> Result<AppendedReceipt, HttpError> {
        self.http.post_json("/freehold/v1/receipts/append", receipt).await
    }

    /// `GET /freehold/v1/receipts/{id}` of a receipt id or completion id.
    ///
    /// # Errors
    /// Any [`HttpError`]; [`HttpError::Refused`] with 404 where there is none.
    pub async fn receipt(&self, id: &str) -> Result<StoredReceipt, HttpError> {
        self.http.get_json(&format!("/freehold/v1/receipts/{id}")).await
    }

    /// `GET /freehold/v1/receipts/{id}/inclusion`.
    ///
    /// # Errors
    /// As [`Self::receipt`].
    pub async fn inclusion(&self, id: &str) -> Result<Inclusion, HttpError> {
        self.http.get_json(&format!("/freehold/v1/receipts/{id}/inclusion")).await
    }

    /// `POST /freehold/v1/leases/{name}/acquire`: takes a lease, or renews it; the guest renews it by itself from then on.
    ///
    /// # Errors
    /// Any [`HttpError`]; [`HttpError::Refused`] with 409 where another instance holds it.
    pub async fn acquire_lease(&self, name: &str, ask: AcquireLease) -> Result<LeaseReport, HttpError> {
        self.http.post_json(&format!("/freehold/v1/leases/{name}/acquire"), &ask).await
    }

    /// `POST /freehold/v1/leases/{name}/release`.
    ///
    /// # Errors
    /// Any [`HttpError`]; [`HttpError::Refused`] with 409 where this instance does not hold it.
    pub async fn release_lease(&self, name: &str) -> Result<LeaseReport, HttpError> {
        self.http.post_json(&format!("/freehold/v1/leases/{name}/release"), &json!({})).await
    }

    /// `POST /freehold/v1/leases/{name}/adopt`: the app's data are those of this batch.
    ///
    /// # Errors
    /// Any [`HttpError`]; [`HttpError::Refused`] with 409 where it is not the newest batch, or the lease is not held.
    pub async fn adopt_counters(&self, name: &str, sequence: u64) -> Result<LeaseReport, HttpError> {
        self.http.post_json(&format!("/freehold/v1/leases/{name}/adopt"), &AdoptCounters { sequence }).await
    }

    /// `GET /freehold/v1/leases/{name}`.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn lease(&self, name: &str) -> Result<LeaseReport, HttpError> {
        self.http.get_json(&format!("/freehold/v1/leases/{name}")).await
    }

    /// `POST /freehold/v1/counters/increment`; returns once the new value stands under a certificate.
    ///
    /// # Errors
    /// Any [`HttpError`]; [`HttpError::Refused`] with 409 where the lease is lost or the disk was rolled back.
    pub async fn increment(&self, ask: &IncrementCounter) -> Result<IncrementedCounter, HttpError> {
        self.http.post_json("/freehold/v1/counters/increment", ask).await
    }

    /// `GET /freehold/v1/counters/{lease}`.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn counters(&self, lease: &str) -> Result<CountersReport, HttpError> {
        self.http.get_json(&format!("/freehold/v1/counters/{lease}")).await
    }

    /// `POST /freehold/v1/fetch`: fetches over HTTPS and signs what came.
    ///
    /// # Errors
    /// Any [`HttpError`]; [`HttpError::Refused`] with 403 where the app may not reach the host, 502 and 504 where the
    /// exchange failed.
    pub async fn fetch(&self, ask: &FetchAsk) -> Result<Fetched, HttpError> {
        self.http.post_json("/freehold/v1/fetch", ask).await
    }

    /// `GET /freehold/v1/settings`: what the owner set; at once, or once there is a set after `after`, or after a while.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn settings(&self, after: Option<u64>) -> Result<SettingsReport, HttpError> {
        let query = after.map(|after| format!("?after={after}")).unwrap_or_default();
        self.http.get_json(&format!("/freehold/v1/settings{query}")).await
    }

    /// `POST /freehold/v1/reload`: looks at the chain now.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn reload_settings(&self) -> Result<SettingsReport, HttpError> {
        self.http.post_json("/freehold/v1/reload", &json!({})).await
    }

    /// `GET /freehold/v1/settings/{name}`: one value.
    ///
    /// # Errors
    /// Any [`HttpError`]; [`HttpError::Refused`] with 404 where there is none, with 422 where it does not open.
    pub async fn setting(&self, name: &str) -> Result<SettingValue, HttpError> {
        self.http.get_json(&format!("/freehold/v1/settings/{name}")).await
    }

    /// `GET /freehold/v1/environment`: what the owner set, as environment variables.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn environment(&self) -> Result<Environment, HttpError> {
        self.http.get_json("/freehold/v1/environment").await
    }

    /// `GET /freehold/v1/events`: verified events, from a height on and as they come, until the stream is dropped.
    ///
    /// # Errors
    /// Any [`HttpError`]; [`HttpError::Refused`] with 429 where too many listen.
    pub async fn events(&self, ask: &EventsAsk) -> Result<EventStream, HttpError> {
        // A subscription is no body with an end.
        let limits = HttpLimits { body_bytes_max: usize::MAX, ..HttpLimits::default() };
        let http = HttpClient::with_limits(self.http.endpoint().clone(), limits);
        let request = Request::get(ask.path()).body(full_body(Vec::new()))?;
        Ok(EventStream::new(http.send(request).await?.success().await?.body))
    }

    /// `GET /freehold/v1/peers`: the other live instances of the app.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn peers(&self) -> Result<PeersReport, HttpError> {
        self.http.get_json("/freehold/v1/peers").await
    }

    /// `POST /freehold/v1/peers/{id}/seal`: a message for one peer.
    ///
    /// # Errors
    /// Any [`HttpError`]; [`HttpError::Refused`] with 409 where it is no live instance of the app.
    pub async fn seal_for_peer(&self, peer: &Digest, plaintext: &[u8]) -> Result<SealedForPeer, HttpError> {
        let ask = SealForPeer { plaintext: Base64Text(plaintext.to_vec()) };
        self.http.post_json(&format!("/freehold/v1/peers/{peer}/seal"), &ask).await
    }

    /// `POST /freehold/v1/peers/open`: a message of a peer, once.
    ///
    /// # Errors
    /// Any [`HttpError`]; [`HttpError::Refused`] with 409 for a replay or a peer that is not live, with 422 for what no peer
    /// sealed for this instance.
    pub async fn open_from_peer(&self, envelope: &Base64Text) -> Result<OpenedFromPeer, HttpError> {
        self.http.post_json("/freehold/v1/peers/open", &OpenFromPeer { envelope: envelope.clone() }).await
    }

    /// `POST /rofl/v1/metadata`: replaces all pairs.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn set_metadata(&self, pairs: &BTreeMap<String, String>) -> Result<(), HttpError> {
        let request = Request::post("/rofl/v1/metadata")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(full_body(json!(pairs).to_string()))?;
        self.http.send(request).await?.success().await.map(drop)
    }
}
