//! An instance's signed record of one exchange (ACI "aci/1" receipts with our events, `spec/receipt.md`).
//!
//! A receipt is JSON at the edges; its signing input is the RFC 8785 form without the member `signature`. Unknown members
//! and unknown events are refused here, because a proof may hold nothing that no link covers.

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, Height, UnixSeconds};

/// Version word of receipts and attestation reports.
pub const ACI_VERSION: &str = "aci/1";
/// Most events in a receipt.
pub const RECEIPT_EVENTS_MAX: usize = 32;
/// Largest receipt in its RFC 8785 form, in bytes.
pub const RECEIPT_BYTES_MAX: usize = 256 * 1024;

/// A receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// `aci/1`.
    pub api_version: String,
    /// Id of the receipt.
    pub receipt_id: String,
    /// Id of the completion, where the endpoint makes one.
    pub chat_id: Option<String>,
    /// Model as the request named it.
    pub model: Option<String>,
    /// `sha256:` and the digest of the keyset whose receipt key signs.
    pub workload_keyset_digest: String,
    /// Path of the endpoint.
    pub endpoint: String,
    /// HTTP method.
    pub method: String,
    /// When it was served by the instance's own clock; the chain's order is the proof.
    pub served_at: UnixSeconds,
    /// What happened, in order.
    pub event_log: Vec<Event>,
    /// Name of the signing key in the keyset.
    pub key_id: String,
    /// Ed25519 signature, 64 bytes in hex.
    pub signature: String,
}

/// One event of a receipt. Body hashes are `sha256:` and hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Event {
    /// The request body as the app read it (decrypted under EHBP).
    #[serde(rename = "request.received")]
    RequestReceived {
        /// Hash of the bytes.
        body_hash: String,
    },
    /// The response body as the app wrote it, framing and `[DONE]` included.
    #[serde(rename = "response.returned")]
    ResponseReturned {
        /// Hash of the bytes.
        body_hash: String,
    },
    /// Which model answered.
    #[serde(rename = "freehold.model")]
    Model {
        /// Name.
        name: String,
        /// SHA-256 of the weights file as published.
        weights_sha256: Digest,
        /// SHA-256 of the tokenizer's canonical form.
        tokenizer_sha256: Digest,
        /// SHA-256 of the chat template's text.
        template_sha256: Digest,
        /// Quantisation that the engine ran.
        quantisation: String,
        /// SHA-256 of the converted weights, where the engine re-quantised on import.
        converted_sha256: Option<Digest>,
    },
    /// What computed the answer.
    #[serde(rename = "freehold.engine")]
    Engine {
        /// Engine.
        name: String,
        /// Version or build.
        build: String,
        /// SIMD path.
        kernel_tier: String,
        /// Threads.
        threads: u32,
        /// Named profile under which re-execution gives the same bits; none is claimed where `None`.
        profile: Option<String>,
        /// Sampling parameters in integers.
        sampling: Sampling,
    },
    /// How the bodies travelled.
    #[serde(rename = "freehold.transport")]
    Transport {
        /// `ehbp` or `none`.
        encryption: String,
        /// Hash of the framed ciphertext of the request.
        request_hash: Option<String>,
        /// Hash of the framed ciphertext of the response.
        response_hash: Option<String>,
    },
    /// Running hashes of a streamed answer.
    #[serde(rename = "freehold.stream")]
    Stream {
        /// Tokens between two hashes.
        interval_tokens: u32,
        /// Running SHA-256 of the answer's text after each interval, and at its end.
        hashes: Vec<Digest>,
        /// Tokens in all.
        tokens: u32,
    },
    /// Where the receipt stands: written by the guest.
    #[serde(rename = "freehold.chain")]
    Chain {
        /// Height of the newest finalised header that the guest had seen.
        height: Height,
        /// Hash of that block.
        block_hash: Digest,
        /// Time of that header.
        time_unix_s: UnixSeconds,
        /// Position of the receipt in the instance's log, from 0.
        sequence: u64,
        /// Leaf hash of the receipt before; zero for the first.
        previous: Digest,
        /// The instance.
        instance: Digest,
    },
}

/// Sampling parameters, in integers so that the document has one form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Temperature in thousandths; 0 is greedy.
    pub temperature_milli: u32,
    /// Nucleus in thousandths.
    pub top_p_milli: u32,
    /// Candidates kept; 0 keeps all.
    pub top_k: u32,
    /// Seed of the sampler.
    pub seed: u64,
    /// Bound on new tokens.
    pub max_tokens: u32,
}
