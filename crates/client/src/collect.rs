//! Fetches what a proof needs from a node. Nothing here is believed: whoever assembles a proof verifies it afterwards.
//!
//! All state is read at one height. The chain moves on between two calls, so that a read whose parts do not fit is made
//! again, a bounded number of times.

use std::time::Duration;

use freehold_crypto::{
    content_digest,
    slots::{APPS, LOG},
};
use freehold_primitives::{
    Account, AppId, Canonical, CodecError, Digest, Height,
    entries::{AppEntry, InstanceEntry},
};
use freehold_rpc::{Finality, HexBytes, LeafProof, NodeClient, NodeError, Proof};
use freehold_verify::{
    EntryKey, EntryProof, FinalityProof, HEADER_FORMAT, HeaderDocument, LowerHex, OptionalEntryProof,
    PROMISE_AUDITS_MAX, PromiseProof, StateProofSection,
};
use serde::Deserialize;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::register_call::RegisterCall;

/// Tries of a read whose parts must be of one height.
const TRIES: u32 = 10;
/// Pause between two tries, and between two looks for a certificate.
const POLL: Duration = Duration::from_millis(50);
/// Longest wait for a certificate: several heartbeats.
const CERTIFICATE_WAIT: Duration = Duration::from_secs(10);

/// Why the parts of a proof cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CollectError {
    /// The node gave no usable answer.
    #[error("{0}")]
    Node(#[source] Box<NodeError>),
    /// The chain knows no such entry.
    #[error("the node's state holds no {0} entry")]
    NoEntry(&'static str),
    /// The node lacks bytes that its state names.
    #[error("the node has not the content {0}, which its state names: ask another node")]
    NoContent(Digest),
    /// An entry is malformed.
    #[error("an entry of the node is malformed: {0}")]
    Entry(#[from] CodecError),
    /// The node's answers never fitted together.
    #[error("the node's answers did not fit one height after {TRIES} tries: try again")]
    Moving,
    /// No certificate in time.
    #[error("no certificate covered height {0} within {CERTIFICATE_WAIT:?}: is the network making blocks?")]
    NotFinal(Height),
    /// No registration in the block that the entry names.
    #[error("block {0} holds no registration of this instance: ask a node that keeps old blocks")]
    NoRegistration(Height),
}

impl From<NodeError> for CollectError {
    fn from(source: NodeError) -> Self {
        Self::Node(Box::new(source))
    }
}

/// A leaf with its content.
struct Leaf {
    value: Option<Digest>,
    content: Option<Vec<u8>>,
    proof: Vec<u8>,
}

/// What else of the state a proof is to hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Index of the anchor.
    pub(crate) anchor: Option<u64>,
    /// What the app promises about its upgrades, with the words of these auditors: of the first
    /// [`PROMISE_AUDITS_MAX`].
    pub(crate) promise: Option<&'a [Account]>,
}

/// State of one instance at one height.
pub(crate) struct StateParts {
    pub(crate) section: StateProofSection,
    pub(crate) instance: InstanceEntry,
}

/// Reads what a proof needs of the state; with an anchor, once the node has it.
pub(crate) async fn state(
    node: &NodeClient,
    instance_id: Digest,
    wanted: Wanted<'_>,
) -> Result<StateParts, CollectError> {
    for _ in 0..TRIES {
        if let Some(parts) = state_once(node, instance_id, wanted).await? {
            return Ok(parts);
        }
        sleep(POLL).await;
    }
    Err(CollectError::Moving)
}

async fn state_once(
    node: &NodeClient,
    instance_id: Digest,
    wanted: Wanted<'_>,
) -> Result<Option<StateParts>, CollectError> {
    let key = EntryKey::Instance(instance_id);
    let first = leaves(node, &APPS, std::slice::from_ref(&key)).await?;
    let Some(content) = first.1.into_iter().next().and_then(|leaf| leaf.content) else {
        return Err(CollectError::NoEntry("instance"));
    };
    let instance = InstanceEntry::from_canonical(&content)?;
    let mut keys =
        vec![key, EntryKey::AppVersion(instance.app_id, instance.app_version), EntryKey::App(instance.app_id)];
    let subjects = instance.deny_entries();
    let deny_count = subjects.len();
    keys.extend(subjects.into_iter().map(|(app, kind, subject)| EntryKey::Deny(app, kind, subject)));
    let promise = match wanted.promise {
        Some(auditors) => Some(PromiseKeys::of(node, &instance.app_id, auditors).await?),
        None => None,
    };
    keys.extend(promise.iter().flat_map(|promise| promise.keys.iter().cloned()));
    let anchor_key: Vec<EntryKey> = wanted.anchor.iter().map(|index| EntryKey::Anchor(instance_id, *index)).collect();
    let (height, apps) = leaves(node, &APPS, &keys).await?;
    let mut anchors = Vec::new();
    if !anchor_key.is_empty() {
        let (other, found) = leaves(node, &LOG, &anchor_key).await?;
        if other != height || found.iter().any(|leaf| leaf.content.is_none()) {
            return Ok(None);
        }
        anchors = found;
    }
    let mut apps = apps.into_iter();
    let (Some(instance_leaf), Some(version), Some(app)) = (apps.next(), apps.next(), apps.next()) else {
        return Ok(None);
    };
    if instance_leaf.content.as_ref() != Some(&content) {
        return Ok(None);
    }
    if promise.as_ref().is_some_and(|promise| app.content.as_deref().map(content_digest) != promise.app) {
        return Ok(None);
    }
    let denied = apps.by_ref().take(deny_count).map(optional).collect();
    let section = StateProofSection {
        anchor: anchors.into_iter().next().map(|leaf| present(leaf, "anchor")).transpose()?,
        app: present(app, "app")?,
        app_version: present(version, "app version")?,
        denied,
        height,
        instance: present(instance_leaf, "instance")?,
        promise: promise.map(|promise| promise.section(apps)).transpose()?,
    };
    Ok(Some(StateParts { section, instance }))
}

/// Where what an app promises stands. Audits are of a policy, so that the app has to be known first.
struct PromiseKeys<'a> {
    /// Content digest of the app entry that the keys follow from.
    app: Option<Digest>,
    auditors: &'a [Account],
    keys: Vec<EntryKey>,
}

