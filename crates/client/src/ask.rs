//! Asking: verify the instance, seal the request to it, stream the answer, check the receipt, keep the proof.
//!
//! What is decided here is decided by `freehold_verify` and by the parts beside this file.

use std::time::Duration;

use bytes::Bytes;
use freehold_crypto::{parse_receipt, sha256, to_jcs, verify_receipt};
use freehold_primitives::{AppId, Digest, Event, Genesis, NetworkKey, Receipt, TrustDomain};
use freehold_rpc::{Endpoint, HttpClient, HttpError, HttpLimits, Inclusion, NodeClient, full_body};
use freehold_verify::{
    BodySection, ProofDocument, UpgradeDemand, Verdict, VerifiedInstance, VerifyOptions, records_after, verify_bundle,
};
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    chat::Message,
    error::AskError,
    exchange::{Exchange, SealedRequest},
    instance::{Judge, random_digest, unix_now},
    prove::{Answered, collect_proof},
    report::Report,
};

/// Longest wait for the anchor of a receipt, unless the caller chooses.
pub const ANCHOR_WAIT: Duration = Duration::from_secs(5);
/// Pause between two looks for an anchor.
const ANCHOR_POLL: Duration = Duration::from_millis(100);
/// Tries for a quote, and the pause between two.
const QUOTE_TRIES: u32 = 5;
const QUOTE_PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for the first piece of an answer: a long prompt on a slow machine.
const ANSWER_WAIT: Duration = Duration::from_secs(600);

/// Whom to ask, and what to trust.
#[derive(Debug, Clone)]
pub struct AskTarget {
    /// The app's HTTP API.
    pub api: Endpoint,
    /// A node's JSON-RPC.
    pub rpc: Endpoint,
    /// The network key.
    pub network_key: NetworkKey,
    /// The app that must answer; `None` accepts whichever app the instance is of, and the verdict names it.
    pub app_id: Option<AppId>,
}

/// How to ask.
#[derive(Debug, Clone)]
pub struct AskOptions {
    /// Model name; `None` takes the first that the app lists.
    pub model: Option<String>,
    /// Bound on new tokens.
    pub max_tokens: Option<u32>,
    /// Sampling temperature in thousandths; `None` leaves it to the app.
    pub temperature_milli: Option<u32>,
    /// Seed of the sampler.
    pub seed: Option<u64>,
    /// Longest wait for the receipt's anchor.
    pub anchor_wait: Duration,
    /// Whether the proof holds texts or their hashes.
    pub texts: Texts,
}

/// Whether a proof holds the texts of request and response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Texts {
    /// It holds them.
    Kept,
    /// It holds their hashes.
    Redacted,
}

impl Default for AskOptions {
    fn default() -> Self {
        Self {
            model: None,
            max_tokens: None,
            temperature_milli: None,
            seed: None,
            anchor_wait: ANCHOR_WAIT,
            texts: Texts::Kept,
        }
    }
}

/// What happens while asking, for whoever shows it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum AskEvent<'a> {
    /// The instance may be asked.
    InstanceVerified {
        /// The instance.
        instance: &'a VerifiedInstance,
        /// Trust domain of its evidence.
        trust_domain: TrustDomain,
    },
    /// The request is sealed and sent: this many bytes of ciphertext.
    RequestSealed {
        /// Bytes on the wire.
        bytes: usize,
    },
    /// A piece of the answer.
    Text(&'a str),
    /// The receipt is signed by the instance and names what was sent and received.
    ReceiptChecked {
        /// The receipt.
        receipt: &'a Receipt,
    },
    /// The receipt's place on the chain.
    Anchored {
        /// Height that anchored it; `None` when the wait was over first.
        height: Option<u64>,
    },
    /// The proof is complete and verified.
    Proven {
        /// What the proof gives.
        verdict: &'a Verdict,
    },
}

/// An answer with its proof.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// The proof bundle, one canonical file.
    pub proof: String,
    /// What it gives under the network key.
    pub verdict: Verdict,
    /// The receipt.
    pub receipt: Receipt,
    /// Bearer token that the receipt answers to: keep it to complete the proof later.
    pub token: String,
}

/// A person's side of conversations with one app.
#[derive(Debug, Clone)]
pub struct Asker {
    target: AskTarget,
    demand: UpgradeDemand,
    api: HttpClient,
    node: NodeClient,
}

impl Asker {
    /// Prepares to ask `target`. Nothing is sent yet.
    pub fn new(target: AskTarget) -> Self {
        let limits = HttpLimits { head: ANSWER_WAIT, pause: ANSWER_WAIT, ..HttpLimits::default() };
        let api = HttpClient::with_limits(target.api.clone(), limits);
        let node = NodeClient::new(target.rpc.clone());
        Self { target, demand: UpgradeDemand::default(), api, node }
    }

    /// Asks no app that does not keep to this.
    #[must_use]
    pub fn demanding(self, demand: UpgradeDemand) -> Self {
        Self { demand, ..self }
    }

