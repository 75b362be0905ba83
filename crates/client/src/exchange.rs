//! One sealed exchange, without a network: a request goes in and sealed bytes come out, pieces of the sealed response
//! go in and the answer's text comes out (EHBP, `spec/encoding.md` §7; OpenAI's server-sent events).
//!
//! Everything received is kept, because the receipt names its hash, up to a bound. The end of an encrypted stream is not
//! authenticated by EHBP; `[DONE]` and the receipt's hash are what shows a cut.

use freehold_crypto::{EhbpError, ExportedSecret, FRAME_BYTES_MAX, FrameReader, RequestSealer, ResponseOpener, sha256};
use freehold_primitives::{Digest, X25519Key};
use rand::rand_core::CryptoRng;
use serde_json::Value;
use thiserror::Error;

/// Largest answer, in bytes of plaintext or of ciphertext.
pub const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// Encryption or framing.
    #[error("the sealed exchange broke: {0}")]
    Ehbp(#[from] EhbpError),
    /// The request is too long.
    #[error("a request of {0} bytes is above the bound of {REQUEST_BYTES_MAX}: ask for less, or start a new chat")]
    RequestTooLong(usize),
    /// The response has no nonce, so it was not encrypted to this request.
    #[error("the answer was not encrypted to this request")]
    NotSealed,
    /// The response is too long.
    #[error("the answer is above the bound of {RESPONSE_BYTES_MAX} bytes")]
    ResponseTooLong,
    /// The answer is not UTF-8.
    #[error("the answer is not text")]
    Utf8,
    /// The stream ended before `[DONE]`.
    #[error("the answer was cut before its end")]
    Cut,
}

/// A request, sealed: what goes on the wire.
pub struct SealedRequest {
    body: String,
    wire: Vec<u8>,
    encapsulated_key: [u8; 32],
    secret: ExportedSecret,
}

impl SealedRequest {
    /// Seals a request body to an instance's key.
    ///
    /// # Errors
    /// [`ExchangeError::RequestTooLong`], [`ExchangeError::Ehbp`].
    pub fn seal(body: String, key: &X25519Key, rng: &mut impl CryptoRng) -> Result<Self, ExchangeError> {
        if body.len() > REQUEST_BYTES_MAX {
            return Err(ExchangeError::RequestTooLong(body.len()));
        }
        let mut sealer = RequestSealer::new(key, rng)?;
        let wire = sealer.seal(body.as_bytes())?;
        Ok(Self { body, wire, encapsulated_key: *sealer.encapsulated_key(), secret: sealer.exported_secret() })
    }

    /// The framed ciphertext.
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Value of the header `Ehbp-Encapsulated-Key`.
    pub fn encapsulated_key_hex(&self) -> String {
        hex::encode(self.encapsulated_key)
    }

    /// Opens the response whose header `Ehbp-Response-Nonce` is `nonce`.
    ///
    /// # Errors
    /// [`ExchangeError::NotSealed`] where it is missing or no 32 bytes of hex.
    pub fn open(self, nonce: Option<&str>) -> Result<OpenResponse, ExchangeError> {
        let mut bytes = [0; 32];
        let decoded = nonce.map(|nonce| hex::decode_to_slice(nonce, &mut bytes));
        if !matches!(decoded, Some(Ok(()))) {
            return Err(ExchangeError::NotSealed);
        }
        let request_wire = sha256(&self.wire);
        Ok(OpenResponse {
            request: self.body,
            request_wire,
            opener: ResponseOpener::new(&self.secret, &self.encapsulated_key, &bytes),
            frames: FrameReader::new(FRAME_BYTES_MAX),
            wire: Vec::new(),
            plain: Vec::new(),
            events: EventReader::default(),
        })
    }
}

/// A response that is being received.
pub struct OpenResponse {
    request: String,
    request_wire: Digest,
    opener: ResponseOpener,
    frames: FrameReader,
    wire: Vec<u8>,
    plain: Vec<u8>,
    events: EventReader,
}

/// An exchange that ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Request body.
    pub request: String,
    /// Response body, framing of the events included.
    pub response: String,
    /// The answer's text.
    pub text: String,
    /// SHA-256 of the framed ciphertext of the request.
    pub request_wire: Digest,
    /// SHA-256 of the framed ciphertext of the response.
    pub response_wire: Digest,
}

impl OpenResponse {
    /// Takes a piece from the wire and gives the text that it completes, often none.
    ///
    /// # Errors
    /// [`ExchangeError::Ehbp`], [`ExchangeError::ResponseTooLong`].
    pub fn push(&mut self, piece: &[u8]) -> Result<String, ExchangeError> {
        if self.wire.len().saturating_add(piece.len()) > RESPONSE_BYTES_MAX {
            return Err(ExchangeError::ResponseTooLong);
        }
        self.wire.extend_from_slice(piece);
        let mut text = String::new();
        for frame in self.frames.push(piece)? {
            let plain = self.opener.open(&frame)?;
            text.push_str(&self.events.push(&plain));
            self.plain.extend_from_slice(&plain);
        }
        Ok(text)
    }

    /// What was opened so far, as text: the body of a refusal.
    pub fn plain_text(&self) -> String {
        String::from_utf8_lossy(&self.plain).into_owned()
    }

    /// Ends the exchange.
    ///
    /// # Errors
    /// [`ExchangeError::Ehbp`] inside a frame, [`ExchangeError::Cut`] before `[DONE]`, [`ExchangeError::Utf8`].
    pub fn finish(self) -> Result<Exchange, ExchangeError> {
        self.frames.finish()?;
        if !self.events.done {
            return Err(ExchangeError::Cut);
        }
        Ok(Exchange {
            request: self.request,
            response: String::from_utf8(self.plain).map_err(|_| ExchangeError::Utf8)?,
            text: self.events.text,
            request_wire: self.request_wire,
            response_wire: sha256(&self.wire),
        })
    }
}

/// Reads server-sent events of a chat completion: the text of each delta, and `[DONE]`.
#[derive(Debug, Default)]
struct EventReader {
    line: Vec<u8>,
    text: String,
    done: bool,
}

impl EventReader {
    fn push(&mut self, bytes: &[u8]) -> String {
        let mut fresh = String::new();
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            let data = data.trim_ascii();
            if data == b"[DONE]" {
                self.done = true;
                continue;
            }
            // What is no delta of text (a role, a usage report) adds nothing.
            let Ok(chunk) = serde_json::from_slice::<Value>(data) else { continue };
            if let Some(content) = chunk.pointer("/choices/0/delta/content").and_then(Value::as_str) {
                fresh.push_str(content);
            }
        }
        self.text.push_str(&fresh);
        fresh
    }
}
