//! What a follower does with a page: check it, and block by block apply or execute, store, and move the tip.
//!
//! Invariant: the tree moves only to certified roots. A write set that gives another root changes nothing, and whoever sent
//! it is not asked again.

use std::sync::Arc;

use alloy_consensus::{BlockHeader as _, Transaction as _};
use freehold_crypto::keccak256;
use freehold_ledger::{LedgerError, Write, to_account};
use freehold_primitives::{Digest, SuccessionRecord};
use freehold_rpc::{SYNC_BLOCKS_MAX, SyncPart};
use freehold_verify::NetworkKeys;
use tracing::debug;

use crate::{
    chain::{ChainError, Machine},
    executor::publish,
    shared::{Shared, Tip},
    store::{BlockRow, BlockStore, Durable, QmdbTree, TransactionRow, TreeError},
    sync::{CheckedBlock, CheckedPage, Fault, Lie, SourceChain, Sources, SyncError, check_page, code_hash},
};

/// The one writer of a follower's stores.
pub(super) struct Applier {
    shared: Arc<Shared>,
    machine: Machine,
    tree: QmdbTree,
    store: BlockStore,
    work: Work,
    /// The records that were walked last, and the keys that they lead to.
    walked: Option<(Vec<SuccessionRecord>, NetworkKeys)>,
}

/// What a follower does with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// It applies the block's write set.
    Apply,
    /// It executes the block.
    Execute,
    /// The same, and a state key that is missing is on its way.
    ExecuteAwaitingKeys,
}

/// Why a block was not applied.
enum Refusal {
    /// Whoever sent it lied.
    Lie(Lie),
    /// This machine.
    Here(SyncError),
}

impl<E: Into<SyncError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Here(error.into())
    }
}

impl Applier {
    pub(super) fn new(shared: Arc<Shared>, machine: Machine, tree: QmdbTree, store: BlockStore, work: Work) -> Self {
        Self { shared, machine, tree, store, work, walked: None }
    }

    /// Takes the next page; how many blocks it had.
    pub(super) async fn next(&mut self, sources: &Sources, chain: &SourceChain) -> Result<usize, SyncError> {
        let tip = self.shared.tip();
        let part = if self.work == Work::Apply { SyncPart::Writes } else { SyncPart::Payloads };
        let (tip, trust) = ((tip.height(), tip.hash), chain.trust);
        if self.walked.is_none() {
            let kept = self.store.successions()?;
            self.walked = chain.keys(&kept).map(|keys| (kept, keys));
        }
        let walked = self.walked.as_ref();
        let asked = sources.ask_whom("the next block", |node| async move {
            let page = node.sync_blocks(tip.0 + 1, SYNC_BLOCKS_MAX, part).await?;
            // A later term's key may be another: its record comes first.
            let offered = node.successions().await?;
            let more = if walked.is_some_and(|(records, _)| *records == offered) {
                None
            } else {
                let keys = chain.keys(&offered).ok_or(Lie::Succession)?;
                walked.is_none_or(|(_, before)| keys.extends(before)).then_some((offered, keys))
            };
            let keys = more.as_ref().or(walked).map(|(_, keys)| keys.clone()).ok_or(Lie::Succession)?;
            // Signatures of a full page take seconds.
            let checked = tokio::task::spawn_blocking(move || check_page((&trust, &keys), tip, part, page)).await;
            let checked = checked.unwrap_or_else(|_| Err(Lie::Form("its page cannot be checked".to_owned())))?;
            Ok::<_, Fault>((checked, more))
        });
        let (endpoint, (page, more)) = asked.await?;
        if let Some((records, keys)) = more {
            self.store.store_successions(&records)?;
            self.walked = Some((records, keys));
        }
        let count = page.blocks.len();
        match self.page(page) {
            Ok(()) => Ok(count),
            Err(Refusal::Lie(lie)) => {
                sources.denounce(&endpoint, &lie);
                Ok(0)
            }
            Err(Refusal::Here(error)) => self.mend(sources, error).await,
        }
    }

    /// Where content was missed, it may be to blame: with it, the block is tried again.
    async fn mend(&mut self, sources: &Sources, error: SyncError) -> Result<usize, SyncError> {
        let is_key = |error: &SyncError| {
            matches!(error, SyncError::Chain(ChainError::Ledger(LedgerError::GenerationMissing(_))))
        };
        if self.work == Work::ExecuteAwaitingKeys && is_key(&error) {
            debug!(%error, "waits for a state root key from the quorum");
            return Ok(0);
        }
        let again = matches!(error, SyncError::Chain(_)) && self.fetch_missed(sources).await > 0;
        if again { Ok(0) } else { Err(error) }
    }

