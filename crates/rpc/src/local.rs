//! Types of the guest's local API (`spec/local-api.md`). All hex is without `0x`.
//!
//! Whoever holds the socket is the app: there is no authentication beyond it. No secret key of the instance is in any of
//! these types; what is secret here is what the app asked for by name (its own derived keys, a body it may read).

use freehold_primitives::{
    Account, AppId, Digest, Event, G1Point, Generation, Height, NetworkKey, Receipt, SubjectBody, UnixSeconds,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hexed::{BareHex, Base64Text};

/// Largest body that the local API reads, in bytes.
pub const LOCAL_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Kind of a generated key (appd).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    /// 32 bytes.
    #[serde(rename = "raw-256")]
    Raw256,
    /// 48 bytes.
    #[serde(rename = "raw-384")]
    Raw384,
    /// An Ed25519 seed.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// A secp256k1 secret key.
    #[serde(rename = "secp256k1")]
    Secp256k1,
}

/// `POST /rofl/v1/keys/generate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerateKey {
    /// Name of the key.
    pub key_id: String,
    /// Kind.
    pub kind: KeyKind,
}

/// Answer to [`GenerateKey`]. No `Debug`: the key is secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct GeneratedKey {
    /// The key in hex.
    pub key: String,
}

/// Body of `POST /freehold/v1/keys/generate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerateKeyOf {
    /// Name of the key.
    pub key_id: String,
    /// Kind.
    pub kind: KeyKind,
    /// Generation of the root key that it hangs on; the newest where none is named.
    #[serde(default)]
    pub generation: Option<Generation>,
    /// Who gets the same key.
    #[serde(default)]
    pub scope: KeyScope,
}

/// Who gets the same key of a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyScope {
    /// Every instance of the app, and all that holds a socket of one.
    #[default]
    App,
    /// Every instance of the app that the same provider runs.
    Provider,
    /// This instance alone, until it ends.
    Instance,
    /// The service of the app whose socket is asked, in every instance.
    Service,
}

impl KeyScope {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::App, Self::Provider, Self::Instance, Self::Service];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Provider => "provider",
            Self::Instance => "instance",
            Self::Service => "service",
        }
    }
}

/// Answer to [`GenerateKeyOf`]. No `Debug`: the key is secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct GeneratedKeyOf {
    /// The key in hex.
    pub key: String,
    /// The generation that it hangs on.
    pub generation: Generation,
}

/// Answer of `GET /freehold/v1/keys/generations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyGenerations {
    /// Newest generation: new data is written under it.
    pub newest: Generation,
    /// The one before, while data under it can still be read.
    pub previous: Option<Generation>,
    /// Until when that is, in seconds since the Unix epoch.
    pub previous_until: UnixSeconds,
}

/// Fields of a subject body (`spec/keyset.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectJson {
    /// Chain id.
    pub chain_id: u64,
    /// Digest of the genesis.
    pub genesis_hash: Digest,
    /// App.
    pub app_id: AppId,
    /// Provider.
    pub provider: Account,
    /// The instance's own account.
    pub account: Account,
    /// Key to which key shares are encrypted.
    pub transport_key: G1Point,
    /// Digest of the guest's configuration.
    pub config_digest: Digest,
}

impl From<SubjectBody> for SubjectJson {
    fn from(body: SubjectBody) -> Self {
        let SubjectBody { chain_id, genesis_hash, app_id, provider, account, transport_key, config_digest } = body;
        Self { chain_id, genesis_hash, app_id, provider, account, transport_key, config_digest }
    }
}

impl From<SubjectJson> for SubjectBody {
    fn from(json: SubjectJson) -> Self {
        let SubjectJson { chain_id, genesis_hash, app_id, provider, account, transport_key, config_digest } = json;
        Self { chain_id, genesis_hash, app_id, provider, account, transport_key, config_digest }
    }
}

/// What protects an instance, as data: "insecure" is machine-readable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Kind of TEE: `tdx`.
    pub tee: String,
    /// Provider of the evidence, such as `emulator` or `tdx_guest`.
    pub provider: String,
    /// What keeps the app's process apart: `bubblewrap` or `none`.
    pub isolation: String,
    /// Whether the app's files are part of the measurement.
    pub measured: bool,
    /// Whether what the guest keeps on disk is encrypted.
    pub encrypted_disk: bool,
    /// Whether the evidence comes from real hardware.
    pub hardware: bool,
}

/// A finalised header by height, hash and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderReference {
    /// Height.
    pub height: Height,
    /// Block hash.
    pub block_hash: Digest,
    /// Header time.
    pub time_unix_s: UnixSeconds,
}

/// Answer of `GET /freehold/v1/instance`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceInfo {
    /// App.
    pub app_id: AppId,
    /// Instance: digest of the subject body.
    pub instance_id: Digest,
    /// Chain id.
    pub chain_id: u64,
    /// Digest of the genesis.
    pub genesis_hash: Digest,
    /// The network key.
    pub network_key: NetworkKey,
    /// The ACI keyset document; its RFC 8785 form is what the digest covers.
    pub keyset: Value,
    /// SHA-256 of that form.
    pub keyset_digest: Digest,
    /// Body of the keyset's subject.
    pub subject: SubjectJson,
    /// Trust domain of the evidence: `emulated`, `intel`, …
    pub trust_domain: String,
    /// What protects the instance.
    pub capabilities: Capabilities,
    /// Whether the guest has seen its registration under a certificate.
    pub registered: bool,
    /// End of the lease; 0 while not registered.
    pub expires_at: UnixSeconds,
    /// Newest finalised header that the guest has verified.
    pub header: HeaderReference,
}