    /// The node, for what needs no check.
    pub const fn node(&self) -> &NodeClient {
        &self.node
    }

    /// Asks once. `heard` hears of each step and each piece of the answer.
    ///
    /// # Errors
    /// Every [`AskError`]; nothing is sent to an instance that does not verify.
    pub async fn ask(
        &self,
        messages: &[Message],
        options: &AskOptions,
        heard: &mut (dyn FnMut(AskEvent<'_>) + Send),
    ) -> Result<Answer, AskError> {
        let genesis = self.node.genesis().await?;
        let mut instance = self.verify_instance(&genesis).await?;
        heard(AskEvent::InstanceVerified { instance: &instance, trust_domain: instance.trust_domain() });
        let body = self.request_body(messages, options).await?;
        let token = random_hex()?;
        let (exchange, receipt_id) = match self.exchange(&instance, &body, &token, heard).await {
            // The instance was replaced between verification and request; it never read what was sealed to the other.
            Err(AskError::OtherKey) => {
                instance = self.verify_instance(&genesis).await?;
                self.exchange(&instance, &body, &token, heard).await?
            }
            other => other?,
        };
        let receipt = self.receipt(&receipt_id, &token).await?;
        check_receipt(&receipt, &instance, &exchange)?;
        heard(AskEvent::ReceiptChecked { receipt: &receipt });
        let inclusion = self.inclusion(&receipt_id, &token, options.anchor_wait).await?;
        let anchor = inclusion.as_ref().and_then(|inclusion| inclusion.anchor);
        heard(AskEvent::Anchored { height: anchor.map(|anchor| anchor.height) });
        let answered = Answered {
            request: BodySection::Whole { body: exchange.request },
            response: BodySection::Whole { body: exchange.response },
            receipt: receipt.clone(),
            inclusion,
        };
        let mut document = collect_proof(&self.node, &genesis, answered, &self.demand.auditors).await?;
        if options.texts == Texts::Redacted {
            document = document.redacted();
        }
        let (proof, verdict) = self.judge(&document).await?;
        heard(AskEvent::Proven { verdict: &verdict });
        Ok(Answer { text: exchange.text, proof, verdict, receipt, token })
    }

    /// Makes a proof anew as of now: what was not anchored then may be anchored since. `token` is the answer's.
    ///
    /// # Errors
    /// Every [`AskError`] that is about receipt, node or document.
    pub async fn complete(&self, proof: &ProofDocument, token: &str) -> Result<(String, Verdict), AskError> {
        let genesis = self.node.genesis().await?;
        let receipt = proof.receipt.clone();
        if !is_token(&receipt.receipt_id) {
            return Err(AskError::NoReceipt);
        }
        let inclusion = self.inclusion(&receipt.receipt_id, token, ANCHOR_WAIT).await?;
        let (request, response) = (proof.request.clone(), proof.response.clone());
        let answered = Answered { request, response, receipt, inclusion };
        self.judge(&collect_proof(&self.node, &genesis, answered, &self.demand.auditors).await?).await
    }

    async fn judge(&self, document: &ProofDocument) -> Result<(String, Verdict), AskError> {
        let proof = document.to_text()?;
        let records = self.node.successions().await?;
        let mut options = VerifyOptions::new(self.target.network_key, unix_now());
        options.succession = records_after(&self.target.network_key, &records);
        let verdict = verify_bundle(&proof, &options)?;
        Ok((proof, verdict))
    }

    /// Fetches the instance's report for a fresh nonce and judges it under the certified chain.
    ///
    /// # Errors
    /// Every [`AskError`] that is about node, instance or chain.
    pub async fn verify_instance(&self, genesis: &Genesis) -> Result<VerifiedInstance, AskError> {
        let nonce = random_digest()?;
        let report = Report::read(self.report(&nonce).await?)?;
        let judge = Judge {
            node: &self.node,
            network_key: self.target.network_key,
            app_id: self.target.app_id,
            demand: &self.demand,
        };
        judge.verify(genesis, &report, &nonce).await
    }

    /// The instance's report; quotes are queued and rate-limited, so that a busy instance is asked again.
    async fn report(&self, nonce: &Digest) -> Result<Value, AskError> {
        let path = format!("/v1/aci/attestation?nonce={nonce}");
        let mut tries = 1;
        loop {
            match self.api.get_json(&path).await {
                Err(HttpError::Refused { status: StatusCode::TOO_MANY_REQUESTS, .. }) if tries < QUOTE_TRIES => {
                    tries += 1;
                    sleep(QUOTE_PAUSE).await;
                }
                other => return Ok(other?),
            }
        }
    }

    async fn request_body(&self, messages: &[Message], options: &AskOptions) -> Result<String, AskError> {
        let model = match &options.model {
            Some(model) => model.clone(),
            None => {
                let models: Value = self.api.get_json("/v1/models").await?;
                let first = models.pointer("/data/0/id").and_then(Value::as_str);
                first.ok_or(AskError::NoModel)?.to_owned()
            }
        };
        let mut body = json!({"messages": messages, "model": model, "stream": true});
        if let Some(max_tokens) = options.max_tokens {
            body["max_tokens"] = max_tokens.into();
        }
        if let Some(milli) = options.temperature_milli {
            body["temperature"] = (f64::from(milli) / 1000.0).into();
        }
        if let Some(seed) = options.seed {
            body["seed"] = seed.into();
        }
        Ok(body.to_string())
    }

    async fn exchange(
        &self,
        instance: &VerifiedInstance,
        body: &str,
        token: &str,
        heard: &mut (dyn FnMut(AskEvent<'_>) + Send),
    ) -> Result<(Exchange, String), AskError> {
        let sealed = {
            let mut rng = rand::rng();
            SealedRequest::seal(body.to_owned(), &instance.hpke_key(), &mut rng)?
        };
        let request = Request::post("/v1/chat/completions")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header("Ehbp-Encapsulated-Key", sealed.encapsulated_key_hex())
            .body(full_body(Bytes::copy_from_slice(sealed.wire())))
            .map_err(HttpError::from)?;
        heard(AskEvent::RequestSealed { bytes: sealed.wire().len() });
        let mut response = self.api.send(request).await?;
        let nonce = response.headers.get("Ehbp-Response-Nonce").and_then(|value| value.to_str().ok());
        if !response.status.is_success() && nonce.is_none() {
            if response.status == StatusCode::UNPROCESSABLE_ENTITY {
                return Err(AskError::OtherKey);
            }
            response.success().await?;
            return Err(AskError::NoReceipt);
        }
        let mut open = sealed.open(nonce)?;
        let status = response.status;
        let receipt_id = response.headers.get("X-Receipt-Id").and_then(|value| value.to_str().ok()).map(str::to_owned);
        while let Some(piece) = response.body.next().await? {
            let text = open.push(&piece)?;
            if !text.is_empty() {
                heard(AskEvent::Text(&text));
            }
        }
        if !status.is_success() {
            return Err(AskError::Refused { status: status.as_u16(), body: open.plain_text() });
        }
        let receipt_id = receipt_id.filter(|id| is_token(id)).ok_or(AskError::NoReceipt)?;
        Ok((open.finish()?, receipt_id))
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str, token: &str) -> Result<T, AskError> {
        let request = Request::get(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(full_body(Bytes::new()))
            .map_err(HttpError::from)?;
        Ok(self.api.send(request).await?.success().await?.json().await?)
    }

    async fn receipt(&self, receipt_id: &str, token: &str) -> Result<Receipt, AskError> {
        let value: Value = self.get(&format!("/v1/aci/receipts/{receipt_id}"), token).await?;
        let text = to_jcs(&value).map_err(|error| AskError::Receipt(error.into()))?;
        parse_receipt(&text).map_err(AskError::Receipt)
    }

    /// The receipt's place in the log, as soon as it is anchored or the wait is over.
    async fn inclusion(&self, receipt_id: &str, token: &str, wait: Duration) -> Result<Option<Inclusion>, AskError> {
        let end = Instant::now() + wait;
        loop {
            let inclusion: Inclusion =
                self.get(&format!("/v1/freehold/receipts/{receipt_id}/inclusion"), token).await?;
            if inclusion.anchor.is_some() {
                return Ok(Some(inclusion));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            sleep(ANCHOR_POLL).await;
        }
    }
}

/// The receipt is this instance's and names what was sent and received, in clear and on the wire.
fn check_receipt(receipt: &Receipt, instance: &VerifiedInstance, exchange: &Exchange) -> Result<(), AskError> {
    if receipt.workload_keyset_digest != format!("sha256:{}", instance.keyset_digest()) {
        return Err(AskError::OtherReceipt("keyset"));
    }
    verify_receipt(receipt, &instance.receipt_key()).map_err(AskError::Receipt)?;
    let named = |digest: Digest| format!("sha256:{digest}");
    let (request, response) = (sha256(exchange.request.as_bytes()), sha256(exchange.response.as_bytes()));
    for event in &receipt.event_log {
        let wrong = match event {
            Event::RequestReceived { body_hash } => (*body_hash != named(request)).then_some("request"),
            Event::ResponseReturned { body_hash } => (*body_hash != named(response)).then_some("response"),
            Event::Transport { encryption, .. } if encryption != "ehbp" => Some("encryption"),
            Event::Transport { request_hash: Some(hash), .. } if *hash != named(exchange.request_wire) => {
                Some("sealed request")
            }
            Event::Transport { response_hash: Some(hash), .. } if *hash != named(exchange.response_wire) => {
                Some("sealed response")
            }
            _ => None,
        };
        if let Some(what) = wrong {
            return Err(AskError::OtherReceipt(what));
        }
    }
    Ok(())
}

/// Text that may stand in a path: what ids are made of.
fn is_token(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// 32 random bytes in hex: a bearer token that is nobody else's.
fn random_hex() -> Result<String, AskError> {
    random_digest().map(|bytes| hex::encode(bytes.0))
}
