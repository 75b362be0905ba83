//! Key service: encrypted shares of granted keys, from validators to anyone who asks (design D5, `spec/key-service.md`).
//!
//! A share leaves only for a live grant of an instance that the chain does not deny, or for a registered executor (a state
//! root key, `spec/confidential-state.md` §7), encrypted to the transport key that
//! the ledger recorded, and never when this validator's newest header is older than [`HEADER_AGE_S_MAX`]. Shares of the
//! master never leave; nothing here combines shares. What is served follows the term: [`Desk`] holds no share of a term
//! that is over, and never puts shares of two terms together. This file is the actor; what it decides is the desk's.

mod board;
mod desk;
mod grants;
mod refusal;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use freehold_consensus::{Gossip, GossipReceiver, GossipSender, IdentityKey, TermKeys};
use freehold_crypto::{genesis_hash, state_grant_id};
use freehold_primitives::{Canonical as _, Digest, Ed25519Key, Generation, Term};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{debug, error, warn};

pub(crate) use self::refusal::ShareError;
use self::{
    desk::{Desk, Signer},
    grants::ChainGrants,
};
use crate::{
    shared::Shared,
    wire::{ShareMessage, SignedShare},
};

/// Nothing is served when the newest header is older than this.
pub(crate) const HEADER_AGE_S_MAX: u64 = 10;
/// Longest wait for the other validators' shares.
const COLLECT_WAIT: Duration = Duration::from_secs(3);
/// Pause before validators that refused are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Shares of one derived key, all of one term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Released {
    /// The term whose polynomial they belong to.
    pub(crate) term: Term,
    /// Encrypted shares by the index of their validator.
    pub(crate) shares: BTreeMap<u32, Vec<u8>>,
}

/// The key service of one validator.
pub(crate) struct KeyService {
    desk: Desk<ChainGrants>,
    sender: GossipSender,
    /// Where proofs of wrong shares are kept.
    folder: PathBuf,
}

impl KeyService {
    /// Makes the service and the task that answers the other validators. What it serves follows `terms`; it signs with the
    /// validator's identity, and keeps in its folder what proves a lie.
    pub(crate) fn start(
        shared: Arc<Shared>,
        terms: watch::Receiver<TermKeys>,
        gossip: Gossip,
        (identity, folder): (IdentityKey, PathBuf),
    ) -> Arc<Self> {
        let signer = Signer { identity, genesis: genesis_hash(shared.chain.genesis()) };
        let desk = Desk::new(ChainGrants::new(shared), signer, terms);
        let service = Arc::new(Self { desk, sender: gossip.sender, folder });
        tokio::spawn(Arc::clone(&service).answer(gossip.receiver));
        service
    }

    /// The shares of a state root key for an executor, as [`Self::collect`].
    ///
    /// # Errors
    /// As [`Self::collect`].
    pub(crate) async fn collect_state(
        self: Arc<Self>,
        instance: Digest,
        generation: Generation,
    ) -> Result<Released, ShareError> {
        let service = Arc::clone(&self);
        let named = tokio::task::spawn_blocking(move || service.desk.grants().name_state(instance, generation));
        let id = named.await.map_err(|_| ShareError::State)??;
        self.collect(id).await
    }

    /// The shares of a live grant, enough of them to make the key: this validator's at once, the others' as they come.
    ///
    /// # Errors
    /// Any [`ShareError`]; [`ShareError::TooFew`] where too few came in time.
    pub(crate) async fn collect(self: Arc<Self>, grant: Digest) -> Result<Released, ShareError> {
        let end = Instant::now() + COLLECT_WAIT;
        loop {
            let service = Arc::clone(&self);
            let begun = tokio::task::spawn_blocking(move || service.desk.begin(&grant));
            let (wanted, mut changes) = begun.await.map_err(|_| ShareError::State)??;
            if !wanted.is_done() {
                let _dropped = self.sender.broadcast(self.desk.grants().ask(&grant).to_canonical());
                let done = async { while !wanted.is_done() && changes.changed().await.is_ok() {} };
                let _elapsed = tokio::time::timeout_at(end, done).await;
            }
            match wanted.released() {
                // Others may be a block behind: they refuse now and serve in a moment.
                Err(ShareError::TooFew { .. }) if Instant::now() + ASK_AGAIN < end => sleep(ASK_AGAIN).await,
                released => return released,
            }
        }
    }

    /// Answers the other validators and takes what they send, one after another. The link says who sent a message.
    async fn answer(self: Arc<Self>, mut receiver: GossipReceiver) {
        while let Some((peer, bytes)) = receiver.recv().await {
            let Ok(message) = ShareMessage::from_canonical(&bytes) else {
                debug!(%peer, "message of no known form dropped");
                continue;
            };
            let service = Arc::clone(&self);
            let handled = tokio::task::spawn_blocking(move || service.handle(&peer, message)).await;
            if let Some(reply) = handled.ok().flatten() {
                let _dropped = self.sender.send(&peer, reply.to_canonical());
            }
        }
    }

    fn handle(&self, peer: &Ed25519Key, message: ShareMessage) -> Option<ShareMessage> {
        match message {
            ShareMessage::Ask { grant } => Some(self.own(grant)),
            ShareMessage::AskState { instance, generation } => {
                Some(match self.desk.grants().name_state(instance, generation) {
                    Ok(id) => self.own(id),
                    Err(error) => {
                        debug!(%instance, generation, %error, "no share of a state root key served");
                        ShareMessage::Refused { grant: state_grant_id(&instance, generation), code: error.code() }
                    }
                })
            }
            ShareMessage::Share { grant, signed } => {
                match self.desk.take(peer, &grant, &signed) {
                    Ok(()) => {}
                    Err(ShareError::Wrong) => self.keep_proof(peer, &grant, signed),
                    Err(error) => debug!(%peer, %grant, term = signed.term, %error, "share not taken"),
                }
                None
            }
            ShareMessage::Refused { grant, code } => {
                debug!(%peer, %grant, code, "a validator serves no share");
                self.desk.refused(peer, &grant);
                None
            }
        }
    }

    /// Keeps what proves that a peer signed a wrong share: one proof of each in a term, for `freehold validator report`.
    fn keep_proof(&self, peer: &Ed25519Key, grant: &Digest, signed: SignedShare) {
        let Some(report) = self.desk.report(peer, grant, signed) else { return };
        let path = self.folder.join(format!("wrong-share-{}-{}.json", report.term, report.member));
        warn!(%peer, %grant, term = report.term, proof = %path.display(), "a validator signed a wrong share");
        if path.exists() {
            return;
        }
        let proof = serde_json::json!({ "report": format!("0x{}", hex::encode(report.to_canonical())) });
        if let Err(error) = std::fs::write(&path, format!("{proof}\n")) {
            error!(%error, "the proof of a wrong share could not be kept");
        }
    }

    fn own(&self, grant: Digest) -> ShareMessage {
        match self.desk.own(&grant) {
            Ok(signed) => ShareMessage::Share { grant, signed },
            Err(error) => {
                debug!(%grant, %error, "no share served");
                ShareMessage::Refused { grant, code: error.code() }
            }
        }
    }
}

#[cfg(test)]
mod tests;
