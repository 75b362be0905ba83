//! The answer of `freehold_taint` (`spec/rpc.md`): what lies in the shadow of a subject, one page of it.
//!
//! Nothing here is verified: each entry that it repeats can be proven by `freehold_getProof`.

use freehold_primitives::{Account, AppId, Digest, Generation, Height, UnixSeconds};
use serde::{Deserialize, Serialize};

use crate::hexed::{HexBytes, prefixed};

/// Answer of `freehold_taint(kind, subject, cursor)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaintPage {
    /// Word of the subject's kind.
    pub kind: String,
    /// The subject.
    pub subject: HexBytes,
    /// Height whose state it is.
    pub height: Height,
    /// Denials of it by the chain, oldest first.
    pub denials: Vec<ChainDenial>,
    /// Instances that ever stood on it, oldest first.
    pub instances: Vec<TaintedInstance>,
    /// Cursor of the next page; null at the end.
    pub next: Option<u64>,
}

/// A denial by the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainDenial {
    /// Of a TCB level: the highest level that it covers, as a subject has it.
    pub level: Option<HexBytes>,
    /// Reason, a short code (`spec/apps.md` §7).
    pub reason: u8,
    /// Height from which it counts.
    pub since: Height,
    /// Height from which it no longer counts, where it was lifted.
    pub lifted_at: Option<Height>,
}

/// An instance in a shadow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaintedInstance {
    /// The instance.
    #[serde(with = "prefixed")]
    pub instance_id: Digest,
    /// Its app.
    pub app_id: AppId,
    /// Its provider.
    #[serde(with = "prefixed")]
    pub provider: Account,
    /// Height of its first registration.
    pub opened_at: Height,
    /// Height of the newest renewal.
    pub renewed_at: Height,
    /// Unix seconds at which its lease ends or ended.
    pub expires_at: UnixSeconds,
    /// Height that closed it.
    pub closed_at: Option<Height>,
    /// Whether it is live: open, within its lease, and nothing that it stands on is denied by the chain.
    pub live: bool,
    /// Highest tier that its evidence satisfied.
    pub tier: u8,
    /// Keys that it was granted.
    pub grants: Vec<TaintedGrant>,
    /// Receipts that stand in its log under an anchor.
    pub receipts: u64,
    /// Anchors of its log.
    pub anchors: u64,
    /// Height of the first anchor.
    pub first_anchor: Option<Height>,
    /// Height of the newest anchor.
    pub last_anchor: Option<Height>,
}

/// A key that an instance was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaintedGrant {
    /// Context of the key.
    pub context: String,
    /// Generation of the context.
    pub generation: Generation,
    /// Height of the grant.
    pub granted_at: Height,
    /// Unix seconds until which it counted.
    pub until: UnixSeconds,
    /// Height that closed it.
    pub closed_at: Option<Height>,
}
