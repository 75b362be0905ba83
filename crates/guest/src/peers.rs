//! Peers (`spec/peers.md`): the other live instances of the app as the chain proves them, and messages that only they can read and
//! only they can have written.
//!
//! Invariants: an instance counts as a peer while its entry, proven a few seconds ago at most, is live, of this app, and not denied by
//! the chain; a keyset counts whose digest that entry holds; a message is opened once. Not here: how messages travel.

mod channel;
mod envelope;
mod replay;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use alloy_consensus::Transaction as _;
use alloy_sol_types::SolCall as _;
use freehold_crypto::{keccak256, keyset_digest, measurement_digest, slots::APPS};
use freehold_primitives::{
    AppId, Canonical as _, Digest, Keyset, Registration, UnixSeconds,
    entries::{DenyEntry, InstanceEntry},
};
use freehold_rpc::{HeaderReference, Peer, PeersReport, VerifiedClient, VerifiedError};
use freehold_verify::{EntryKey, VerifiedHeader};
use thiserror::Error;

use crate::{abi::IApps, clock::boot_ms, keys::Identity};

pub(crate) use channel::Channels;

/// Kind byte of the index of an app's instances (`spec/entries.md`).
const INSTANCES_INDEX: u8 = 0x80;
/// Live instances of one app (`spec/apps.md` §3).
const INSTANCES_MAX: usize = 64;
/// Entries of one proof.
const ENTRIES_MAX: usize = 64;
/// How long a look counts, in milliseconds: as long as the guest's own look at itself.
const FRESH_MS: u64 = 5_000;
/// Instances that are remembered, live or not.
const KNOWN_MAX: usize = 256;

/// Why there is no message, or no peer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum PeerError {
    #[error("{0} is no live instance of this app")]
    NotLive(Digest),
    #[error("the node does not show the registration that names the keys of {0}")]
    NoKeyset(Digest),
    #[error("the message is longer than {} bytes", freehold_rpc::PEER_MESSAGE_BYTES_MAX)]
    TooLong,
    #[error("this is no message of a peer: {0}")]
    Malformed(&'static str),
    #[error("the message is not from whom it names, or not for this instance")]
    NotAuthentic,
    #[error("message {sequence} of {from} was opened before, or is older than those that are remembered")]
    Replayed { from: Digest, sequence: u64 },
    #[error("more instances have sent messages than are remembered: this instance must be started anew")]
    TooManySenders,
    #[error("the system gives no randomness")]
    Randomness,
    #[error("the instance does not serve")]
    NotServing,
    #[error("the chain shows more instances than an app can have")]
    TooManyInstances,
    #[error(transparent)]
    Unverified(#[from] VerifiedError),
}

/// A peer as it stands.
#[derive(Clone)]
struct Standing {
    entry: InstanceEntry,
    keyset: Option<Keyset>,
}

/// When an instance was looked at, and what came of it.
struct Known {
    looked_ms: u64,
    standing: Option<Standing>,
}

/// What this instance knows of the others.
#[derive(Default)]
pub(crate) struct Peers {
    known: Mutex<BTreeMap<Digest, Known>>,
    /// One look at a time.
    turn: tokio::sync::Mutex<()>,
    channels: Channels,
}

/// Where peers are looked for.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) chain: &'a VerifiedClient,
    pub(crate) own: &'a Identity,
    /// Certified time, with the own clock since.
    pub(crate) now: UnixSeconds,
}

impl Peers {
    fn known(&self) -> MutexGuard<'_, BTreeMap<Digest, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All other live instances.
    pub(crate) async fn list(&self, ground: Ground<'_>) -> Result<PeersReport, PeerError> {
        let _turn = self.turn.lock().await;
        let app = ground.own.subject.app_id;
        let (header, ids) = instances(ground.chain, &app).await?;
        let others: Vec<Digest> = ids.into_iter().filter(|id| *id != ground.own.instance_id).collect();
        let (entries_header, found) = self.look(ground, &others).await?;
        // Who is not listed any more is looked at anew when it is asked for.
        self.known().retain(|id, _| others.contains(id));
        let oldest = entries_header.filter(|other| other.height() < header.height()).unwrap_or(header);
        let mut peers: Vec<Peer> = found.iter().map(told).collect();
        peers.sort_by_key(|peer| peer.instance_id);
        let (height, block_hash, time_unix_s) = (oldest.height(), oldest.block_hash(), oldest.time_unix_s());
        Ok(PeersReport { peers, header: HeaderReference { height, block_hash, time_unix_s } })
    }

    /// One peer, as of a few seconds ago at most.
    async fn standing(&self, ground: Ground<'_>, id: &Digest) -> Result<Standing, PeerError> {
        let recent = || {
            let known = self.known();
            let fresh = known.get(id).filter(|known| boot_ms().saturating_sub(known.looked_ms) < FRESH_MS)?;
            Some(fresh.standing.clone())
        };
        let live = |standing: Option<Standing>| {
            let standing = standing.filter(|standing| standing.entry.expires_at > ground.now);
            standing.ok_or(PeerError::NotLive(*id))
        };
        if *id == ground.own.instance_id {
            return Err(PeerError::NotLive(*id));
        }
        if let Some(standing) = recent() {
            return live(standing);
        }
        let _turn = self.turn.lock().await;
        // Another may have looked in the meantime.
        if let Some(standing) = recent() {
            return live(standing);
        }
        let (_, found) = self.look(ground, std::slice::from_ref(id)).await?;
        live(found.into_iter().next())
    }