impl<'a> PromiseKeys<'a> {
    async fn of(node: &NodeClient, app_id: &AppId, auditors: &'a [Account]) -> Result<Self, CollectError> {
        let auditors = &auditors[..auditors.len().min(PROMISE_AUDITS_MAX)];
        let found = leaves(node, &APPS, &[EntryKey::App(*app_id)]).await?.1.into_iter().next();
        let content = found.and_then(|leaf| leaf.content).ok_or(CollectError::NoEntry("app"))?;
        let policy = content_digest(&AppEntry::from_canonical(&content)?.policy.to_canonical());
        let audits = auditors.iter().map(|auditor| EntryKey::Audit(*auditor, *app_id, policy));
        let keys = std::iter::once(EntryKey::Upgrade(*app_id)).chain(audits).collect();
        Ok(Self { app: Some(content_digest(&content)), auditors, keys })
    }

    /// The section, of the leaves in the order of the keys.
    fn section(&self, mut leaves: impl Iterator<Item = Leaf>) -> Result<PromiseProof, CollectError> {
        let upgrade = optional(leaves.next().ok_or(CollectError::Moving)?);
        let audits = self.auditors.iter().copied().zip(leaves.map(optional)).collect();
        Ok(PromiseProof { audits, upgrade })
    }
}

fn present(leaf: Leaf, name: &'static str) -> Result<EntryProof, CollectError> {
    let content = leaf.content.ok_or(CollectError::NoEntry(name))?;
    Ok(EntryProof { content: content.into(), proof: leaf.proof.into() })
}

