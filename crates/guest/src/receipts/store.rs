//! All receipts that an instance can answer for: its own, and those of predecessors that it adopted.
//!
//! Only what is durable is in here. Documents stay on disk; ids, leaf hashes and places are in memory.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use freehold_crypto::MerkleError;
use freehold_primitives::{Digest, entries::AnchorEntry};
use freehold_rpc::{AnchorReference, Inclusion, StoredReceipt};

use super::{
    ReceiptChain, SignedReceipt,
    file::{LogError, LogFile, Place, Record},
};

/// Size of the own log, and how much of it is anchored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogHead {
    pub(crate) size: u64,
    pub(crate) anchored: u64,
}

/// One root to anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnchorWork {
    pub(crate) instance: Digest,
    pub(crate) size: u64,
    pub(crate) root: Digest,
    /// Index that the anchor will have.
    pub(crate) index: u64,
}

struct Log {
    file: LogFile,
    chain: ReceiptChain,
    /// Anchors that were seen under a certificate, by rising size.
    anchors: Vec<AnchorEntry>,
    /// Anchors that the chain holds; `None` while that is not known of an adopted log.
    anchor_count: Option<u64>,
    /// The chain anchored what this disk does not hold: nothing can be added to that.
    foreign: bool,
}

impl Log {
    fn anchored(&self) -> u64 {
        self.anchors.last().map_or(0, |anchor| anchor.size)
    }
}

#[derive(Default)]
struct Inner {
    /// The own log first.
    logs: Vec<Log>,
    /// Receipt and completion ids.
    ids: HashMap<String, (usize, u64)>,
}

/// The store.
pub(crate) struct ReceiptStore {
    inner: RwLock<Inner>,
}

