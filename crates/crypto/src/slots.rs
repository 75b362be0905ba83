//! Where state lies: module addresses, keys of the state tree, slots of entries (`spec/encoding.md` §4).
//!
//! `ledger` writes by these functions and `verify` reads by them; nothing else makes a slot.

use freehold_primitives::{
    Account, AppId, Digest, Generation, Term,
    entries::{CollateralKind, DenySubject, EntryKind},
};

use crate::hash::{hash, keccak256};

const fn module(last: u8) -> Account {
    let mut bytes = [0; 20];
    bytes[17] = 0xf4;
    bytes[18] = 0xee;
    bytes[19] = last;
    Account(bytes)
}

/// Apps, their instances, deny entries and used evidence.
pub const APPS: Account = module(1);
/// Grants of derived keys.
pub const KEYS: Account = module(2);
/// Anchors of receipt logs.
pub const LOG: Account = module(3);
/// Collateral of trust domains.
pub const COLLATERAL: Account = module(4);
/// Validators and their terms.
pub const VALIDATORS: Account = module(5);
/// Models.
pub const MODELS: Account = module(6);
/// Visibility of an account's storage.
pub const VISIBILITY: Account = module(7);

const TREE_DOMAIN: &str = "freehold tree";

/// Key of an account's leaf in the state tree.
pub fn account_key(account: &Account) -> Digest {
    hash(TREE_DOMAIN, &[&[1], account.as_bytes()])
}

/// Key of a public storage slot's leaf in the state tree.
pub fn storage_key(account: &Account, slot: &[u8; 32]) -> Digest {
    hash(TREE_DOMAIN, &[&[2], account.as_bytes(), slot])
}

/// Slot of an entry: keccak-256 of its kind byte and its id.
pub fn entry_slot(kind: EntryKind, id: &[u8]) -> [u8; 32] {
    keccak256(&[&[kind as u8], id]).0
}

/// Module that holds entries of a kind.
pub const fn entry_module(kind: EntryKind) -> Account {
    match kind {
        EntryKind::App
        | EntryKind::AppVersion
        | EntryKind::Instance
        | EntryKind::UsedEvidence
        | EntryKind::Account
        | EntryKind::Deny
        | EntryKind::Governor
        | EntryKind::Protocol
        | EntryKind::Tier
        | EntryKind::Lease
        | EntryKind::Settings
        | EntryKind::Upgrade
        | EntryKind::Audit
        | EntryKind::Metadata => APPS,
        EntryKind::Grant
        | EntryKind::StateKeyStatus
        | EntryKind::StateKey
        | EntryKind::CallDataKey
        | EntryKind::KeyContext => KEYS,
        EntryKind::Anchor | EntryKind::Log | EntryKind::Counters => LOG,
        EntryKind::Collateral | EntryKind::Verifier => COLLATERAL,
        EntryKind::Validator
        | EntryKind::Committee
        | EntryKind::Players
        | EntryKind::Roster
        | EntryKind::Turn
        | EntryKind::Succession
        | EntryKind::Masters
        | EntryKind::Master => VALIDATORS,
    }
}

/// Id bytes of an [`EntryKind::AppVersion`] entry: app id, version.
pub fn app_version_id(app: &AppId, version: u32) -> [u8; 25] {
    let mut id = [0; 25];
    id[..21].copy_from_slice(app.as_bytes());
    id[21..].copy_from_slice(&version.to_be_bytes());
    id
}

/// Id bytes of an [`EntryKind::Deny`] entry: app id, kind byte of the subject, the subject without a level.
pub fn deny_id(app: &AppId, kind: DenySubject, subject: &[u8]) -> Vec<u8> {
    [app.as_bytes().as_slice(), &[kind as u8], subject].concat()
}

/// Id bytes of an [`EntryKind::Anchor`] entry: instance id, index.
pub fn anchor_id(instance: &Digest, index: u64) -> [u8; 40] {
    let mut id = [0; 40];
    id[..32].copy_from_slice(instance.as_bytes());
    id[32..].copy_from_slice(&index.to_be_bytes());
    id
}

/// Id bytes of [`EntryKind::Lease`] and [`EntryKind::Counters`] entries: app id, name of the lease.
pub fn lease_id(app: &AppId, name: &str) -> Vec<u8> {
    [app.as_bytes().as_slice(), name.as_bytes()].concat()
}

