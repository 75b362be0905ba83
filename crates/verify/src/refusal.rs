//! Why a link fails: typed, with a stable code of 100 times the link's place plus a number (`spec/verdict.md` §4).

use freehold_attestation::Refusal;
use freehold_crypto::{KeyError, ReceiptError};
use freehold_primitives::{Account, CodecError, Height, entries::DenySubject};
use thiserror::Error;

use crate::{
    bundle::{DocumentError, SectionError},
    light::{EntryError, FinalityError, KeysError},
};

/// Names an entry in a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryName {
    /// The instance.
    Instance,
    /// The app now.
    App,
    /// The version of the app that judged the evidence.
    AppVersion,
    /// The anchor.
    Anchor,
    /// The app's upgrades.
    Upgrade,
    /// An account's word on the app's policy.
    Audit(Account),
    /// The app's deny entry against a subject of this kind.
    Denied(DenySubject),
    /// The chain's own deny entry against a subject of this kind.
    DeniedByChain(DenySubject),
}

impl core::fmt::Display for EntryName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Instance => f.write_str("instance"),
            Self::App => f.write_str("app"),
            Self::AppVersion => f.write_str("app version"),
            Self::Anchor => f.write_str("anchor"),
            Self::Upgrade => f.write_str("upgrade"),
            Self::Audit(auditor) => write!(f, "audit of 0x{auditor}"),
            Self::Denied(kind) => write!(f, "denied {kind}"),
            Self::DeniedByChain(kind) => write!(f, "{kind} denied by the chain"),
        }
    }
}

/// Which of the two runs of headers a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// The one that opens with the block the receipt names.
    Receipt,
    /// The one that opens with the block whose state is proven.
    State,
}

impl core::fmt::Display for Run {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Receipt => "receipt",
            Self::State => "state",
        })
    }
}