    /// Looks at instances on the chain, and remembers what came of it: those that are live, in the order asked.
    async fn look(
        &self,
        ground: Ground<'_>,
        ids: &[Digest],
    ) -> Result<(Option<VerifiedHeader>, Vec<Standing>), PeerError> {
        if ids.is_empty() {
            return Ok((None, Vec::new()));
        }
        let keys: Vec<EntryKey> = ids.iter().map(|id| EntryKey::Instance(*id)).collect();
        let (header, entries) = ground.chain.entries::<InstanceEntry>(&keys).await?;
        let now = ground.now.max(header.time_unix_s());
        let is_live = |entry: &InstanceEntry| {
            entry.app_id == ground.own.subject.app_id && entry.closed_at.is_none() && entry.expires_at > now
        };
        let own = |(id, entry): (&Digest, Option<InstanceEntry>)| entry.filter(|entry| entry.instance_id == *id);
        let live: Vec<InstanceEntry> = ids.iter().zip(entries).filter_map(own).filter(is_live).collect();
        let denials = denials(ground.chain, &live).await?;
        let mut found = Vec::new();
        for entry in live {
            let subjects = entry.deny_subjects().into_iter();
            let mut standing = subjects.filter_map(|subject| denials.get(&subject));
            if standing.any(|denial| denial.stands(entry.tcb_level.as_ref())) {
                continue;
            }
            let keyset = self.keyset(ground.chain, &entry).await;
            found.push(Standing { entry, keyset });
        }
        self.remember(ids, &found);
        Ok((Some(header), found))
    }

    fn remember(&self, ids: &[Digest], found: &[Standing]) {
        let (looked_ms, mut known) = (boot_ms(), self.known());
        if known.len() + ids.len() > KNOWN_MAX {
            known.clear();
        }
        for id in ids {
            let standing = found.iter().find(|standing| standing.entry.instance_id == *id).cloned();
            known.insert(*id, Known { looked_ms, standing });
        }
    }

    /// The keyset of an entry: known before, or read from the registration that the entry stands on. The digest alone decides.
    async fn keyset(&self, chain: &VerifiedClient, entry: &InstanceEntry) -> Option<Keyset> {
        let is_its = |keyset: &Keyset| keyset_digest(keyset) == entry.keyset_digest;
        let before = self.known().get(&entry.instance_id).and_then(|known| known.standing.as_ref()?.keyset.clone());
        if let Some(keyset) = before.filter(is_its) {
            return Some(keyset);
        }
        let headers = chain.headers(entry.renewed_at).await.ok()??;
        match chain.block(headers.first()).await {
            Ok(block) => {
                let calls = block.transactions().iter().map(|transaction| transaction.envelope.input());
                calls.filter_map(|input| registered(input)).find(is_its)
            }
            Err(error) => {
                tracing::debug!(%error, peer = %entry.instance_id, "the registration is not shown");
                None
            }
        }
    }
}

/// The keyset that call data registers.
fn registered(input: &[u8]) -> Option<Keyset> {
    let call = IApps::registerCall::abi_decode(input).ok()?;
    Registration::from_canonical(&call.registration).ok().map(|registration| registration.keyset)
}

/// Ids of the app's instances that are not closed, under a certificate.
async fn instances(chain: &VerifiedClient, app: &AppId) -> Result<(VerifiedHeader, Vec<Digest>), PeerError> {
    let slot = keccak256(&[&[INSTANCES_INDEX], app.as_bytes()]).0;
    let (header, document) = chain.document(&APPS, &slot).await?;
    let Some(document) = document else { return Ok((header, Vec::new())) };
    let ids = Vec::<Digest>::from_canonical(&document).map_err(|_| PeerError::TooManyInstances)?;
    // Those whose lease has ended stand there too, until somebody closes them.
    if ids.len() > INSTANCES_MAX { Err(PeerError::TooManyInstances) } else { Ok((header, ids)) }
}

/// Denials of the chain that name what these instances stand on.
async fn denials(chain: &VerifiedClient, entries: &[InstanceEntry]) -> Result<BTreeMap<Subject, DenyEntry>, PeerError> {
    let mut subjects: Vec<Subject> = entries.iter().flat_map(InstanceEntry::deny_subjects).collect();
    subjects.sort();
    subjects.dedup();
    let mut found = BTreeMap::new();
    for subjects in subjects.chunks(ENTRIES_MAX) {
        let key = |(kind, subject): &Subject| EntryKey::Deny(AppId::CHAIN, *kind, subject.clone());
        let keys: Vec<EntryKey> = subjects.iter().map(key).collect();
        let (_, denials) = chain.entries::<DenyEntry>(&keys).await?;
        found.extend(subjects.iter().cloned().zip(denials).filter_map(|(subject, denial)| Some((subject, denial?))));
    }
    Ok(found)
}

/// What a denial can name: its kind and bytes.
type Subject = (freehold_primitives::entries::DenySubject, Vec<u8>);

fn told(standing: &Standing) -> Peer {
    let Standing { entry, keyset } = standing;
    let document = |keyset: &Keyset| serde_json::from_str(&keyset.to_jcs()).ok();
    Peer {
        instance_id: entry.instance_id,
        provider: entry.provider,
        account: entry.account,
        keyset_digest: entry.keyset_digest,
        keyset: keyset.as_ref().and_then(document),
        measurement: measurement_digest(&entry.measurement),
        trust_domain: entry.trust_domain.as_str().to_owned(),
        opened_at: entry.opened_at,
        expires_at: entry.expires_at,
    }
}