/// `POST /freehold/v1/quote`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuoteAsk {
    /// The caller's nonce; `None` for the quote that binds but is not fresh.
    pub nonce: Option<Digest>,
}

/// One event of the runtime measurement log, in ACI's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLogEntry {
    /// Register, from 0.
    pub imr: u32,
    /// Type.
    pub event_type: u32,
    /// SHA-384 that extended the register, in hex.
    pub digest: String,
    /// Name.
    pub event: String,
    /// Payload in hex.
    pub event_payload: String,
}

/// Answer to [`QuoteAsk`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuoteAnswer {
    /// The quote.
    pub quote: BareHex,
    /// The 64 bytes in it.
    pub report_data: BareHex,
    /// `tdx`.
    pub tee_type: String,
    /// Events that extended the runtime registers.
    pub event_log: Vec<EventLogEntry>,
}

/// Answer of `GET /freehold/v1/hpke/config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HpkeConfig {
    /// The 41 bytes served at `/.well-known/hpke-keys`.
    pub key_config: BareHex,
}

/// `POST /freehold/v1/hpke/open`: the chunks of one request body, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HpkeOpen {
    /// Encapsulated key of the request, 32 bytes.
    pub enc: BareHex,
    /// Ciphertext of each chunk, without its length prefix.
    pub chunks: Vec<Base64Text>,
}

/// Answer to [`HpkeOpen`]. No `Debug`: the plaintext is a person's.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HpkeOpened {
    /// The body.
    pub plaintext: Base64Text,
    /// Secret exported for the response, 32 bytes.
    pub exported_secret: BareHex,
}

/// `POST /freehold/v1/receipts/append`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppendReceipt {
    /// Id of the receipt, chosen by the app; used once.
    pub receipt_id: String,
    /// Id of the completion.
    pub chat_id: Option<String>,
    /// Model as the request named it.
    pub model: Option<String>,
    /// Path of the endpoint.
    pub endpoint: String,
    /// HTTP method.
    pub method: String,
    /// SHA-256 of the bearer token of the request; `None` where there was none.
    pub access: Option<Digest>,
    /// What happened, in order, without `freehold.chain`.
    pub events: Vec<Event>,
}

/// Answer to [`AppendReceipt`], given once the receipt is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppendedReceipt {
    /// The signed document.
    pub receipt: Receipt,
    /// Its position in the instance's log.
    pub sequence: u64,
}

/// Answer of `GET /freehold/v1/receipts/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredReceipt {
    /// The signed document.
    pub receipt: Receipt,
    /// SHA-256 of the bearer token that may read it; `None` where whoever has the id may.
    pub access: Option<Digest>,
}

/// Where the chain holds a log's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorReference {
    /// Index of the anchor in the log's anchors.
    pub index: u64,
    /// Height that anchored it.
    pub height: Height,
}

/// Answer of `GET /freehold/v1/receipts/{id}/inclusion`: under the oldest anchor that covers the receipt, else under the
/// newest root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inclusion {
    /// Instance whose log it is: another than the answering one where the receipt was adopted.
    pub instance_id: Digest,
    /// Position of the receipt.
    pub sequence: u64,
    /// Its leaf hash.
    pub leaf: Digest,
    /// Leaves under the root.
    pub size: u64,
    /// The root.
    pub root: Digest,
    /// Audit path, leaf to root.
    pub path: Vec<Digest>,
    /// The anchor; `None` while the chain has none that covers the receipt.
    pub anchor: Option<AnchorReference>,
}

/// Answer of `GET /freehold/v1/health`; status 200 when `ready`, else 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Whether the instance serves.
    pub ready: bool,
    /// Stage: `starting`, `waiting-for-chain`, `registering`, `waiting-for-keys`, `serving`, `stopped`.
    pub stage: String,
    /// Why it stopped, or what it waits for, in a sentence.
    pub reason: Option<String>,
    /// End of the lease; 0 while not registered.
    pub expires_at: UnixSeconds,
    /// Receipts in the log.
    pub receipts: u64,
    /// Receipts under an anchor.
    pub anchored: u64,
}

/// Code of a refusal of the local API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalErrorCode {
    /// Syntax or a bound.
    InvalidRequest,
    /// Unknown path, receipt or id.
    NotFound,
    /// The instance does not serve now.
    NotServing,
    /// The quote queue is full; see `Retry-After`.
    TooManyRequests,
    /// The body was not encrypted to this instance's key, or was changed.
    DecryptionFailed,
    /// The receipt id was used before.
    Duplicate,
    /// Another instance holds the lease.
    LeaseHeld,
    /// This instance does not hold the lease, or holds it no longer.
    LeaseLost,
    /// The disk has not seen the newest batch of counters: it was rolled back or is new, or another instance wrote since.
    DiskBehind,
    /// The chain shows less than this instance has seen before.
    ChainBehind,
    /// The chain proved nothing in time; whether the change was made is not known.
    Unavailable,
    /// The app's manifest does not let it reach this host, or the host's address is not public.
    EgressDenied,
    /// The server cannot be reached, or the exchange with it broke.
    Unreachable,
    /// The server's certificate or its TLS is refused.
    TlsRefused,
    /// The exchange took longer than it may.
    TimedOut,
    /// The response is larger than it may be.
    TooLarge,
    /// The peer is no live instance of the app.
    PeerNotLive,
    /// The message was opened before, or is older than what is remembered.
    Replayed,
    /// The message was not sealed by who it names, or not for this instance.
    NotAuthentic,
    /// Disk, evidence source or another part failed.
    Internal,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Body of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalErrorBody {
    /// The error.
    pub error: LocalError,
}

/// A refusal of the local API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalError {
    /// Code.
    pub code: LocalErrorCode,
    /// A sentence.
    pub message: String,
}
