//! Entries of the system modules: what `ledger` writes and `verify` reads (`spec/entries.md`).
//!
//! An entry is a canonical document, kept content-addressed; its digest stands in one storage slot of its module, so
//! that one slot proof proves the whole entry. Entries are never deleted, only closed. Slots: `freehold_crypto::slots`.

mod context;
mod denial;
mod lease;
mod master;
mod metadata;
mod protocol;
mod settings;
#[cfg(test)]
mod tests;
mod tier;
mod upgrade;
mod validator;

pub use self::{
    context::KeyContextEntry,
    denial::{DENIALS_MAX, Denial, DenyEntry, DenySubject, NamedSubject, TcbLevel, generation, tcb_family},
    lease::{
        COUNTERS_MAX, CounterValue, CountersEntry, LEASE_FENCE_CODE, LEASE_HELD_CODE, LEASE_NAME_BYTES_MAX, LeaseEntry,
        NAMED_LEASE_S_RANGE, NOT_LIVE_CODE, is_lease_name,
    },
    master::{MasterEntry, MasterRound, MastersEntry},
    metadata::{
        METADATA_BYTES_MAX, METADATA_KEY_BYTES_MAX, METADATA_PAIRS_MAX, METADATA_PREFIX, METADATA_VALUE_BYTES_MAX,
        Metadata, MetadataEntry, MetadataPair,
    },
    protocol::{ProtocolSchedule, RELEASE_BYTES_MAX},
    settings::{
        AppSettings, SETTING_BYTES_MAX, SETTING_NAME_BYTES_MAX, SETTINGS_BYTES_MAX, SETTINGS_CONTEXT, SETTINGS_MAX,
        SPENDING_CONTRACTS_MAX, Setting, SettingForm, SettingsEntry, SpendingLimits, is_reserved_setting,
        is_setting_name, is_variable_name,
    },
    tier::{GovernorEntry, TIER_NAME_BYTES_MAX, TIERS_MAX, TierEntry},
    upgrade::{
        ANNOUNCEMENT_LAPSE_S, AUDIT_PLACE_BYTES_MAX, AuditEntry, AuditVerdict, COSIGNERS_MAX, NOTICE_S_MAX,
        POLICIES_STOOD_MAX, PolicyInForce, PolicyStood, UpgradeAnnouncement, UpgradeChange, UpgradeEntry, UpgradeRule,
        UpgradeState,
    },
    validator::{
        CommitteeEntry, Peer, PlayersEntry, RosterEntry, SuccessionEntry, TurnAct, TurnEntry, TurnEvent,
        ValidatorEntry, ValidatorState,
    },
};

use crate::{
    codec::Blob,
    evidence::EvidenceKind,
    ids::{Account, AppId, Digest, G1Point, Generation, Height, PlatformFamily, UnixSeconds, X25519Key},
    measurement::Measurement,
    payload::TrustDomain,
    policy::{AppPolicy, TcbStatus},
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
        /// [`DenyEntry`] in `Apps`, by (app id, subject kind, subject).
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
        /// [`GovernorEntry`] in `Apps`, under an empty id: one entry, written again.
        Governor = 14,
        /// [`TierEntry`] in `Apps`, by number.
        Tier = 15,
        /// [`VerifierSchedule`] in `Collateral`, under an empty id: one entry, written again.
        Verifier = 16,
        /// [`ValidatorEntry`] in `Validators`, by identity key.
        Validator = 20,
        /// [`CommitteeEntry`] in `Validators`, by term.
        Committee = 21,
        /// [`PlayersEntry`] in `Validators`, by term.
        Players = 22,
        /// [`RosterEntry`] in `Validators`, under an empty id: one entry, written again.
        Roster = 23,
        /// [`TurnEntry`] in `Validators`, by term.
        Turn = 24,
        /// [`SuccessionEntry`] in `Validators`, by term.
        Succession = 25,
        /// [`MastersEntry`] in `Validators`, by term.
        Masters = 26,
        /// [`ProtocolSchedule`] in `Apps`, under an empty id: one entry, written again.
        Protocol = 32,
        /// [`KeyContextEntry`] in `Keys`, by (app id, context).
        KeyContext = 40,
        /// [`MasterEntry`] in `Validators`, by generation.
        Master = 41,
        /// [`LeaseEntry`] in `Apps`, by (app id, name).
        Lease = 30,
        /// [`CountersEntry`] in `Log`, by (app id, name of the lease).
        Counters = 31,
        /// [`SettingsEntry`] in `Apps`, by app id.
        Settings = 33,
        /// [`UpgradeEntry`] in `Apps`, by app id.
        Upgrade = 34,
        /// [`AuditEntry`] in `Apps`, by (auditor, app id, policy).
        Audit = 35,
        /// [`MetadataEntry`] in `Apps`, by instance id.
        Metadata = 36,
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
        /// Digests of the collateral documents that judged it, kept content-addressed: of the primary, then of each GPU.
        pub collateral_digests: Vec<Digest>,
        /// Height and hash of the block whose hash was the nonce of the newest evidence.
        pub nonce_height: Height,
        /// Hash of that block.
        pub nonce: Digest,
        /// Header time of the parent of the block that registered it: the verifier's `now`.
        pub judged_at_unix_s: UnixSeconds,
        /// Kind of the newest evidence.
        pub evidence_kind: EvidenceKind,
        /// Trust domain of the root under which the evidence verified.
        pub trust_domain: TrustDomain,
        /// What the evidence showed.
        pub measurement: Measurement,
        /// TCB status that it had; `None` for vendors without such statuses.
        pub tcb_status: Option<TcbStatus>,
        /// TCB level that it had; `None` for vendors without levels.
        pub tcb_level: Option<TcbLevel>,
        /// The lowest level that any of its evidence had.
        pub tcb_level_lowest: Option<TcbLevel>,
        /// Highest tier that the evidence satisfies; 0 for none.
        pub tier: u8,
        /// The platform: SHA-256 of its PPID, chip id or module id.
        pub platform: Digest,
        /// Platform family.
        pub family: PlatformFamily,
        /// GPUs beside the CPU TEE, in the order of the evidence.
        pub gpus: Vec<GpuRecord>,
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
    /// A GPU whose evidence verified beside an instance's own.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct GpuRecord {
        /// Family: its architecture.
        pub family: PlatformFamily,
        /// The device.
        pub platform: Digest,
    }
}

