//! A node's answers, checked: what this client returns stands under a certificate of the network key.
//!
//! The node can withhold and delay; it cannot lie. How old an answer is, the header beside it says.

mod answer;
mod blocks;
mod error;
mod state;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use freehold_crypto::content_digest;
use freehold_primitives::{
    Account, Canonical, Generation, Genesis, Height, NetworkKey, SuccessionRecord,
    entries::{CallDataKeyEntry, MasterEntry},
};
use freehold_verify::{
    ChainTrust, EntryError, EntryKey, FinalityError, FinalityProof, KeysError, NetworkKeys, VerifiedHeader,
    VerifiedHeaders, verify_absent_entry, verify_entry, verify_finality_under, verify_storage,
};
use tokio::time::{Instant, sleep};

pub use answer::AnswerAsked;
pub use error::VerifiedError;
pub use state::{CallReads, Proven};

use crate::{
    node::{Finality, Proof},
    node_client::NodeClient,
};

/// Pause between two looks for a certificate.
const POLL: Duration = Duration::from_millis(50);
/// Longest wait for a certificate over the height of a proof: several heartbeats.
const CERTIFICATE_WAIT: Duration = Duration::from_secs(10);
/// Tries of a whole read.
const TRIES: u32 = 3;

/// An entry under a certified header; `None` where it is proven absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<T> {
    /// The header under whose state root it stands.
    pub header: VerifiedHeader,
    /// The entry.
    pub entry: Option<T>,
}

/// A node, and the network key that its answers are held to.
#[derive(Debug, Clone)]
pub struct VerifiedClient {
    node: NodeClient,
    trust: ChainTrust,
    /// Shared by its copies: records that one of them walked count for all.
    keys: Arc<RwLock<NetworkKeys>>,
}

impl VerifiedClient {
    /// Holds `node` to `trust`.
    pub fn new(node: NodeClient, trust: ChainTrust) -> Self {
        Self { node, trust, keys: Arc::new(RwLock::new(NetworkKeys::one(trust.network_key))) }
    }

    /// Holds answers of later terms to the keys that `records` lead to (`spec/succession.md`), oldest first.
    ///
    /// # Errors
    /// Every [`KeysError`].
    pub fn succeeded_by(self, records: &[SuccessionRecord]) -> Result<Self, KeysError> {
        let keys = NetworkKeys::walk(&self.trust, records)?;
        Ok(Self { keys: Arc::new(RwLock::new(keys)), ..self })
    }

    /// The same for another node.
    #[must_use]
    pub fn of_node(&self, node: NodeClient) -> Self {
        Self { node, trust: self.trust, keys: Arc::clone(&self.keys) }
    }

