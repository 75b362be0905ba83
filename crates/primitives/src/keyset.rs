//! The keyset of an instance (ACI "aci/1", `spec/keyset.md`): all its public keys, one digest, bound by every quote.
//!
//! The JSON forms here are canonical by construction (RFC 8785: ASCII names in order, integers only, no spaces), so that
//! consensus builds them from typed fields and parses no JSON.

use std::fmt::Write as _;

use crate::ids::{Account, AppId, Digest, Ed25519Key, G1Point, UnixSeconds, X25519Key};

/// `algo` of the body-encryption key: EHBP's fixed suite. ACI verifiers skip algorithms they do not know.
pub const EHBP_ALGO: &str = "hpke-x25519-hkdfsha256-aes256gcm";
/// Longest text in a keyset, in bytes.
pub const KEYSET_TEXT_MAX: usize = 128;
/// Most TLS keys in a keyset.
pub const TLS_KEYS_MAX: usize = 8;

canonical_struct! {
    /// Who an instance is; the keyset's `subject` is `"freehold:1:"` and the hex SHA-256 of this body's document.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SubjectBody {
        /// Chain the instance registers on.
        pub chain_id: u64,
        /// Digest of that chain's genesis.
        pub genesis_hash: Digest,
        /// App it is an instance of.
        pub app_id: AppId,
        /// Account of the provider that pays for it.
        pub provider: Account,
        /// The instance's own account, whose key was made inside.
        pub account: Account,
        /// Key to which key shares are encrypted: a BLS12-381 G1 point.
        pub transport_key: G1Point,
        /// Digest of the configuration that the guest was started with.
        pub config_digest: Digest,
    }
}

canonical_struct! {
    /// A TLS key, by the SHA-256 of its SubjectPublicKeyInfo.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct TlsKey {
        /// Host name that the key is restricted to; empty for none. ASCII without quotes, backslashes, controls.
        pub domain: String,
        /// SHA-256 of the SPKI.
        pub spki_sha256: Digest,
    }
}

canonical_struct! {
    /// All public keys of an instance.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Keyset {
        /// SHA-256 of the subject body's document.
        pub subject: Digest,
        /// Unix seconds after which no key of the set counts.
        pub not_after: UnixSeconds,
        /// Key that signs receipts; its `key_id` is `receipt-1`.
        pub receipt_key: Ed25519Key,
        /// Key that request bodies are encrypted to; its `key_id` is `hpke-1`.
        pub hpke_key: X25519Key,
        /// TLS keys, in the order of the document.
        pub tls_keys: Vec<TlsKey>,
    }
}

/// Name of the receipt key in receipts.
pub const RECEIPT_KEY_ID: &str = "receipt-1";
/// Name of the body-encryption key in the keyset.
pub const HPKE_KEY_ID: &str = "hpke-1";

impl Keyset {
    /// The `subject` text.
    pub fn subject_text(&self) -> String {
        format!("freehold:1:{}", self.subject)
    }

    /// The RFC 8785 form of the ACI keyset document, whose SHA-256 is the keyset digest.
    pub fn to_jcs(&self) -> String {
        let mut out = String::with_capacity(512);
        let _ = write!(
            out,
            "{{\"e2ee_public_keys\":[{{\"algo\":\"{EHBP_ALGO}\",\"key_id\":\"{HPKE_KEY_ID}\",\"public_key\":\"{}\"}}],\
             \"not_after\":{},\"receipt_signing_keys\":[{{\"algo\":\"ed25519\",\"key_id\":\"{RECEIPT_KEY_ID}\",\
             \"public_key\":\"{}\"}}],\"subject\":\"{}\",\"tls_public_keys\":[",
            self.hpke_key,
            self.not_after,
            self.receipt_key,
            self.subject_text(),
        );
        for (index, key) in self.tls_keys.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let domain = if key.domain.is_empty() { String::new() } else { format!("\"domain\":\"{}\",", key.domain) };
            let _ = write!(out, "{comma}{{{domain}\"spki_sha256\":\"{}\"}}", key.spki_sha256);
        }
        out.push_str("]}");
        out
    }

    /// Whether every text may stand in the document unescaped and every list is within its bound.
    pub fn is_well_formed(&self) -> bool {
        self.tls_keys.len() <= TLS_KEYS_MAX
            && self.tls_keys.iter().all(|key| {
                key.domain.len() <= KEYSET_TEXT_MAX
                    && key.domain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
            })
    }
}

/// ACI's statement: the exact bytes whose SHA-256 is the lower half of `report_data`.
///
/// `nonce` is a caller's, a recent block hash for the chain, or `None` for a quote that binds but is not fresh.
pub fn report_statement(keyset_digest: &Digest, nonce: Option<&Digest>) -> String {
    let nonce = nonce.map_or_else(|| "null".to_owned(), |nonce| format!("\"{nonce}\""));
    format!("{{\"keyset_digest\":\"sha256:{keyset_digest}\",\"nonce\":{nonce},\"purpose\":\"aci.report_data.v1\"}}")
}