/// Id bytes of an [`EntryKind::Audit`] entry: auditor, app id, content digest of the policy.
pub fn audit_id(auditor: &Account, app: &AppId, policy: &Digest) -> [u8; 73] {
    let mut id = [0; 73];
    id[..20].copy_from_slice(auditor.as_bytes());
    id[20..41].copy_from_slice(app.as_bytes());
    id[41..].copy_from_slice(policy.as_bytes());
    id
}

/// Id bytes of the one [`EntryKind::Governor`] entry.
pub const GOVERNOR_ID: [u8; 0] = [];

/// Id bytes of the one [`EntryKind::Protocol`] entry.
pub const PROTOCOL_ID: [u8; 0] = [];

/// Id bytes of an [`EntryKind::Tier`] entry: its number.
pub const fn tier_id(tier: u8) -> [u8; 1] {
    [tier]
}

/// Id bytes of the one [`EntryKind::StateKeyStatus`] entry.
pub const STATE_KEY_STATUS_ID: [u8; 0] = [];

/// Id bytes of an [`EntryKind::StateKey`] entry: the generation.
pub const fn state_key_id(generation: Generation) -> [u8; 4] {
    generation.to_be_bytes()
}

/// Id bytes of an [`EntryKind::CallDataKey`] entry: the epoch.
pub const fn call_data_key_id(epoch: u64) -> [u8; 8] {
    epoch.to_be_bytes()
}

/// Id bytes of an [`EntryKind::Collateral`] entry: kind byte, key.
pub fn collateral_id(kind: CollateralKind, key: &[u8]) -> Vec<u8> {
    [&[kind as u8], key].concat()
}

/// Id bytes of an [`EntryKind::KeyContext`] entry: app id, context.
pub fn key_context_id(app: &AppId, context: &str) -> Vec<u8> {
    [app.as_bytes().as_slice(), context.as_bytes()].concat()
}

/// Slot in `Keys` that counts the grants ever made for an app; no verifier reads it.
pub fn grants_made_slot(app: &AppId) -> [u8; 32] {
    keccak256(&[&[GRANTS_MADE_INDEX], app.as_bytes().as_slice()]).0
}

/// Id bytes of the one [`EntryKind::Verifier`] entry.
pub const VERIFIER_ID: [u8; 0] = [];

/// Id bytes of the one [`EntryKind::Roster`] entry.
pub const ROSTER_ID: [u8; 0] = [];

/// Id bytes of an [`EntryKind::Master`] entry: its generation.
pub const fn master_id(generation: Generation) -> [u8; 4] {
    generation.to_be_bytes()
}

/// Id bytes of an [`EntryKind::Committee`], [`EntryKind::Players`], [`EntryKind::Turn`], [`EntryKind::Succession`] or
/// [`EntryKind::Masters`] entry: the term.
pub const fn term_id(term: Term) -> [u8; 8] {
    term.to_be_bytes()
}

/// Slot in `Validators` that holds the sum of all bonds; whatever its balance is above that are fees.
pub fn bonded_slot() -> [u8; 32] {
    keccak256(&[&[BONDED_INDEX]]).0
}

/// Kind byte of the sum of all bonds.
const BONDED_INDEX: u8 = 0x84;
/// Kind byte of the count of an app's grants.
const GRANTS_MADE_INDEX: u8 = 0x90;
/// Kind byte of the index of a subject's shadow; indexes are from 128 on, and no verifier reads them.
const SHADOW_INDEX: u8 = 0x82;

/// Slot in `Apps` that counts the instances in the shadow of a subject (`spec/entries.md`).
pub fn shadow_count_slot(kind: DenySubject, key: &[u8]) -> [u8; 32] {
    keccak256(&[&[SHADOW_INDEX, kind as u8], key]).0
}

/// Slot in `Apps` that holds the id of the instance at `place` in the shadow of a subject.
pub fn shadow_slot(kind: DenySubject, key: &[u8], place: u64) -> [u8; 32] {
    let of_subject = keccak256(&[&[kind as u8], key]);
    keccak256(&[&[SHADOW_INDEX + 1], of_subject.as_bytes(), &place.to_be_bytes()]).0
}

/// Id of a grant: which instance gets which generation of which context.
pub fn grant_id(instance: &Digest, context: &str, generation: Generation) -> Digest {
    hash("freehold grant", &[instance.as_bytes(), &generation.to_be_bytes(), context.as_bytes()])
}
