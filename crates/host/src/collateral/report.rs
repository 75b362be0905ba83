//! What the bot tells: what stands, what it did, and what operators must know. Typed, so that a monitor can read it.

use freehold_attestation::Refusal;
use freehold_primitives::{
    Account, AppId, Digest, EvidenceKind, PlatformFamily, TcbStatus, UnixSeconds, entries::CollateralKind,
};
use std::time::Duration;

use super::vendor::{Promotion, Subject};

/// Collateral that a warning follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// It stands on the chain.
    OnChain,
    /// It was fetched, is newer than what stands on the chain, and is about to be submitted.
    Fetched,
    /// The vendor has published it ahead of time. It counts when it is the standard, or when anyone submits it.
    Early,
}

impl Basis {
    /// Its name in outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnChain => "on_chain",
            Self::Fetched => "fetched",
            Self::Early => "early",
        }
    }
}

/// What an operator must know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CollateralWarning {
    /// A live instance is or will be refused at its next renewal.
    InstanceRefused {
        /// The app.
        app_id: AppId,
        /// The instance.
        instance_id: Digest,
        /// Who pays for it.
        provider: Account,
        /// Kind of its evidence.
        evidence_kind: EvidenceKind,
        /// Platform family: the FMSPC of Intel's machines.
        family: PlatformFamily,
        /// The platform.
        platform: Digest,
        /// Why; its code is that of the chain.
        refusal: Refusal,
        /// TCB status that the collateral gives, where it gives one.
        tcb_status: Option<TcbStatus>,
        /// Unix seconds from which it holds under this collateral.
        from_unix_s: UnixSeconds,
        /// Which collateral.
        basis: Basis,
        /// What to do.
        remedy: &'static str,
    },
    /// Collateral on the chain ends soon, or has ended.
    Expiring {
        /// Kind.
        kind: CollateralKind,
        /// Key within the kind.
        key: Vec<u8>,
        /// Unix seconds at which it no longer counts.
        expires_at: UnixSeconds,
    },
    /// The chain has no collateral about a subject.
    Missing {
        /// The subject.
        subject: Subject,
    },
}

/// Something that happened in a round.
#[derive(Debug)]
#[non_exhaustive]
pub enum CollateralEvent {
    /// Collateral stands on the chain.
    Standing {
        /// Kind.
        kind: CollateralKind,
        /// Key within the kind.
        key: Vec<u8>,
        /// Unix seconds at which it was issued.
        issued_at: UnixSeconds,
        /// Unix seconds at which it no longer counts.
        expires_at: UnixSeconds,
        /// Numbers that may not fall (`spec/collateral.md`).
        numbers: Vec<u64>,
    },
    /// A document was fetched and verified.
    Fetched {
        /// What about.
        subject: Subject,
        /// Which of the vendor's documents.
        promotion: Promotion,
        /// Unix seconds at which it was issued.
        issued_at: UnixSeconds,
        /// Unix seconds at which it no longer counts.
        expires_at: UnixSeconds,
        /// Numbers that may not fall.
        numbers: Vec<u64>,
        /// Length of the document, in bytes.
        bytes: usize,
    },
    /// Nothing newer is to be had.
    Current {
        /// What about.
        subject: Subject,
    },
    /// A newer document was not submitted: no account pays.
    NotSubmitted {
        /// What about.
        subject: Subject,
    },
    /// A newer document was accepted by the chain.
    Submitted {
        /// What about.
        subject: Subject,
        /// The transaction.
        tx_hash: Digest,
        /// Height of its block.
        height: u64,
        /// Gas it used.
        gas_used: u64,
    },
    /// Something failed; the rest of the round goes on.
    Failed {
        /// What was tried.
        what: String,
        /// Why it failed.
        reason: String,
    },
    /// A warning.
    Warning(CollateralWarning),
    /// The round is over; the next one begins after a pause.
    Pause {
        /// How long.
        pause: Duration,
    },
}

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoundSummary {
    /// Live instances that were judged.
    pub instances: usize,
    /// Documents that were submitted and accepted.
    pub submitted: usize,
    /// Things that failed.
    pub failures: usize,
    /// Warnings that were given.
    pub warnings: usize,
    /// Longest pause that a service asked for.
    pub retry_after: Option<Duration>,
}