fn optional(leaf: Leaf) -> OptionalEntryProof {
    OptionalEntryProof { content: leaf.content.map(Into::into), proof: leaf.proof.into() }
}

/// Leaves of one module at one height, with the content that their values name.
async fn leaves(node: &NodeClient, module: &Account, keys: &[EntryKey]) -> Result<(Height, Vec<Leaf>), CollectError> {
    let slots: Vec<[u8; 32]> = keys.iter().map(EntryKey::slot).collect();
    let Proof { height, proofs, .. } = node.proof(module, &slots).await?;
    if proofs.len() != slots.len() {
        return Err(CollectError::Moving);
    }
    let mut out = Vec::with_capacity(proofs.len());
    for LeafProof { value, proof, .. } in proofs {
        let value = value.and_then(|value| value.0.try_into().ok()).map(Digest);
        let content = match &value {
            Some(digest) => Some(node.content(digest).await?.ok_or(CollectError::NoContent(*digest))?),
            None => None,
        };
        out.push(Leaf { value, content, proof: proof.0 });
    }
    debug_assert!(out.iter().all(|leaf| leaf.value.is_some() == leaf.content.is_some()), "content follows value");
    Ok((height, out))
}

/// Waits for the run of headers from `height` under a certificate.
pub(crate) async fn finality(node: &NodeClient, height: Height) -> Result<FinalityProof, CollectError> {
    let end = Instant::now() + CERTIFICATE_WAIT;
    loop {
        if let Some(Finality { headers, payload_head, certificate, .. }) = node.finality(height).await? {
            let headers = headers.into_iter().map(|header| header.0).collect();
            return Ok(FinalityProof { headers, payload_head: payload_head.0, certificate: certificate.0 });
        }
        if Instant::now() >= end {
            return Err(CollectError::NotFinal(height));
        }
        sleep(POLL).await;
    }
}

#[derive(Deserialize)]
struct FullBlock {
    transactions: Vec<FullTransaction>,
}

#[derive(Deserialize)]
struct FullTransaction {
    to: Option<Account>,
    input: HexBytes,
}

/// The registration that the entry's newest evidence came with, out of the block that recorded it.
pub(crate) async fn registration(node: &NodeClient, entry: &InstanceEntry) -> Result<RegisterCall, CollectError> {
    let height = entry.renewed_at;
    let block: Option<FullBlock> = node.call("eth_getBlockByNumber", (format!("{height:#x}"), true)).await?;
    block
        .into_iter()
        .flat_map(|block| block.transactions)
        .filter(|transaction| transaction.to == Some(APPS))
        .filter_map(|transaction| RegisterCall::read(&transaction.input.0))
        .find(|call| content_digest(&call.evidence) == entry.evidence_digest)
        .ok_or(CollectError::NoRegistration(height))
}

/// The collateral documents that judged the entry's evidence, in its order.
pub(crate) async fn collateral(node: &NodeClient, entry: &InstanceEntry) -> Result<Vec<Vec<u8>>, CollectError> {
    let mut documents = Vec::with_capacity(entry.collateral_digests.len());
    for digest in &entry.collateral_digests {
        documents.push(node.content(digest).await?.ok_or(CollectError::NoContent(*digest))?);
    }
    Ok(documents)
}

/// A header file for an instance: how it stands on the chain now (`spec/proof-bundle.md` §6).
pub(crate) async fn header_file(node: &NodeClient, instance_id: Digest) -> Result<HeaderDocument, CollectError> {
    let parts = state(node, instance_id, Wanted { anchor: None, promise: None }).await?;
    let run = finality(node, parts.section.height).await?;
    Ok(HeaderDocument {
        app: parts.section.app,
        certificate: run.certificate.into(),
        denied: parts.section.denied,
        format: HEADER_FORMAT.to_owned(),
        headers: run.headers.into_iter().map(LowerHex).collect(),
        instance: parts.section.instance,
        payload_head: run.payload_head.into(),
    })
}
