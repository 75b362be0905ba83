//! One exchange as its receipt will tell it: hashes of what came and what leaves, in plain and as encrypted.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use freehold_crypto::{EhbpError, ExportedSecret, FrameReader, ResponseSealer};
use freehold_primitives::{Digest, Event, Sampling};
use freehold_rpc::{AppendReceipt, BareHex, Base64Text, HpkeOpen, HttpError, LocalClient};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use rand::Rng as _;

use super::{BODY_BYTES_MAX, BODY_WAIT, ENCRYPTION_OVERHEAD_MAX, STREAM_INTERVAL_TOKENS, error::ApiError};
use crate::{
    digest::{Running, sha256},
    engine::{ENGINE_BUILD, ENGINE_NAME, Engine},
};

/// Request header that says a body is encrypted.
pub(super) const ENCAPSULATED_KEY: &str = "ehbp-encapsulated-key";
/// Response header with the nonce of an encrypted body.
const RESPONSE_NONCE: &str = "ehbp-response-nonce";
/// Response header with the receipt's id.
const RECEIPT_ID: &str = "x-receipt-id";
/// Most chunks of an encrypted request.
const CHUNKS_MAX: usize = 4096;
/// The problem type on which clients fetch the key again and retry once.
const KEY_PROBLEM: &str = "urn:ietf:params:ehbp:error:key-config";

/// A refusal before there is anything to write a receipt about.
pub(super) enum Early {
    /// In OpenAI's shape.
    Api(ApiError),
    /// An encryption problem: status and problem type.
    Problem(StatusCode, &'static str, &'static str),
}

impl Early {
    pub(super) fn into_response(self) -> Response {
        match self {
            Self::Api(error) => axum::response::IntoResponse::into_response(error),
            Self::Problem(status, kind, title) => {
                let body = serde_json::json!({"type": kind, "title": title, "status": status.as_u16()}).to_string();
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = status;
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
                response
            }
        }
    }
}

/// What computed an answer, for the receipt.
pub(super) struct Work {
    pub(super) sampling: Sampling,
    pub(super) stream: TextTrail,
}

/// Running hashes over an answer's text.
#[derive(Default)]
pub(super) struct TextTrail {
    hash: Running,
    hashes: Vec<Digest>,
    tokens: u32,
}

impl TextTrail {
    pub(super) fn token(&mut self, text: &str) {
        self.rest(text);
        self.tokens += 1;
        if self.tokens.is_multiple_of(STREAM_INTERVAL_TOKENS) {
            self.hashes.push(self.hash.digest());
        }
    }

    pub(super) fn rest(&mut self, text: &str) {
        self.hash.update(text.as_bytes());
    }

    fn event(mut self) -> Event {
        self.hashes.push(self.hash.digest());
        Event::Stream { interval_tokens: STREAM_INTERVAL_TOKENS, hashes: self.hashes, tokens: self.tokens }
    }
}

/// An exchange whose request was read.
pub(super) struct Exchange {
    pub(super) receipt_id: String,
    pub(super) chat_id: Option<String>,
    pub(super) model: Option<String>,
    endpoint: &'static str,
    method: Method,
    access: Option<Digest>,
    request_hash: String,
    sealed_request_hash: Option<String>,
    sealer: Option<ResponseSealer>,
    plain: Running,
    sealed: Running,
}

/// Reads a request's body and decrypts it where it is encrypted.
pub(super) async fn receive(
    local: &LocalClient,
    endpoint: &'static str,
    request: axum::http::Request<Body>,
) -> Result<(Exchange, Vec<u8>), Early> {
    let (head, body) = request.into_parts();
    let encapsulated = encapsulated_key(&head.headers)?;
    let bound = BODY_BYTES_MAX + if encapsulated.is_some() { ENCRYPTION_OVERHEAD_MAX } else { 0 };
    let raw = read_body(body, bound).await.map_err(Early::Api)?;
    let (plaintext, sealed_request_hash, sealer) = match encapsulated {
        None => (raw.to_vec(), None, None),
        Some(enc) => {
            let (plaintext, secret) = open(local, &enc, &raw).await?;
            let sealer = ResponseSealer::new(&secret, &enc, &mut rand::rng());
            (plaintext, Some(tagged(&raw)), Some(sealer))
        }
    };
    if plaintext.len() > BODY_BYTES_MAX {
        return Err(Early::Api(ApiError::too_large(BODY_BYTES_MAX)));
    }
    let exchange = Exchange {
        receipt_id: random_id("rcpt-"),
        chat_id: None,
        model: None,
        endpoint,
        method: head.method,
        access: bearer(&head.headers),
        request_hash: tagged(&plaintext),
        sealed_request_hash,
        sealer,
        plain: Running::default(),
        sealed: Running::default(),
    };
    Ok((exchange, plaintext))
}

fn tagged(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

/// An id that nobody can guess: with it, receipts of requests without a token are read.
pub(super) fn random_id(prefix: &str) -> String {
    let mut bytes = [0_u8; 16];
    rand::rng().fill_bytes(&mut bytes);
    format!("{prefix}{}", hex::encode(bytes))
}

/// SHA-256 of a request's bearer token.
pub(super) fn bearer(headers: &HeaderMap) -> Option<Digest> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.trim_ascii().is_empty()).then(|| sha256(token.trim_ascii()))
}

fn encapsulated_key(headers: &HeaderMap) -> Result<Option<[u8; 32]>, Early> {
    let Some(value) = headers.get(ENCAPSULATED_KEY) else { return Ok(None) };
    let mut key = [0; 32];
    match hex::decode_to_slice(value.as_bytes(), &mut key) {
        Ok(()) => Ok(Some(key)),
        Err(_) => Err(malformed("the encapsulated key is not 32 bytes in hex")),
    }
}