/// Why a link fails.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The file is no proof at all.
    #[error("no proof: {0}")]
    Document(DocumentError),
    /// The link's section is not usable.
    #[error(transparent)]
    Section(SectionError),

    /// The body has another hash than the receipt names.
    #[error("the body does not hash to what the receipt names")]
    BodyHash,

    /// Events are missing, doubled, or the first is not the request.
    #[error("the receipt's events are not one each of request, model, response and chain, the request first")]
    ReceiptEvents,
    /// A constant of the format has another value.
    #[error("the receipt has another version or key name than this format has")]
    ReceiptConstants,
    /// The signature does not verify.
    #[error("the receipt's signature does not verify: {0}")]
    ReceiptSignature(ReceiptError),

    /// A text or a list in the keyset is outside its bounds.
    #[error("the keyset is not well-formed")]
    KeysetForm,
    /// The receipt names another keyset.
    #[error("the receipt names another keyset")]
    KeysetDigest,
    /// The receipt names another instance than the subject.
    #[error("the receipt names another instance than the keyset's subject")]
    KeysetInstance,
    /// The subject belongs to another chain.
    #[error("the subject belongs to another chain or genesis")]
    ForeignChain,
    /// The keyset had ended when the receipt was made.
    #[error("the keyset had ended when the receipt was made")]
    KeysetExpired,

    /// The chain recorded other evidence.
    #[error("the chain recorded other evidence")]
    EvidenceDigest,
    /// The chain judged by other collateral.
    #[error("the chain judged the evidence by other collateral")]
    CollateralDigest,
    /// The verifier of evidence refuses.
    #[error("refused with code {code}: {0}", code = .0.code())]
    Evidence(Refusal),
    /// The evidence binds another keyset or nonce.
    #[error("the evidence binds another keyset or another nonce")]
    ReportData,
    /// The chain recorded other claims.
    #[error("the chain recorded another {0} than the evidence shows")]
    Claims(&'static str),

    /// A word or a length in the registration has no meaning.
    #[error("the registration is not well-formed")]
    RegistrationForm,
    /// The signature recovers to no key.
    #[error("the registration's signature is malformed: {0}")]
    RegistrationSignature(KeyError),
    /// Another account signed.
    #[error("another account than the instance's signed the registration")]
    RegistrationSigner,
    /// The chain recorded something else.
    #[error("the chain recorded another {0} than the registration has")]
    NotRecorded(&'static str),

    /// Path without entry, or entry without path.
    #[error("an anchor needs both its path and its entry")]
    AnchorPair,
    /// The path does not lead from the receipt to the anchored root.
    #[error("the receipt does not stand under the anchored root")]
    AnchorPath,
    /// The anchor is older than the block that the receipt names.
    #[error("the anchor at height {anchor} is older than block {receipt}, which the receipt names")]
    AnchorOrder {
        /// Height of the anchor.
        anchor: Height,
        /// Height that the receipt names.
        receipt: Height,
    },

    /// The entries are said to stand at another height than their headers open with.
    #[error("the entries are said to stand at height {said}, and their headers open with {found}")]
    StateHeight {
        /// Height that the section names.
        said: Height,
        /// Height of the first header.
        found: Height,
    },
    /// An entry is not under the state root.
    #[error("the {name} entry: {source}")]
    Entry {
        /// Which one.
        name: EntryName,
        /// Why.
        source: EntryError,
    },
    /// An entry is proven and belongs to something else.
    #[error("the {0} entry belongs to another app, instance or version")]
    ForeignEntry(EntryName),

    /// Not one proof for each subject that a deny entry could name.
    #[error("{found} proofs about denied subjects, where the instance has {expected}")]
    DeniedCount {
        /// Proofs given.
        found: usize,
        /// Subjects of the instance.
        expected: usize,
    },

    /// The words of more auditors than a proof may hold.
    #[error("the words of {0} auditors, above the bound of {max}", max = crate::bundle::PROMISE_AUDITS_MAX)]
    AuditCount(usize),

    /// A run of headers does not hold.
    #[error("the {run} headers: {source}")]
    Headers {
        /// Which run.
        run: Run,
        /// Why.
        source: FinalityError,
    },
    /// The payload names another block than the run's last.
    #[error("the payload names another block than the last of the {0} headers")]
    NotExecuted(Run),
    /// The receipt names another block than its run opens with.
    #[error("the receipt names another block than its headers open with")]
    OtherBlock,

    /// The proven state is older than the block that the receipt names, and cannot answer for it.
    #[error("the proven state at height {state} is older than block {receipt}, which the receipt names")]
    StateOlder {
        /// Height of the state.
        state: Height,
        /// Height that the receipt names.
        receipt: Height,
    },

    /// A payload head does not hold.
    #[error("the {run} payload: {source}")]
    Payload {
        /// Of which run.
        run: Run,
        /// Why.
        source: FinalityError,
    },

    /// The genesis is malformed.
    #[error("the genesis is malformed: {0}")]
    Genesis(CodecError),
    /// The succession of the network key that was given leads nowhere.
    #[error("{0}")]
    Succession(KeysError),
    /// A certificate does not hold.
    #[error("the {run} certificate: {source}")]
    Certificate {
        /// Of which run.
        run: Run,
        /// Why.
        source: FinalityError,
    },
}

impl LinkError {
    /// The stable code.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Document(_) => 1,
            Self::Section(_) => 2,
            Self::BodyHash => 101,
            Self::ReceiptEvents => 301,
            Self::ReceiptConstants => 302,
            Self::ReceiptSignature(_) => 303,
            Self::KeysetForm => 401,
            Self::KeysetDigest => 402,
            Self::KeysetInstance => 403,
            Self::ForeignChain => 404,
            Self::KeysetExpired => 405,
            Self::EvidenceDigest => 501,
            Self::CollateralDigest => 502,
            Self::Evidence(_) => 503,
            Self::ReportData => 504,
            Self::Claims(_) => 505,
            Self::RegistrationForm => 601,
            Self::RegistrationSignature(_) => 602,
            Self::RegistrationSigner => 603,
            Self::NotRecorded(_) => 604,
            Self::AnchorPair => 701,
            Self::AnchorPath => 702,
            Self::AnchorOrder { .. } => 703,
            Self::Entry { .. } => 801,
            Self::ForeignEntry(_) => 802,
            Self::StateHeight { .. } => 803,
            Self::DeniedCount { .. } => 804,
            Self::AuditCount(_) => 805,
            Self::Headers { .. } => 901,
            Self::NotExecuted(_) => 902,
            Self::OtherBlock => 903,
            Self::StateOlder { .. } => 904,
            Self::Payload { .. } => 1001,
            Self::Genesis(_) => 1101,
            Self::Certificate { .. } => 1102,
            Self::Succession(_) => 1103,
        }
    }
}
