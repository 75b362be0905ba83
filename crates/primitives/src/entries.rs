//! Entries of the system modules: what `ledger` writes and `verify` reads (`spec/entries.md`).
//!
//! An entry is a canonical document, kept content-addressed; its digest stands in one storage slot of its module, so
//! that one slot proof proves the whole entry. Entries are never deleted, only closed. Slots: `freehold_crypto::slots`.

use crate::{
    codec::Blob,
    ids::{Account, AppId, Digest, G1Point, Generation, Height, UnixSeconds, X25519Key},
    payload::TrustDomain,
    policy::{AppPolicy, TcbStatus, TdxMeasurement},
};

canonical_enum! {
    /// Kind of an entry; part of its slot.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum EntryKind {
        /// [`AppEntry`] in `Apps`, by app id.
        App = 1,
        /// [`InstanceEntry`] in `Apps`, by instance id.
        Instance = 2,
        /// [`UsedEvidenceEntry`] in `Apps`, by SHA-256 of the signed part of the evidence.
        UsedEvidence = 3,
        /// [`AccountEntry`] in `Apps`, by account.
        Account = 4,
        /// [`DenyEntry`] in `Apps`, by (subject kind, subject).
        Deny = 5,
        /// [`GrantEntry`] in `Keys`, by grant id.
        Grant = 6,
        /// [`AnchorEntry`] in `Log`, by (instance id, index).
        Anchor = 7,
        /// [`LogEntry`] in `Log`, by instance id.
        Log = 8,
        /// [`CollateralEntry`] in `Collateral`, by (kind, key).
        Collateral = 9,
        /// [`AppEntry`] in `Apps`, by (app id, version): every version of an app stays provable.
        AppVersion = 10,
        /// [`StateKeyStatus`] in `Keys`, under an empty id: one entry, written again.
        StateKeyStatus = 11,
        /// [`StateKeyEntry`] in `Keys`, by generation.
        StateKey = 12,
        /// [`CallDataKeyEntry`] in `Keys`, by epoch.
        CallDataKey = 13,
    }
}

canonical_enum! {
    /// Why an entry was closed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ClosedCode {
        /// By the owner of the app.
        Owner = 1,
        /// By the instance itself.
        Instance = 2,
        /// Evidence no longer satisfies the app's policy.
        Policy = 3,
        /// Platform, measurement or family was denied.
        Denied = 4,
        /// App was closed.
        AppClosed = 5,
        /// A newer instance took its place.
        Replaced = 6,
    }
}

canonical_struct! {
    /// An app. `version` counts its changes; each version also stands under its own slot.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AppEntry {
        /// The app.
        pub app_id: AppId,
        /// Account that may change it.
        pub owner: Account,
        /// Counts from 0.
        pub version: u32,
        /// What it accepts and grants.
        pub policy: AppPolicy,
        /// Height that created the app.
        pub opened_at: Height,
        /// Height that made this version.
        pub changed_at: Height,
        /// Height that closed it; `None` while open.
        pub closed_at: Option<Height>,
    }
}

canonical_struct! {
    /// A registered instance. Renewal replaces the evidence fields and moves `expires_at`; it is refused after a gap.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct InstanceEntry {
        /// Digest of the subject body: the id of the instance.
        pub instance_id: Digest,
        /// App it belongs to.
        pub app_id: AppId,
        /// Version of the app whose policy judged the newest evidence.
        pub app_version: u32,
        /// Provider that pays.
        pub provider: Account,
        /// The instance's own account.
        pub account: Account,
        /// Key that shares are encrypted to.
        pub transport_key: G1Point,
        /// SHA-256 of the keyset document.
        pub keyset_digest: Digest,
        /// Unix seconds after which the keyset does not count.
        pub keyset_not_after: UnixSeconds,
        /// Digest of the newest evidence, whose bytes are kept content-addressed.
        pub evidence_digest: Digest,
        /// Digest of the collateral document that judged it, kept content-addressed.
        pub collateral_digest: Digest,
        /// Height and hash of the block whose hash was the nonce of the newest evidence.
        pub nonce_height: Height,
        /// Hash of that block.
        pub nonce: Digest,
        /// Header time of the parent of the block that registered it: the verifier's `now`.
        pub judged_at_unix_s: UnixSeconds,
        /// Trust domain of the root under which the evidence verified.
        pub trust_domain: TrustDomain,
        /// Registers that the evidence showed.
        pub measurement: TdxMeasurement,
        /// TCB status that it had.
        pub tcb_status: TcbStatus,
        /// SHA-256 of the platform's PPID.
        pub platform: Digest,
        /// Platform family.
        pub fmspc: [u8; 6],
        /// Height of the first registration.
        pub opened_at: Height,
        /// Height of the newest renewal (the first registration counts).
        pub renewed_at: Height,
        /// Unix seconds at which the lease ends.
        pub expires_at: UnixSeconds,
        /// Height that closed it; `None` while open.
        pub closed_at: Option<Height>,
        /// Why it was closed.
        pub closed_code: Option<ClosedCode>,
    }
}