    fn page(&mut self, page: CheckedPage) -> Result<(), Refusal> {
        for block in page.blocks {
            self.block(block)?;
        }
        for row in page.ahead {
            self.store.store_payload(&row, Durable::WithBlock)?;
        }
        Ok(())
    }

    fn block(&mut self, block: CheckedBlock) -> Result<(), Refusal> {
        self.store.store_payload(&block.payload, Durable::WithBlock)?;
        let (header, hash) = (block.header().clone(), block.block.verified().block_hash());
        let writes = match &block.writes {
            Some(writes) => self.apply(&block, writes.clone())?,
            None => self.execute(&block, &hash)?,
        };
        let busy = if block.raw.is_empty() { self.shared.tip().busy } else { header.number };
        let gone = publish(&self.shared, Tip { header, hash, busy }, &writes);
        self.shared.counts.forget(gone);
        self.tree.persist();
        Ok(())
    }

    fn execute(&mut self, block: &CheckedBlock, certified: &Digest) -> Result<Vec<Write>, SyncError> {
        let parent = self.shared.tip();
        let row = &block.payload;
        let executed = self.machine.execute(&parent.header, &row.payload, row.seed.as_ref(), &mut self.tree)?;
        if executed.hash.0 != certified.0 {
            return Err(SyncError::Diverged(block.header().number));
        }
        self.machine.store(&self.store, &self.tree.reader(), &executed)?;
        Ok(executed.writes)
    }

    fn apply(&mut self, block: &CheckedBlock, writes: Vec<Write>) -> Result<Vec<Write>, Refusal> {
        let header = block.header();
        self.has_code(&writes, &block.content)?;
        let root = Digest(header.state_root.0);
        let set = match self.tree.apply_certified(header.number, writes, root) {
            Ok(set) => set,
            Err(TreeError::OtherRoot { .. } | TreeError::Twice { .. } | TreeError::Value { .. }) => {
                return Err(Refusal::Lie(Lie::Writes(header.number)));
            }
            Err(error) => return Err(error.into()),
        };
        self.store.store_block(&BlockRow {
            header,
            hash: block.block.verified().block_hash(),
            transactions: &rows(block),
            content: &block.content,
            writes: &set,
        })?;
        Ok(set.changes.iter().map(|change| (change.key, change.new.clone())).collect())
    }

    /// The code of every account that the block wrote is here, or came with it.
    fn has_code(&self, writes: &[Write], content: &[(Digest, Vec<u8>)]) -> Result<(), Refusal> {
        let empty = keccak256(&[]);
        for hash in writes.iter().filter_map(|(_, value)| code_hash(value.as_deref()?)) {
            let came = hash == empty || content.iter().any(|(digest, _)| *digest == hash);
            if !came && self.store.content(&hash)?.is_none() {
                return Err(Refusal::Lie(Lie::Content));
            }
        }
        Ok(())
    }

    /// Asks for content that calls or execution missed; how many pieces came.
    pub(super) async fn fetch_missed(&self, sources: &Sources) -> usize {
        let mut came = 0;
        for digest in self.store.take_missed() {
            match sources.content(digest).await {
                Ok(bytes) => came += usize::from(self.store.store_content(&[(digest, bytes)]).is_ok()),
                Err(error) => debug!(%digest, %error, "content that was missed is not to be had"),
            }
        }
        came
    }

    /// Makes the stores durable.
    pub(super) fn flush(&self) -> Result<(), SyncError> {
        Ok(self.tree.flush()?)
    }
}

/// The block's transactions as the store keeps them.
fn rows(block: &CheckedBlock) -> Vec<TransactionRow> {
    let base_fee = block.header().base_fee_per_gas();
    let pairs = block.block.transactions().iter().zip(&block.raw);
    let row = |(transaction, raw): (&freehold_verify::VerifiedTransaction, &Vec<u8>)| TransactionRow {
        hash: Digest(transaction.envelope.tx_hash().0),
        raw: raw.clone(),
        sender: to_account(&transaction.sender),
        receipt: transaction.receipt.clone(),
        gas_used: transaction.gas_used,
        gas_price: transaction.envelope.effective_gas_price(base_fee),
        contract: transaction.created.as_ref().map(to_account),
    };
    pairs.map(row).collect()
}
