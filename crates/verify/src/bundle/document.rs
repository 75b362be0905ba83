//! The sections of a proof as typed values (`spec/proof-bundle.md` §2). Nothing here is verified yet.

use std::collections::BTreeMap;

use freehold_primitives::{
    Account, AppId, Digest, Ed25519Key, EvidenceKind, G1Point, Height, Keyset, PlatformFamily, Receipt, Registration,
    SubjectBody, TlsKey, TrustDomain, UnixSeconds, X25519Key,
};
use serde::{Deserialize, Serialize};

use super::{
    hexed::LowerHex,
    read::{DocumentError, PROOF_FORMAT},
};

/// Most auditors whose word a proof holds.
pub const PROMISE_AUDITS_MAX: usize = 16;

/// A whole proof: one section per link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofDocument {
    /// [`PROOF_FORMAT`].
    pub format: String,
    /// What was asked.
    pub request: BodySection,
    /// What was answered.
    pub response: BodySection,
    /// The instance's signed record of the exchange.
    pub receipt: Receipt,
    /// Keys of the instance, and who it is.
    pub keyset: KeysetSection,
    /// What the hardware said, and what is needed to judge it.
    pub quote: QuoteSection,
    /// What the instance asked the chain to record.
    pub registration: RegistrationSection,
    /// Path from the receipt to an anchored root of the instance's log; `None` where it is not anchored.
    pub anchor: Option<AnchorSection>,
    /// Entries of the chain, each under the state root of the first header of `header.state`.
    pub state_proof: StateProofSection,
    /// Runs of headers.
    pub header: HeaderSection,
    /// Payloads that name the last header of each run.
    pub commitment: CommitmentSection,
    /// Certificates over those payloads.
    pub finality: FinalitySection,
}

/// A body, whole or by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum BodySection {
    /// The body as the app read or wrote it.
    Whole {
        /// The text.
        body: String,
    },
    /// Redacted: SHA-256 of the body.
    Redacted {
        /// The hash.
        sha256: Digest,
    },
}

/// The subject body and the keys; the keyset's subject is computed from the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysetSection {
    /// Key that request bodies are encrypted to.
    pub hpke_key: X25519Key,
    /// Unix seconds after which no key of the set counts.
    pub not_after: UnixSeconds,
    /// Key that signs receipts.
    pub receipt_key: Ed25519Key,
    /// Who the instance is.
    pub subject: SubjectSection,
    /// TLS keys, in the order of the keyset document.
    pub tls_keys: Vec<TlsKeySection>,
}

/// Fields of [`SubjectBody`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectSection {
    /// The instance's own account.
    pub account: Account,
    /// App it is an instance of.
    pub app_id: AppId,
    /// Chain it registers on.
    pub chain_id: u64,
    /// Digest of the guest's configuration.
    pub config_digest: Digest,
    /// Digest of the chain's genesis.
    pub genesis_hash: Digest,
    /// Account of the provider.
    pub provider: Account,
    /// Key to which key shares are encrypted.
    pub transport_key: G1Point,
}

/// Fields of [`TlsKey`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsKeySection {
    /// Host name; empty for none.
    pub domain: String,
    /// SHA-256 of the SPKI.
    pub spki_sha256: Digest,
}

/// Evidence and collateral.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuoteSection {
    /// The collateral documents that judged the evidence: of the primary, then of each GPU.
    pub collateral: Vec<LowerHex>,
    /// The evidence.
    pub evidence: LowerHex,
}

/// What the registration document holds beside subject and keyset, and the account's signature over all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationSection {
    /// Word of the evidence kind, such as `tdx`.
    pub evidence_kind: String,
    /// Platform family, 6 bytes.
    pub family: LowerHex,
    /// Lease asked for, in seconds.
    pub lease_s: u64,
    /// Hash of the block that was the nonce.
    pub nonce: Digest,
    /// Height of that block.
    pub nonce_height: Height,
    /// Signature of the instance's account, 65 bytes: r, s, and the parity 0 or 1 (or 27 or 28).
    pub signature: LowerHex,
    /// Word of the trust domain.
    pub trust_domain: String,
}

/// The audit path of RFC 9162 from the receipt's leaf to the root that the anchor entry names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorSection {
    /// Sibling hashes, leaf side first.
    pub path: Vec<Digest>,
}

/// An entry that the state holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryProof {
    /// Canonical document of the entry.
    pub content: LowerHex,
    /// State proof of its slot.
    pub proof: LowerHex,
}

/// An entry that the state holds, or is proven not to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionalEntryProof {
    /// Canonical document of the entry; `None` where it is proven absent.
    pub content: Option<LowerHex>,
    /// State proof of its slot.
    pub proof: LowerHex,
}

/// What the app promises about its upgrades, and what auditors say of its policy, as it stands at the section's height.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromiseProof {
    /// By account: their newest word on the app's policy, present or proven absent; at most [`PROMISE_AUDITS_MAX`].
    pub audits: BTreeMap<Account, OptionalEntryProof>,
    /// The app's upgrades; proven absent where it never promised anything.
    pub upgrade: OptionalEntryProof,
}