impl ReceiptStore {
    /// A store over the own, empty log.
    pub(crate) fn new(own: LogFile) -> Self {
        let log = Log {
            file: own,
            chain: ReceiptChain::default(),
            anchors: Vec::new(),
            anchor_count: Some(0),
            foreign: false,
        };
        Self { inner: RwLock::new(Inner { logs: vec![log], ids: HashMap::new() }) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a predecessor's log.
    pub(crate) fn adopt(&self, file: LogFile, receipts: &[AdoptedReceipt]) {
        let mut inner = self.write();
        let log = inner.logs.len();
        for (sequence, receipt) in (0..).zip(receipts) {
            // The own and the older id counts: an id is used once.
            for id in &receipt.ids {
                inner.ids.entry(id.clone()).or_insert((log, sequence));
            }
        }
        let chain = ReceiptChain::from_leaves(receipts.iter().map(|receipt| receipt.leaf));
        inner.logs.push(Log { file, chain, anchors: Vec::new(), anchor_count: None, foreign: false });
    }

    /// Whether an id was used.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.read().ids.contains_key(id)
    }

    /// Reads the own chain.
    pub(crate) fn with_chain<T>(&self, look: impl FnOnce(&ReceiptChain) -> T) -> T {
        look(&self.read().logs[0].chain)
    }

    /// Takes in receipts that are durable.
    pub(crate) fn commit(&self, receipts: &[SignedReceipt], places: &[Place]) {
        let mut inner = self.write();
        for signed in receipts {
            inner.logs[0].chain.commit(signed);
            let place = (0, signed.sequence);
            inner.ids.insert(signed.receipt.receipt_id.clone(), place);
            if let Some(chat_id) = &signed.receipt.chat_id {
                inner.ids.entry(chat_id.clone()).or_insert(place);
            }
        }
        inner.logs[0].file.commit(places);
    }

    /// The receipt of an id.
    pub(crate) fn stored(&self, id: &str) -> Result<Option<StoredReceipt>, LogError> {
        let inner = self.read();
        let Some(&(log, sequence)) = inner.ids.get(id) else { return Ok(None) };
        let record = inner.logs[log].file.read(sequence)?;
        Ok(receipt_of(&record).map(|receipt| StoredReceipt { receipt, access: record.access }))
    }

    /// Where the receipt of an id stands.
    pub(crate) fn inclusion(&self, id: &str) -> Result<Option<Inclusion>, MerkleError> {
        let inner = self.read();
        let Some(&(log, sequence)) = inner.ids.get(id) else { return Ok(None) };
        let log = &inner.logs[log];
        let tree = log.chain.tree();
        let anchor = log.anchors.get(log.anchors.partition_point(|anchor| anchor.size <= sequence));
        let size = anchor.map_or(tree.size(), |anchor| anchor.size);
        let leaf = tree.leaf(sequence).ok_or(MerkleError::Position { position: sequence, size })?;
        Ok(Some(Inclusion {
            instance_id: log.file.instance(),
            sequence,
            leaf,
            size,
            root: tree.root_at(size)?,
            path: tree.inclusion_path(sequence, size)?,
            anchor: anchor.map(|anchor| AnchorReference { index: anchor.index, height: anchor.height }),
        }))
    }

    /// Adopted logs of which it is not known how far they are anchored.
    pub(crate) fn unknown(&self) -> Vec<Digest> {
        let inner = self.read();
        inner.logs.iter().filter(|log| log.anchor_count.is_none()).map(|log| log.file.instance()).collect()
    }

    /// Takes in how many anchors the chain holds of an adopted log, and the newest of them.
    pub(crate) fn set_known(&self, instance: &Digest, count: u64, newest: Option<AnchorEntry>) {
        let mut inner = self.write();
        let Some(log) = inner.logs.iter_mut().find(|log| log.file.instance() == *instance) else { return };
        let size = log.chain.size();
        if newest.is_some_and(|anchor| anchor.size > size) {
            tracing::warn!(%instance, size, "the disk holds fewer receipts than the chain has anchored: it was rolled back");
        }
        let fits = |anchor: &AnchorEntry| log.chain.tree().root_at(anchor.size).is_ok_and(|root| root == anchor.root);
        let anchors = newest.filter(fits).into_iter().collect();
        log.anchor_count = Some(count);
        log.anchors = anchors;
        log.foreign = newest.is_some() && log.anchors.is_empty();
    }

    /// The next root to anchor: the own log's first.
    pub(crate) fn anchor_work(&self, skip: &[Digest]) -> Option<AnchorWork> {
        let inner = self.read();
        let due =
            |log: &&Log| !log.foreign && log.chain.size() > log.anchored() && !skip.contains(&log.file.instance());
        inner.logs.iter().filter(due).find_map(|log| {
            Some(AnchorWork {
                instance: log.file.instance(),
                size: log.chain.size(),
                root: log.chain.tree().root(),
                index: log.anchor_count?,
            })
        })
    }

    /// Takes in an anchor that was seen under a certificate.
    pub(crate) fn anchored(&self, anchor: AnchorEntry) {
        let mut inner = self.write();
        let Some(log) = inner.logs.iter_mut().find(|log| log.file.instance() == anchor.instance_id) else { return };
        log.anchor_count = log.anchor_count.max(Some(anchor.index.saturating_add(1)));
        if anchor.size > log.anchored() {
            log.anchors.push(anchor);
        }
    }

    /// The own log.
    pub(crate) fn head(&self) -> LogHead {
        let inner = self.read();
        LogHead { size: inner.logs[0].chain.size(), anchored: inner.logs[0].anchored() }
    }
}

/// What the store keeps in memory of an adopted receipt.
pub(crate) struct AdoptedReceipt {
    pub(crate) leaf: Digest,
    pub(crate) ids: Vec<String>,
}

impl AdoptedReceipt {
    /// Of a record that was opened.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let text = std::str::from_utf8(&record.document.0).ok()?;
        let receipt = receipt_of(record)?;
        let ids = std::iter::once(receipt.receipt_id).chain(receipt.chat_id).collect();
        Some(Self { leaf: freehold_crypto::receipt_leaf(text), ids })
    }
}

fn receipt_of(record: &Record) -> Option<freehold_primitives::Receipt> {
    let text = std::str::from_utf8(&record.document.0).ok()?;
    freehold_crypto::parse_receipt(text).ok()
}