canonical_struct! {
    /// Evidence that was used; its signed part is accepted once.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct UsedEvidenceEntry {
        /// Instance that used it.
        pub instance_id: Digest,
        /// Height of use.
        pub height: Height,
    }
}

canonical_struct! {
    /// Which instance an account belongs to; an account is live in one instance only.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct AccountEntry {
        /// The instance.
        pub instance_id: Digest,
    }
}

canonical_enum! {
    /// What a deny entry names.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum DenySubject {
        /// A platform, by SHA-256 of its PPID (32 bytes).
        Platform = 1,
        /// A platform family (6 bytes).
        Fmspc = 2,
        /// A measurement, by MRTD (48 bytes).
        Mrtd = 3,
        /// An instance, by id (32 bytes).
        Instance = 4,
    }
}

canonical_struct! {
    /// A subject that an app no longer trusts; instances that match are closed in the same block.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DenyEntry {
        /// App that denies.
        pub app_id: AppId,
        /// Kind of the subject.
        pub subject_kind: DenySubject,
        /// The subject's bytes.
        pub subject: Blob,
        /// Reason, a short code of the owner's: 1 compromised, 2 extracted key, 3 withdrawn release, 4 other.
        pub reason: u8,
        /// Height from which it counts.
        pub since: Height,
    }
}

canonical_struct! {
    /// The ledger's permission to receive a derived key.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct GrantEntry {
        /// Id of the grant: digest of (instance, context, generation).
        pub grant_id: Digest,
        /// App whose key it is.
        pub app_id: AppId,
        /// Instance that receives it.
        pub instance_id: Digest,
        /// Context string, such as `root`.
        pub context: String,
        /// Generation of the context.
        pub generation: Generation,
        /// Key that shares are encrypted to.
        pub transport_key: G1Point,
        /// Height of the grant.
        pub granted_at: Height,
        /// Unix seconds after which validators serve nothing for it. Moves with the instance's lease.
        pub until: UnixSeconds,
        /// Height that closed it; `None` while live.
        pub closed_at: Option<Height>,
    }
}

canonical_struct! {
    /// One anchored root of an instance's receipt log (RFC 9162 tree).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct AnchorEntry {
        /// Instance whose log it is.
        pub instance_id: Digest,
        /// Counts the anchors of the log from 0.
        pub index: u64,
        /// Leaves in the tree.
        pub size: u64,
        /// Root over them.
        pub root: Digest,
        /// Instance that anchored it: another one where a successor adopted the tail.
        pub anchored_by: Digest,
        /// Height that anchored it.
        pub height: Height,
        /// Header time of that block.
        pub time_unix_s: UnixSeconds,
    }
}

canonical_struct! {
    /// Newest state of a log.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct LogEntry {
        /// Anchors so far.
        pub anchors: u64,
        /// Leaves under the newest anchor.
        pub size: u64,
        /// Its root.
        pub root: Digest,
    }
}

canonical_enum! {
    /// Kind of collateral, part of its key.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum CollateralKind {
        /// DCAP collateral of one platform family (TCB info, QE identity, both CRLs and their chains), by
        /// (trust domain, FMSPC).
        Dcap = 1,
    }
}

canonical_struct! {
    /// Newest accepted collateral of one key; it never goes back.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CollateralEntry {
        /// Kind.
        pub kind: CollateralKind,
        /// Key within the kind.
        pub key: Blob,
        /// Digest of the document, kept content-addressed.
        pub digest: Digest,
        /// Issue time of the TCB info.
        pub issued_at: UnixSeconds,
        /// Earliest end of validity in the document.
        pub expires_at: UnixSeconds,
        /// TCB evaluation data number.
        pub evaluation_data_number: u32,
        /// Height that accepted it.
        pub height: Height,
    }
}

canonical_struct! {
    /// Which generations of the state root key are in use, and how far re-encryption is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct StateKeyStatus {
        /// Generation that every write uses.
        pub newest: Generation,
        /// Generation before it, while values under it are left.
        pub previous: Option<Generation>,
        /// Tree key up to which values are re-encrypted.
        pub cursor: Digest,
        /// `true` when the next block begins a new generation.
        pub requested: bool,
    }
}

canonical_struct! {
    /// A generation of the state root key. The key itself is known to executors alone.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct StateKeyEntry {
        /// The generation.
        pub generation: Generation,
        /// Commitment to the key (`spec/confidential-state.md` §2).
        pub commitment: Digest,
        /// Height from which writes use it.
        pub opened_at: Height,
        /// Height whose block re-encrypted the last value under it; `None` while it is live.
        pub closed_at: Option<Height>,
    }
}

canonical_struct! {
    /// The public key that call data of an epoch is encrypted to.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct CallDataKeyEntry {
        /// The epoch.
        pub epoch: u64,
        /// Generation of the state root key that it hangs on.
        pub generation: Generation,
        /// The X25519 public key.
        pub public_key: X25519Key,
        /// Height that made it known: the first block of the epoch.
        pub opened_at: Height,
    }
}
