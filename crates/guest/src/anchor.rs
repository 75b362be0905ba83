//! Anchoring: the instance's own account writes the root of its receipt log to the chain, within a second of the first
//! receipt that is not anchored, and adopts the tails that dead predecessors left.
//!
//! An anchor counts only once its entry was seen under a certificate. Roots that come while one is under way go together into the next.

use std::{sync::Arc, time::Duration};

use alloy_sol_types::SolCall as _;
use freehold_crypto::slots::LOG;
use freehold_primitives::{
    Digest,
    entries::{AnchorEntry, LogEntry},
};
use freehold_rpc::VerifiedError;
use freehold_verify::EntryKey;
use thiserror::Error;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{
    abi::ILog,
    receipts::{AnchorWork, ReceiptStore},
    sender::{AccountSender, SendError},
};

/// Pause that lets receipts gather before an anchor.
const GATHER: Duration = Duration::from_millis(100);
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Longest pause between two looks at the tails of predecessors.
const TAILS_PAUSE: Duration = Duration::from_secs(30);
/// Why an anchor did not come about.
#[derive(Debug, Error)]
#[non_exhaustive]
enum AnchorError {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Unverified(#[from] VerifiedError),
    #[error("the chain holds another anchor than the one sent")]
    Other,
}

/// What the anchoring task works with.
pub(crate) struct Anchorer {
    pub(crate) sender: Arc<AccountSender>,
    pub(crate) store: Arc<ReceiptStore>,
    pub(crate) appended: Arc<Notify>,
    pub(crate) own: Digest,
}

impl Anchorer {
    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        // The work that failed last: it may have been done after all.
        let mut failed: Option<(Digest, u64)> = None;
        loop {
            let mut refused = Vec::new();
            self.learn_tails().await;
            while let Some(work) = self.store.anchor_work(&refused) {
                match self.anchor(&work, failed == Some((work.instance, work.index))).await {
                    Ok(entry) => {
                        tracing::info!(size = entry.size, height = entry.height, "anchored receipts");
                        self.store.anchored(entry);
                    }
                    Err(error) => {
                        failed = Some((work.instance, work.index));
                        tracing::warn!(%error, instance = %work.instance, "receipts are not anchored yet");
                        // A predecessor's tail may have to wait until its lease has ended; the own log does not.
                        if work.instance == self.own {
                            sleep(RETRY).await;
                        } else {
                            refused.push(work.instance);
                        }
                    }
                }
            }
            let pause = if refused.is_empty() && self.store.unknown().is_empty() { None } else { Some(TAILS_PAUSE) };
            match pause {
                None => self.appended.notified().await,
                Some(pause) => drop(timeout(pause, self.appended.notified()).await),
            }
            sleep(GATHER).await;
        }
    }

    /// Learns how far the logs of predecessors are anchored.
    async fn learn_tails(&self) {
        for instance in self.store.unknown() {
            if let Err(error) = self.learn_tail(&instance).await {
                tracing::debug!(%error, %instance, "the tail of a predecessor is not known yet");
            }
        }
    }

    async fn learn_tail(&self, instance: &Digest) -> Result<(), AnchorError> {
        let count =
            self.sender.chain().entry::<LogEntry>(&EntryKey::Log(*instance)).await?.entry.map_or(0, |log| log.anchors);
        let newest = match count.checked_sub(1) {
            Some(index) => self.sender.chain().entry::<AnchorEntry>(&EntryKey::Anchor(*instance, index)).await?.entry,
            None => None,
        };
        self.store.set_known(instance, count, newest);
        Ok(())
    }

    async fn anchor(&self, work: &AnchorWork, again: bool) -> Result<AnchorEntry, AnchorError> {
        if again && let Some(entry) = self.anchored(work).await? {
            return Ok(entry);
        }
        let data = ILog::anchorCall { size: work.size, root: work.root.0.into(), instance: work.instance.0.into() };
        self.sender.send(LOG, data.abi_encode()).await?;
        self.anchored(work).await?.ok_or(AnchorError::Other)
    }

    /// The anchor with the work's index, if the chain has it and it is this one.
    async fn anchored(&self, work: &AnchorWork) -> Result<Option<AnchorEntry>, AnchorError> {
        let entry = self.sender.chain().entry::<AnchorEntry>(&EntryKey::Anchor(work.instance, work.index)).await?.entry;
        match entry {
            Some(entry) if (entry.instance_id, entry.size, entry.root) == (work.instance, work.size, work.root) => {
                Ok(Some(entry))
            }
            // An earlier try, with fewer leaves: still an anchor of this log.
            Some(entry) if entry.instance_id == work.instance && entry.size < work.size => {
                self.store.anchored(entry);
                Err(AnchorError::Other)
            }
            Some(_) => Err(AnchorError::Other),
            None => Ok(None),
        }
    }
}