    /// The network keys, by term.
    pub fn network_keys(&self) -> NetworkKeys {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the node for succession records and walks them; whether they lead to a key that was not known. A record that does
    /// not hold changes nothing.
    ///
    /// # Errors
    /// [`VerifiedError::Node`].
    pub async fn follow_successions(&self) -> Result<bool, VerifiedError> {
        let records = self.node.successions().await?;
        let Ok(found) = NetworkKeys::walk_served(&self.trust, &records) else { return Ok(false) };
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let more = found.extends(&keys);
        if more {
            *keys = found;
        }
        Ok(more)
    }

    /// The node, for what needs no check.
    pub const fn node(&self) -> &NodeClient {
        &self.node
    }

    /// What answers are held to.
    pub const fn trust(&self) -> &ChainTrust {
        &self.trust
    }

    /// Headers from `height` to the block that the first covering certificate names; `None` while there is none.
    ///
    /// # Errors
    /// [`VerifiedError::Node`], [`VerifiedError::Finality`], [`VerifiedError::OtherHeight`].
    pub async fn headers(&self, height: Height) -> Result<Option<VerifiedHeaders>, VerifiedError> {
        Ok(self.proven(height).await?.map(|(_, headers)| headers))
    }

    /// The same, with what proves them.
    async fn proven(&self, height: Height) -> Result<Option<(FinalityProof, VerifiedHeaders)>, VerifiedError> {
        let Some(finality) = self.node.finality(height).await? else { return Ok(None) };
        let proof = proof_of(finality);
        let headers = match verify_finality_under(&self.trust, &self.network_keys(), &proof) {
            // The network key of its term may be one that this client has not walked to yet.
            Err(FinalityError::Signature(_)) if self.follow_successions().await.unwrap_or(false) => {
                verify_finality_under(&self.trust, &self.network_keys(), &proof)?
            }
            other => other?,
        };
        let is_asked = headers.first().height() == height;
        if is_asked { Ok(Some((proof, headers))) } else { Err(VerifiedError::OtherHeight(height)) }
    }

    /// The newest header under a certificate above `seen`, as far as the node tells; `None` where it has no newer one.
    ///
    /// # Errors
    /// As [`Self::headers`].
    pub async fn newest_above(&self, seen: Option<Height>) -> Result<Option<VerifiedHeader>, VerifiedError> {
        let Some(block) = self.node.block("finalized").await? else { return Ok(None) };
        if seen.is_some_and(|seen| block.number.0 <= seen) {
            return Ok(None);
        }
        Ok(self.headers(block.number.0).await?.map(|headers| *headers.last()))
    }

    /// Waits for the headers from `height`.
    ///
    /// # Errors
    /// As [`Self::headers`], and [`VerifiedError::NotFinal`].
    pub async fn wait_for_headers(&self, height: Height) -> Result<VerifiedHeaders, VerifiedError> {
        let end = Instant::now() + CERTIFICATE_WAIT;
        loop {
            if let Some(headers) = self.headers(height).await? {
                return Ok(headers);
            }
            if Instant::now() >= end {
                return Err(VerifiedError::NotFinal(height));
            }
            sleep(POLL).await;
        }
    }

    /// The public key that call data is encrypted to, of the epoch that the node names, proven under the network key.
    ///
    /// # Errors
    /// Every [`VerifiedError`]; [`VerifiedError::NoCallDataKey`] where the node's key is not the chain's.
    pub async fn call_data_key(&self) -> Result<CallDataKeyEntry, VerifiedError> {
        let said = self.node.call_data_key().await?;
        let checked: Checked<CallDataKeyEntry> = self.entry(&EntryKey::CallDataKey(said.epoch)).await?;
        let entry = checked.entry.ok_or(VerifiedError::NoCallDataKey)?;
        if said.key.0 == entry.public_key.as_bytes() { Ok(entry) } else { Err(VerifiedError::NoCallDataKey) }
    }

    /// The public key of a master of the derivation key: the genesis', or one that the chain proves; `None` where it proves none.
    ///
    /// # Errors
    /// Every [`VerifiedError`].
    pub async fn master_key(
        &self,
        genesis: &Genesis,
        generation: Generation,
    ) -> Result<Option<NetworkKey>, VerifiedError> {
        if generation == 0 {
            return Ok(genesis.derivation_polynomial.first().copied());
        }
        let Checked { entry, .. } = self.entry::<MasterEntry>(&EntryKey::Master(generation)).await?;
        Ok(entry.filter(|entry| entry.generation == generation).map(|entry| entry.public_key))
    }

    /// Reads one entry at the newest executed height and waits for the certificate over it.
    ///
    /// # Errors
    /// Every [`VerifiedError`].
    pub async fn entry<T: Canonical>(&self, key: &EntryKey) -> Result<Checked<T>, VerifiedError> {
        let (header, entries) = self.entries(std::slice::from_ref(key)).await?;
        Ok(Checked { header, entry: entries.into_iter().next().flatten() })
    }

    /// Reads entries of one module and one type at the newest executed height, in the order asked, and waits for the
    /// certificate over them. At least one must be asked for.
    ///
    /// # Errors
    /// Every [`VerifiedError`].
    pub async fn entries<T: Canonical>(
        &self,
        keys: &[EntryKey],
    ) -> Result<(VerifiedHeader, Vec<Option<T>>), VerifiedError> {
        let mut tries = 1;
        loop {
            match self.entries_once(keys).await {
                // The state moved on between two calls of one read.
                Err(VerifiedError::OtherHeight(_) | VerifiedError::NoContent) if tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    /// The document that a slot of a module names, at the newest executed height; `None` where the slot is proven empty.
    ///
    /// # Errors
    /// Every [`VerifiedError`].
    pub async fn document(
        &self,
        module: &Account,
        slot: &[u8; 32],
    ) -> Result<(VerifiedHeader, Option<Vec<u8>>), VerifiedError> {
        let mut tries = 1;
        loop {
            match self.document_once(module, slot).await {
                Err(VerifiedError::OtherHeight(_) | VerifiedError::NoContent) if tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    async fn document_once(
        &self,
        module: &Account,
        slot: &[u8; 32],
    ) -> Result<(VerifiedHeader, Option<Vec<u8>>), VerifiedError> {
        let Proof { height, proofs, .. } = self.node.proof(module, std::slice::from_ref(slot)).await?;
        let header = *self.wait_for_headers(height).await?.first();
        let [leaf] = <[_; 1]>::try_from(proofs).map_err(|_| VerifiedError::OtherHeight(height))?;
        // A proof that leads elsewhere is of another height: the state moved on between two calls.
        let proven = verify_storage(&header, module, slot, &leaf.proof.0);
        let Some(digest) = proven.map_err(|_| VerifiedError::OtherHeight(height))? else { return Ok((header, None)) };
        let content = self.node.content(&digest).await?.filter(|content| content_digest(content) == digest);
        Ok((header, Some(content.ok_or(VerifiedError::NoContent)?)))
    }

    async fn entries_once<T: Canonical>(
        &self,
        keys: &[EntryKey],
    ) -> Result<(VerifiedHeader, Vec<Option<T>>), VerifiedError> {
        let module = keys.first().map_or(freehold_crypto::slots::APPS, EntryKey::module);
        let slots: Vec<[u8; 32]> = keys.iter().map(EntryKey::slot).collect();
        let Proof { height, state_root, proofs, .. } = self.node.proof(&module, &slots).await?;
        if proofs.len() != keys.len() {
            return Err(VerifiedError::OtherHeight(height));
        }
        let header = *self.wait_for_headers(height).await?.first();
        if header.state_root() != state_root {
            return Err(VerifiedError::OtherHeight(height));
        }
        let mut entries = Vec::with_capacity(keys.len());
        for (key, leaf) in keys.iter().zip(proofs) {
            let Some(value) = leaf.value else {
                verify_absent_entry(&header, key, &leaf.proof.0)?;
                entries.push(None);
                continue;
            };
            let digest = value.0.try_into().map(freehold_primitives::Digest).map_err(|_| EntryError::Content)?;
            let content = self.node.content(&digest).await?.ok_or(VerifiedError::NoContent)?;
            entries.push(Some(verify_entry(&header, key, &leaf.proof.0, &content)?));
        }
        Ok((header, entries))
    }
}

fn proof_of(finality: Finality) -> FinalityProof {
    FinalityProof {
        headers: finality.headers.into_iter().map(|header| header.0).collect(),
        payload_head: finality.payload_head.0,
        certificate: finality.certificate.0,
    }
}