/// Entries under one state root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateProofSection {
    /// The anchor entry; `None` exactly where the section `anchor` is.
    pub anchor: Option<EntryProof>,
    /// The app as it is at that height.
    pub app: EntryProof,
    /// The version of the app whose policy judged the evidence.
    pub app_version: EntryProof,
    /// Deny entries of the app and then of the chain, present or proven absent, against whatever the instance stands on
    /// (`InstanceEntry::deny_entries`).
    pub denied: Vec<OptionalEntryProof>,
    /// Height whose state it is: the first header's of `header.state`.
    pub height: Height,
    /// The instance.
    pub instance: EntryProof,
    /// What the app promises about its upgrades; left out where the proof says nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promise: Option<PromiseProof>,
}

/// Runs of headers, RLP, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderSection {
    /// Opens with the block that the receipt names.
    pub receipt: Vec<LowerHex>,
    /// Opens with the block under whose state root the entries stand.
    pub state: Vec<LowerHex>,
}

/// Payload heads, canonical documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitmentSection {
    /// Names the last header of `header.receipt`.
    pub receipt: LowerHex,
    /// Names the last header of `header.state`.
    pub state: LowerHex,
}

/// The genesis, whose digest is part of what certificates sign, and the certificates; canonical documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinalitySection {
    /// Genesis of the chain: roots of trust and chain id.
    pub genesis: LowerHex,
    /// Certificate over `commitment.receipt`.
    pub receipt: LowerHex,
    /// Certificate over `commitment.state`.
    pub state: LowerHex,
}

impl KeysetSection {
    /// Writes a subject body and its keyset.
    pub fn new(subject: &SubjectBody, keyset: &Keyset) -> Self {
        let tls = |key: &TlsKey| TlsKeySection { domain: key.domain.clone(), spki_sha256: key.spki_sha256 };
        Self {
            hpke_key: keyset.hpke_key,
            not_after: keyset.not_after,
            receipt_key: keyset.receipt_key,
            subject: SubjectSection {
                account: subject.account,
                app_id: subject.app_id,
                chain_id: subject.chain_id,
                config_digest: subject.config_digest,
                genesis_hash: subject.genesis_hash,
                provider: subject.provider,
                transport_key: subject.transport_key,
            },
            tls_keys: keyset.tls_keys.iter().map(tls).collect(),
        }
    }

    /// The subject body.
    pub fn subject_body(&self) -> SubjectBody {
        let subject = &self.subject;
        SubjectBody {
            chain_id: subject.chain_id,
            genesis_hash: subject.genesis_hash,
            app_id: subject.app_id,
            provider: subject.provider,
            account: subject.account,
            transport_key: subject.transport_key,
            config_digest: subject.config_digest,
        }
    }

    /// The keyset under that subject.
    pub fn keyset(&self) -> Keyset {
        let tls = |key: &TlsKeySection| TlsKey { domain: key.domain.clone(), spki_sha256: key.spki_sha256 };
        Keyset {
            subject: freehold_crypto::subject_digest(&self.subject_body()),
            not_after: self.not_after,
            receipt_key: self.receipt_key,
            hpke_key: self.hpke_key,
            tls_keys: self.tls_keys.iter().map(tls).collect(),
        }
    }
}

impl RegistrationSection {
    /// Writes what a registration holds beside subject and keyset, and its signature.
    pub fn new(registration: &Registration, signature: &[u8]) -> Self {
        Self {
            evidence_kind: registration.evidence_kind.as_str().to_owned(),
            family: LowerHex(registration.family.0.to_vec()),
            lease_s: registration.lease_s,
            nonce: registration.nonce,
            nonce_height: registration.nonce_height,
            signature: LowerHex(signature.to_vec()),
            trust_domain: registration.trust_domain.as_str().to_owned(),
        }
    }

    /// The registration document; `None` where a word or a length has no meaning.
    pub fn registration(&self, keyset: &KeysetSection) -> Option<Registration> {
        Some(Registration {
            subject: keyset.subject_body(),
            keyset: keyset.keyset(),
            nonce_height: self.nonce_height,
            nonce: self.nonce,
            evidence_kind: EvidenceKind::from_word(&self.evidence_kind)?,
            trust_domain: TrustDomain::from_word(&self.trust_domain)?,
            family: PlatformFamily(self.family.0.as_slice().try_into().ok()?),
            lease_s: self.lease_s,
        })
    }
}

impl BodySection {
    /// SHA-256 of the body.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Whole { body } => freehold_crypto::sha256(body.as_bytes()),
            Self::Redacted { sha256 } => *sha256,
        }
    }

    /// The same body by its hash alone.
    pub fn redacted(&self) -> Self {
        Self::Redacted { sha256: self.digest() }
    }
}

impl ProofDocument {
    /// The file: the RFC 8785 form and one newline.
    ///
    /// # Errors
    /// [`DocumentError::Form`] when a number does not fit RFC 8785; [`DocumentError::TooLong`].
    pub fn to_text(&self) -> Result<String, DocumentError> {
        super::read::write_document(self)
    }

    /// Reads a file; nothing of it is verified.
    ///
    /// # Errors
    /// Every [`DocumentError`].
    pub fn from_text(text: &str) -> Result<Self, DocumentError> {
        super::read::read_document(text, PROOF_FORMAT)
    }

    /// The same proof without the texts of request and response, which their hashes replace.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        self.request = self.request.redacted();
        self.response = self.response.redacted();
        self
    }
}