canonical_struct! {
    /// Which version of the verifier judges evidence, by height. Where there is no entry, it is the first everywhere.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct VerifierSchedule {
        /// Version in force below `next_from`.
        pub current: u32,
        /// Version in force from `next_from` on.
        pub next: u32,
        /// First height at which `next` judges.
        pub next_from: Height,
    }
}

impl VerifierSchedule {
    /// The schedule of a chain that never announced a version.
    pub const FIRST: Self = Self { current: 1, next: 1, next_from: 0 };

    /// The version that judges evidence in the block at `height`.
    pub const fn at(&self, height: Height) -> u32 {
        if height < self.next_from { self.current } else { self.next }
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
        /// Version of the verifier that judged it.
        pub verifier: u32,
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
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum CollateralKind {
        /// DCAP collateral for TDX (TCB info `TDX`, QE identity `TD_QE`, both CRLs and their chains).
        Dcap = 1,
        /// DCAP collateral for SGX (TCB info `SGX`, QE identity `QE`, both CRLs and their chains).
        SgxDcap = 2,
        /// AMD's chain and revocation list of one product.
        Snp = 3,
        /// NVIDIA's authorities above the devices of one provisioner.
        Nvidia = 4,
        /// AWS Nitro's chain.
        Nitro = 5,
    }
}

impl CollateralKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Dcap, Self::SgxDcap, Self::Snp, Self::Nvidia, Self::Nitro];

    /// The kind that judges this kind of evidence; `None` for a bundle, whose parts have their own.
    pub const fn of(kind: EvidenceKind) -> Option<Self> {
        match kind {
            EvidenceKind::Tdx => Some(Self::Dcap),
            EvidenceKind::Sgx => Some(Self::SgxDcap),
            EvidenceKind::Snp => Some(Self::Snp),
            EvidenceKind::Nvidia => Some(Self::Nvidia),
            EvidenceKind::Nitro => Some(Self::Nitro),
            EvidenceKind::Bundle => None,
        }
    }

    /// The kind with this tag.
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == tag)
    }
}

/// Key of collateral within its kind, for every kind but NVIDIA: trust domain, platform family.
pub fn collateral_key(domain: TrustDomain, family: &PlatformFamily) -> [u8; 7] {
    let mut key = [domain as u8; 7];
    key[1..].copy_from_slice(family.as_bytes());
    key
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
        /// Issue time of the newest statement in it.
        pub issued_at: UnixSeconds,
        /// Earliest end of validity in the document.
        pub expires_at: UnixSeconds,
        /// Numbers that may not fall, by kind (`spec/collateral.md`); for DCAP the TCB evaluation data number and the numbers of
        /// the root's and the PCK CA's revocation lists.
        pub numbers: Vec<u64>,
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

impl StateKeyStatus {
    /// Generations whose keys executors hold: all up to the newest, and three ahead of it (`spec/confidential-state.md` §2).
    #[must_use]
    pub const fn held(&self) -> core::ops::RangeInclusive<Generation> {
        0..=self.newest.saturating_add(3)
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