const fn malformed(title: &'static str) -> Early {
    Early::Problem(StatusCode::BAD_REQUEST, "about:blank", title)
}

async fn read_body(body: Body, bound: usize) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_WAIT, Limited::new(body, bound).collect()).await {
        Err(_) => Err(ApiError::timeout()),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::too_large(BODY_BYTES_MAX)),
        Ok(Err(_)) => Err(ApiError::malformed("The request body broke off.")),
    }
}

async fn open(local: &LocalClient, enc: &[u8; 32], raw: &[u8]) -> Result<(Vec<u8>, ExportedSecret), Early> {
    let mut reader = FrameReader::new(BODY_BYTES_MAX + ENCRYPTION_OVERHEAD_MAX);
    let chunks = reader.push(raw).and_then(|chunks| reader.finish().map(|()| chunks));
    let chunks = chunks.map_err(|_: EhbpError| malformed("the encrypted body is not whole frames"))?;
    if chunks.is_empty() || chunks.len() > CHUNKS_MAX {
        return Err(malformed("the encrypted body has no frames, or too many"));
    }
    let ask = HpkeOpen { enc: BareHex(enc.to_vec()), chunks: chunks.into_iter().map(Base64Text).collect() };
    let opened = match local.hpke_open(&ask).await {
        Ok(opened) => opened,
        Err(HttpError::Refused { status, .. }) if status.as_u16() == 422 => {
            let title = "the body is not encrypted to this instance's key";
            return Err(Early::Problem(StatusCode::UNPROCESSABLE_ENTITY, KEY_PROBLEM, title));
        }
        Err(HttpError::Refused { status, .. }) if status.as_u16() == 400 => {
            return Err(malformed("the encrypted body is malformed"));
        }
        Err(error) => {
            tracing::warn!(%error, "the guest cannot open a body");
            return Err(Early::Problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "about:blank",
                "the body cannot be opened now",
            ));
        }
    };
    let secret: [u8; 32] = opened.exported_secret.0.as_slice().try_into().map_err(|_| {
        Early::Problem(StatusCode::INTERNAL_SERVER_ERROR, "about:blank", "the guest's answer is malformed")
    })?;
    Ok((opened.plaintext.0, ExportedSecret::from_bytes(&secret)))
}

impl Exchange {
    /// Counts bytes of the response and gives what goes over the wire for them.
    pub(super) fn emit(&mut self, plain: &[u8]) -> Result<Bytes, EhbpError> {
        self.plain.update(plain);
        let Some(sealer) = &mut self.sealer else { return Ok(Bytes::copy_from_slice(plain)) };
        let sealed = sealer.seal(plain)?;
        self.sealed.update(&sealed);
        Ok(sealed.into())
    }

    /// An empty response with the headers of this exchange.
    pub(super) fn response(&self, status: StatusCode, content_type: &'static str) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Ids and nonces are ASCII by construction; a header that is not would only be left out.
        if let Ok(id) = HeaderValue::from_str(&self.receipt_id) {
            headers.insert(RECEIPT_ID, id);
        }
        if let Some(sealer) = &self.sealer
            && let Ok(nonce) = HeaderValue::from_str(&hex::encode(sealer.nonce()))
        {
            headers.insert(RESPONSE_NONCE, nonce);
        }
        response
    }

    /// Puts the receipt into the guest's log; returns once it is durable.
    pub(super) async fn append(
        self,
        local: &LocalClient,
        engine: &Engine,
        work: Option<Work>,
    ) -> Result<(), HttpError> {
        let receipt = self.into_receipt(engine, work);
        local.append_receipt(&receipt).await.map(drop)
    }

    fn into_receipt(self, engine: &Engine, work: Option<Work>) -> AppendReceipt {
        let mut events = vec![Event::RequestReceived { body_hash: self.request_hash }];
        let mut stream = None;
        if let Some(work) = work {
            events.push(model_event(engine));
            events.push(engine_event(engine, work.sampling));
            stream = Some(work.stream.event());
        }
        let encrypted = self.sealer.is_some();
        events.push(Event::Transport {
            encryption: if encrypted { "ehbp" } else { "none" }.to_owned(),
            request_hash: self.sealed_request_hash,
            response_hash: encrypted.then(|| self.sealed.tagged()),
        });
        events.extend(stream);
        events.push(Event::ResponseReturned { body_hash: self.plain.tagged() });
        AppendReceipt {
            receipt_id: self.receipt_id,
            chat_id: self.chat_id,
            model: self.model,
            endpoint: self.endpoint.to_owned(),
            method: self.method.as_str().to_owned(),
            access: self.access,
            events,
        }
    }
}

fn model_event(engine: &Engine) -> Event {
    let identity = engine.identity();
    Event::Model {
        name: identity.name.clone(),
        weights_sha256: identity.weights_sha256,
        tokenizer_sha256: identity.tokenizer_sha256,
        template_sha256: identity.template_sha256,
        quantisation: identity.quantisation.clone(),
        converted_sha256: identity.converted_sha256,
    }
}

fn engine_event(engine: &Engine, sampling: Sampling) -> Event {
    Event::Engine {
        name: ENGINE_NAME.to_owned(),
        build: ENGINE_BUILD.to_owned(),
        kernel_tier: engine.tier().name().to_owned(),
        threads: engine.threads(),
        profile: engine.profile(&sampling).map(str::to_owned),
        sampling,
    }
}
