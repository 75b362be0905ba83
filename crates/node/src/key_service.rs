//! Key service: encrypted shares of granted keys, from validators to anyone who asks (design D5).
//!
//! A share leaves only for a live grant of an instance that the chain does not deny, encrypted to the transport key that
//! the ledger recorded, and never when this validator's newest header is older than [`HEADER_AGE_S_MAX`]. Shares of the
//! master never leave; nothing here combines shares.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use freehold_consensus::{Gossip, GossipReceiver, GossipSender, TermKeys};
use freehold_crypto::{Derivation, Share, encrypt_share};
use freehold_primitives::{Blob, Canonical as _, Digest, NetworkKey, entries::GrantEntry};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use thiserror::Error;
use tokio::sync::watch;
use tracing::debug;

use crate::{shared::Shared, wire::ShareMessage};

/// Nothing is served when the newest header is older than this.
const HEADER_AGE_S_MAX: u64 = 10;
/// Grants whose shares are kept.
const GRANTS_MAX: usize = 512;
/// Longest wait for the other validators' shares.
const COLLECT_WAIT: Duration = Duration::from_secs(3);
/// Longest encrypted share.
const SHARE_BYTES_MAX: usize = 256;

/// Why no share is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum ShareError {
    /// The ledger has no such grant.
    #[error("no such grant")]
    Unknown,
    /// The grant was closed, or its time is over.
    #[error("the grant is closed or expired")]
    Closed,
    /// The chain denies what the grant's instance stands on.
    #[error("the chain denies what the instance stands on")]
    Denied,
    /// This validator's newest header is too old to say that a grant is live.
    #[error("this validator's newest header is older than {HEADER_AGE_S_MAX} s")]
    Stale,
    /// The recorded transport key is no key.
    #[error("the grant's transport key is not valid")]
    TransportKey,
    /// The recorded context names no key.
    #[error("the grant's context is not valid")]
    Context,
    /// State could not be read.
    #[error("state could not be read")]
    State,
}

type Board = BTreeMap<Digest, BTreeMap<u32, Vec<u8>>>;

/// The key service of one validator.
pub(crate) struct KeyService {
    shared: Arc<Shared>,
    terms: watch::Receiver<TermKeys>,
    master: NetworkKey,
    sender: GossipSender,
    board: Mutex<Board>,
    changes: watch::Sender<u64>,
}

impl KeyService {
    /// Makes the service and the task that answers the other validators.
    pub(crate) fn start(shared: Arc<Shared>, terms: watch::Receiver<TermKeys>, gossip: Gossip) -> Arc<Self> {
        let master = terms.borrow().derivation.public_key();
        let service = Arc::new(Self {
            shared,
            terms,
            master,
            sender: gossip.sender,
            board: Mutex::default(),
            changes: watch::Sender::new(0),
        });
        tokio::spawn(Arc::clone(&service).answer(gossip.receiver));
        service
    }

    /// The shares of a live grant: this validator's at once, the others' as they come, enough of them to make the key.
    pub(crate) async fn collect(&self, grant: Digest) -> Result<BTreeMap<u32, Vec<u8>>, ShareError> {
        let (members, threshold) = {
            let terms = self.terms.borrow();
            (terms.derivation.keys().len(), terms.derivation.coefficients().len())
        };
        let own = self.own(&grant)?;
        self.keep(grant, self.share()?.index(), own);
        let mut changes = self.changes.subscribe();
        if self.shares(&grant).len() < members {
            let _dropped = self.sender.broadcast(ShareMessage::Ask { grant }.to_canonical());
        }
        let enough = async {
            while self.shares(&grant).len() < threshold {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let _elapsed = tokio::time::timeout(COLLECT_WAIT, enough).await;
        Ok(self.shares(&grant))
    }

    /// This validator's share of a live grant, encrypted to the recorded key.
    fn own(&self, grant: &Digest) -> Result<Vec<u8>, ShareError> {
        let entry = self.live(grant)?;
        let share = self.share()?;
        if let Some(kept) = self.shares(grant).remove(&share.index()) {
            return Ok(kept);
        }
        let mut rng = UnwrapErr(SysRng);
        let derivation = Derivation::new(&self.master, &entry.app_id, &entry.context, entry.generation);
        let derivation = derivation.map_err(|_| ShareError::Context)?;
        encrypt_share(&share, &derivation, &entry.transport_key, &mut rng)
            .map(|share| share.to_bytes().to_vec())
            .map_err(|_| ShareError::TransportKey)
    }

    fn share(&self) -> Result<Share, ShareError> {
        let share = self.terms.borrow().derivation_share.clone().ok_or(ShareError::State)?;
        Share::from_bytes(share.index(), share.scalar()).map_err(|_| ShareError::State)
    }

    fn live(&self, grant: &Digest) -> Result<GrantEntry, ShareError> {
        let now_s = self.shared.clock.now_s();
        let tip = self.shared.tip();
        if now_s.saturating_sub(tip.header.timestamp) > HEADER_AGE_S_MAX {
            return Err(ShareError::Stale);
        }
        let entry = self.shared.chain.grant(grant).map_err(|_| ShareError::State)?.ok_or(ShareError::Unknown)?;
        if entry.closed_at.is_some() || entry.until <= tip.header.timestamp {
            return Err(ShareError::Closed);
        }
        // A denial by the chain closes no grant: it is looked up here, each time.
        let denied = self.shared.chain.is_denied(&entry.instance_id).map_err(|_| ShareError::State)?;
        if denied.ok_or(ShareError::Unknown)? { Err(ShareError::Denied) } else { Ok(entry) }
    }

    fn shares(&self, grant: &Digest) -> BTreeMap<u32, Vec<u8>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).get(grant).cloned().unwrap_or_default()
    }

    fn keep(&self, grant: Digest, index: u32, share: Vec<u8>) {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        if board.len() >= GRANTS_MAX && !board.contains_key(&grant) {
            board.pop_first();
        }
        board.entry(grant).or_default().insert(index, share);
        drop(board);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Answers the other validators and takes what they send. The link says who sent a share, and so its index.
    async fn answer(self: Arc<Self>, mut receiver: GossipReceiver) {
        while let Some((peer, bytes)) = receiver.recv().await {
            match ShareMessage::from_canonical(&bytes) {
                Ok(ShareMessage::Ask { grant }) => {
                    let service = Arc::clone(&self);
                    let answered = tokio::task::spawn_blocking(move || service.own(&grant)).await;
                    match answered {
                        Ok(Ok(share)) => {
                            let message = ShareMessage::Share { grant, share: Blob(share) }.to_canonical();
                            let _dropped = self.sender.send(&peer, message);
                        }
                        Ok(Err(error)) => debug!(%grant, %error, "no share served"),
                        Err(error) => debug!(%error, "share task ended"),
                    }
                }
                Ok(ShareMessage::Share { grant, share }) if share.0.len() <= SHARE_BYTES_MAX => {
                    let index = self.terms.borrow().derivation.keys().iter().position(|key| *key == peer);
                    let index = index.and_then(|index| u32::try_from(index).ok());
                    if let Some(index) = index.filter(|_| self.live(&grant).is_ok()) {
                        self.keep(grant, index, share.0);
                    }
                }
                _ => debug!(%peer, "message of no known form dropped"),
            }
        }
    }
}
