//! dstack's guest API as its released clients call it (`spec/local-api.md` §7): bytes are hex without `0x`, members that
//! are not known are passed over, members that are missing are empty.

use serde::{Deserialize, Serialize};

use crate::hexed::BareHex;

/// Body of `GetKey`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DstackGetKey {
    /// Path of the key.
    pub path: String,
    /// What the signature chain says that it is for.
    pub purpose: String,
    /// `secp256k1` (also `k256`, or nothing) or `ed25519`.
    pub algorithm: String,
}

/// Answer to [`DstackGetKey`]. No `Debug`: the key is secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct DstackKey {
    /// The key, 32 bytes in hex.
    pub key: String,
    /// The app key over purpose and public key, then the instance's account over the app key; 65 bytes each.
    pub signature_chain: Vec<BareHex>,
}

/// Body of `DeriveK256Key` of the older API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DstackDeriveK256Key {
    /// Path of the key.
    pub path: String,
    /// What the signature chain says that it is for.
    pub purpose: String,
}

/// Answer to [`DstackDeriveK256Key`]. No `Debug`: the key is secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct DstackK256Key {
    /// The key, 32 bytes in hex.
    pub k256_key: String,
    /// As in [`DstackKey`].
    pub k256_signature_chain: Vec<BareHex>,
}

/// Body of `GetQuote`, `Attest` and, in the older API, `RawQuote`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DstackReportData {
    /// At most 64 bytes; zeros are put behind fewer.
    pub report_data: BareHex,
}

/// Body of `TdxQuote` of the older API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DstackTdxQuote {
    /// What is hashed; with `raw`, 64 bytes that are taken as they are.
    pub report_data: BareHex,
    /// `sha512` (also where nothing is named), `sha384`, `sha256`, `keccak256` or `raw`.
    pub hash_algorithm: String,
}

/// Answer of `GetQuote`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DstackQuote {
    /// The TDX quote.
    pub quote: BareHex,
    /// Events as JSON text: those of register 3, and those that the app emitted, under register 4, which no TD has.
    pub event_log: String,
    /// The 64 bytes in the quote.
    pub report_data: BareHex,
    /// About this machine, JSON text; member `freehold` binds the emitted events.
    pub vm_config: String,
}

/// Answer of `TdxQuote`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DstackHashedQuote {
    /// The TDX quote.
    pub quote: BareHex,
    /// As in [`DstackQuote`].
    pub event_log: String,
    /// How the report data was made.
    pub hash_algorithm: String,
    /// What was put before what is hashed.
    pub prefix: String,
}

/// Answer of `Attest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DstackAttested {
    /// dstack's attestation, version 0.
    pub attestation: BareHex,
}

/// Body of `EmitEvent`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DstackEmitEvent {
    /// Name.
    pub event: String,
    /// Payload.
    pub payload: BareHex,
}

/// Body of `GetTlsKey`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DstackGetTlsKey {
    /// Common name.
    pub subject: String,
    /// DNS names and addresses.
    pub alt_names: Vec<String>,
    /// Whether a quote over the key stands in the certificate.
    pub usage_ra_tls: bool,
    /// Whether it is for servers.
    pub usage_server_auth: bool,
    /// Whether it is for clients.
    pub usage_client_auth: bool,
    /// Begin of validity, in seconds since the Unix epoch.
    pub not_before: Option<u64>,
    /// End of validity, in seconds since the Unix epoch.
    pub not_after: Option<u64>,
    /// Whether the app's id stands in the certificate.
    pub with_app_info: bool,
}

/// Body of `DeriveKey` of the older API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DstackDeriveKey {
    /// Path: the same path gives the same key.
    pub path: String,
    /// Common name.
    pub subject: String,
    /// DNS names and addresses.
    pub alt_names: Vec<String>,
}

/// Answer of `GetTlsKey` and `DeriveKey`. No `Debug`: the key is secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct DstackTlsKey {
    /// PKCS #8, PEM.
    pub key: String,
    /// The certificate, then that of the app's authority, PEM.
    pub certificate_chain: Vec<String>,
}

/// Body of `Sign`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DstackSign {
    /// `ed25519`, `secp256k1` or `secp256k1_prehashed`.
    pub algorithm: String,
    /// What is signed.
    pub data: BareHex,
}

/// Answer to [`DstackSign`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DstackSigned {
    /// 64 bytes: of Ed25519, or `r ‖ s`.
    pub signature: BareHex,
    /// The signature, then the chain of its key.
    pub signature_chain: Vec<BareHex>,
    /// Public key: 32 bytes, or a compressed point of 33.
    pub public_key: BareHex,
}

/// Body of `Verify`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DstackVerify {
    /// As in [`DstackSign`].
    pub algorithm: String,
    /// What was signed.
    pub data: BareHex,
    /// The signature.
    pub signature: BareHex,
    /// The public key.
    pub public_key: BareHex,
}

/// Answer to [`DstackVerify`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DstackVerified {
    /// Whether it is a signature of this key over these bytes.
    pub valid: bool,
}

/// Answer of `Info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DstackInfo {
    /// The last 20 bytes of the app id.
    pub app_id: BareHex,
    /// The instance's id.
    pub instance_id: BareHex,
    /// Certificate of the app's authority, PEM.
    pub app_cert: String,
    /// Registers and event log, JSON text ([`DstackTcbInfo`]).
    pub tcb_info: String,
    /// The app id in ROFL's form: the chain keeps no name.
    pub app_name: String,
    /// Empty: no platform is named to the app.
    pub device_id: BareHex,
    /// SHA-256 of the five registers.
    pub mr_aggregated: BareHex,
    /// Empty: MRTD stands for the image.
    pub os_image_hash: BareHex,
    /// Who gives keys, JSON text.
    pub key_provider_info: String,
    /// SHA-256 of what was measured as the app.
    pub compose_hash: BareHex,
    /// About this machine, JSON text.
    pub vm_config: String,
    /// Empty.
    pub cloud_vendor: String,
    /// Empty.
    pub cloud_product: String,
}

/// What `tcb_info` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DstackTcbInfo {
    /// MRTD.
    pub mrtd: BareHex,
    /// RTMR0.
    pub rtmr0: BareHex,
    /// RTMR1.
    pub rtmr1: BareHex,
    /// RTMR2.
    pub rtmr2: BareHex,
    /// RTMR3.
    pub rtmr3: BareHex,
    /// SHA-256 of the five.
    pub mr_aggregated: BareHex,
    /// Empty.
    pub os_image_hash: BareHex,
    /// As in [`DstackInfo`].
    pub compose_hash: BareHex,
    /// Empty.
    pub device_id: BareHex,
    /// Empty: a bundle is no app-compose document.
    pub app_compose: String,
    /// The events of register 3, and those that the app emitted.
    pub event_log: Vec<crate::EventLogEntry>,
}

/// Answer of `Version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DstackVersion {
    /// Version of this guest.
    pub version: String,
    /// `freehold`.
    pub rev: String,
}

/// Answer of `GpuInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DstackGpuInfo {
    /// Empty: evidence of GPUs stands in `/freehold/v1/quote`.
    pub attestation: String,
}

/// Body of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DstackRefusal {
    /// A sentence.
    pub error: String,
}
