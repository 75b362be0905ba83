//! The instance's own report (ACI `GET /v1/aci/attestation`, `spec/keyset.md`): who it says it is. Nothing is believed
//! here; `freehold_verify::verify_instance` judges.

use freehold_crypto::{sha256, to_jcs};
use freehold_primitives::{ACI_VERSION, Digest, EHBP_ALGO, HPKE_KEY_ID, Keyset, RECEIPT_KEY_ID, TLS_KEYS_MAX, TlsKey};
use freehold_rpc::{CHANNEL_FORMAT, ChannelAnswer};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// ACI's words for the kinds of TEE whose evidence the verifier takes. Which one it is, the chain's entry says.
const TEE_TYPES: [&str; 4] = ["tdx", "sgx", "sev_snp", "nitro"];

/// Why a report cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A member is missing or of another type.
    #[error("the attestation report has a member that is missing or of another type: {0}")]
    Shape(#[from] serde_json::Error),
    /// Another version of ACI, or another kind of TEE.
    #[error("the attestation report is of another version or TEE than this client knows")]
    Version,
    /// The keyset has keys or members beyond those that Freehold instances have.
    #[error("the attestation report's keyset is not in the form of a Freehold instance")]
    Keyset,
    /// The report names another digest than its keyset has.
    #[error("the attestation report names another digest than its keyset has")]
    Digest,
    /// The quote is not hex.
    #[error("the attestation report's quote is not hex")]
    Quote,
}

/// A report, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The keyset.
    pub keyset: Keyset,
    /// The quote for the caller's nonce.
    pub quote: Vec<u8>,
}

#[derive(Deserialize)]
struct ReportJson {
    api_version: String,
    workload_keyset_digest: String,
    attestation: AttestationJson,
}

#[derive(Deserialize)]
struct AttestationJson {
    tee_type: String,
    workload_keyset: Value,
    evidence: EvidenceJson,
}

#[derive(Deserialize)]
struct EvidenceJson {
    quote: String,
}

#[derive(Deserialize)]
struct KeysetJson {
    subject: String,
    not_after: u64,
    receipt_signing_keys: Vec<KeyJson>,
    e2ee_public_keys: Vec<KeyJson>,
    tls_public_keys: Vec<TlsKeyJson>,
}

#[derive(Deserialize)]
struct KeyJson {
    key_id: String,
    algo: String,
    public_key: String,
}

#[derive(Deserialize)]
struct TlsKeyJson {
    #[serde(default)]
    domain: String,
    spki_sha256: Digest,
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// Every [`ReportError`].
    pub fn read(value: Value) -> Result<Self, ReportError> {
        let report: ReportJson = serde_json::from_value(value)?;
        if report.api_version != ACI_VERSION || !TEE_TYPES.contains(&report.attestation.tee_type.as_str()) {
            return Err(ReportError::Version);
        }
        let keyset = read_keyset(report.attestation.workload_keyset)?;
        if report.workload_keyset_digest != format!("sha256:{}", sha256(keyset.to_jcs().as_bytes())) {
            return Err(ReportError::Digest);
        }
        let quote = hex::decode(&report.attestation.evidence.quote).map_err(|_| ReportError::Quote)?;
        Ok(Self { keyset, quote })
    }

    /// Reads what an instance says over a connection of its own TLS (`spec/ingress.md` §3).
    ///
    /// # Errors
    /// [`ReportError::Version`], [`ReportError::Keyset`], [`ReportError::Shape`].
    pub(crate) fn of_channel(answer: ChannelAnswer) -> Result<Self, ReportError> {
        if answer.format != CHANNEL_FORMAT {
            return Err(ReportError::Version);
        }
        Ok(Self { keyset: read_keyset(answer.keyset)?, quote: answer.quote.0 })
    }
}

/// Reads a keyset and checks that its typed form has the same RFC 8785 text: nothing was overlooked.
fn read_keyset(value: Value) -> Result<Keyset, ReportError> {
    let text = to_jcs(&value).map_err(|_| ReportError::Keyset)?;
    let json: KeysetJson = serde_json::from_value(value)?;
    let one = |keys: &[KeyJson], id: &str, algo: &str| match keys {
        [key] if key.key_id == id && key.algo == algo => Ok(key.public_key.clone()),
        _ => Err(ReportError::Keyset),
    };
    let subject = json.subject.strip_prefix("freehold:1:").and_then(|digest| digest.parse().ok());
    if json.tls_public_keys.len() > TLS_KEYS_MAX {
        return Err(ReportError::Keyset);
    }
    let tls = |key: TlsKeyJson| TlsKey { domain: key.domain, spki_sha256: key.spki_sha256 };
    let receipt_key = one(&json.receipt_signing_keys, RECEIPT_KEY_ID, "ed25519")?;
    let hpke_key = one(&json.e2ee_public_keys, HPKE_KEY_ID, EHBP_ALGO)?;
    let keyset = Keyset {
        subject: subject.ok_or(ReportError::Keyset)?,
        not_after: json.not_after,
        receipt_key: receipt_key.parse().map_err(|_| ReportError::Keyset)?,
        hpke_key: hpke_key.parse().map_err(|_| ReportError::Keyset)?,
        tls_keys: json.tls_public_keys.into_iter().map(tls).collect(),
    };
    if keyset.is_well_formed() && keyset.to_jcs() == text { Ok(keyset) } else { Err(ReportError::Keyset) }
}
