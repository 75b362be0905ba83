//! The chain as one validator has it: reading blocks and state, judging what needs no execution, and executing.
//!
//! [`Chain`] reads and is cheap to share; [`Machine`] executes and belongs to the executor's thread. Rules are the
//! ledger's; where things lie is the stores'.

use std::sync::Arc;

use alloy_consensus::{BlockHeader as _, Header, Transaction as _};
use alloy_eips::{BlockNumberOrTag, Decodable2718 as _, Encodable2718 as _};
use alloy_primitives::{Address, B256, Bytes, U256};
use freehold_consensus::{MastersPlan, NetworkKeyPlan, Players};
use freehold_crypto::{StateKeyOrigin, StateKeys};
use freehold_ledger::{
    AccountState, ChainContext, ExecutedBlock, ExecutedReceipt, ExecutedTransaction, ExecutorRefusal, LedgerError,
    Ordered, Parent, Recovered, Transaction, TransactionRefusal, ViewError, admit, check_payload_with, next_base_fee,
    prepare_payload, read_account, read_account_value, read_storage, to_account,
};
use freehold_primitives::{
    AppId, Body, Digest, EXECUTED_LAG_MAX, Ed25519Key, G1Point, Generation, Genesis, Height, Payload, Term,
    entries::{EntryKind, GrantEntry, InstanceEntry, KeyContextEntry, MasterEntry, ProtocolSchedule, StateKeyStatus},
};
use thiserror::Error;

use crate::{
    admitted::AdmittedCache,
    mempool::Pending,
    store::{BlockRow, BlockStore, BlockStoreError, OldState, OldStateError, QmdbTree, TransactionRow, TreeReader},
};

/// Why the chain could not be read or executed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The ledger refused: a payload that consensus finalised must execute, so this is a broken store or a bug.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// State could not be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The block store failed.
    #[error(transparent)]
    Blocks(#[from] BlockStoreError),
    /// State at an old height could not be read.
    #[error(transparent)]
    Old(#[from] OldStateError),
    /// The tree does not hold the write set of the block that was just executed.
    #[error("the state tree lacks the write set of height {0}")]
    WriteSet(Height),
}

/// Executes payloads; belongs to the executor's thread, clones share the stores.
#[derive(Clone)]
pub(crate) struct Machine {
    context: Arc<ChainContext>,
    store: BlockStore,
    keys: Option<Arc<StateKeys>>,
    admitted: Arc<AdmittedCache>,
}

impl Machine {
    /// `keys` is `None` on a follower, which executes no block.
    pub(crate) fn new(genesis: &Genesis, store: BlockStore, keys: Option<Arc<StateKeys>>) -> Result<Self, ChainError> {
        let context = Arc::new(ChainContext::new(genesis.clone())?);
        Ok(Self { context, store, keys, admitted: Arc::default() })
    }

    pub(crate) fn genesis_block(&self, tree: &mut QmdbTree) -> Result<ExecutedBlock, ChainError> {
        Ok(freehold_ledger::genesis_block(&self.context, tree)?)
    }

    pub(crate) fn execute(
        &self,
        parent: &Header,
        payload: &Payload,
        seed: Option<&G1Point>,
        tree: &mut QmdbTree,
    ) -> Result<ExecutedBlock, ChainError> {
        let keys = self.keys.as_deref();
        let parent = Parent { header: parent, content: &self.store, hashes: &self.store, keys };
        let ordered = Ordered { payload, seed, admitted: &*self.admitted };
        Ok(prepare_payload(&self.context, parent, ordered, tree)?.seal(tree)?)
    }

    /// Writes a block down: the one durable write of a height.
    pub(crate) fn store(&self, store: &BlockStore, tree: &TreeReader, block: &ExecutedBlock) -> Result<(), ChainError> {
        let height = block.header.number;
        let writes = tree.write_set(height).ok_or(ChainError::WriteSet(height))?;
        let pairs = block.transactions.iter().zip(&block.receipts);
        let transactions: Vec<TransactionRow> = pairs.map(|(transaction, receipt)| row(transaction, receipt)).collect();
        store.store_block(&BlockRow {
            header: &block.header,
            hash: Digest(block.hash.0),
            transactions: &transactions,
            content: &block.content,
            writes: &writes,
        })?;
        Ok(())
    }
}

/// Reads the chain.
#[derive(Clone)]
pub(crate) struct Chain {
    genesis: Arc<Genesis>,
    context: Arc<ChainContext>,
    keys: Option<Arc<StateKeys>>,
    admitted: Arc<AdmittedCache>,
    pub(crate) store: BlockStore,
    pub(crate) tree: TreeReader,
}

impl Chain {
    pub(crate) fn new(genesis: Genesis, store: BlockStore, tree: TreeReader, machine: Machine) -> Self {
        let Machine { context, keys, admitted, .. } = machine;
        Self { genesis: Arc::new(genesis), context, keys, admitted, store, tree }
    }

    pub(crate) fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    pub(crate) fn context(&self) -> &ChainContext {
        &self.context
    }

    /// What a call over the state behind this header stands on.
    pub(crate) fn parent<'a>(&'a self, header: &'a Header) -> Parent<'a> {
        Parent { header, content: &self.store, hashes: &self.store, keys: self.keys.as_deref() }
    }

    /// Where this node's state keys come from; `None` on a follower.
    pub(crate) fn key_origin(&self) -> Option<StateKeyOrigin> {
        self.keys.as_ref().map(|keys| keys.origin())
    }

    /// Which generations of the state root key are in use, as of a height.
    pub(crate) fn state_key_status(&self, height: Height) -> Result<Option<StateKeyStatus>, ChainError> {
        let state = self.state(height)?;
        let id = &freehold_crypto::slots::STATE_KEY_STATUS_ID;
        Ok(freehold_ledger::read_entry(EntryKind::StateKeyStatus, id, &state, &self.store)?)
    }

    /// Which version of the protocol rules which height, as of a height.
    pub(crate) fn protocol(&self, height: Height) -> Result<ProtocolSchedule, ChainError> {
        Ok(freehold_ledger::read_protocol(&self.state(height)?, &self.store)?)
    }

    pub(crate) const fn block_gas_max(&self) -> u64 {
        freehold_ledger::BLOCK_GAS_MAX
    }

    /// Hash of the executed block at a height.
    pub(crate) fn block_hash(&self, height: Height) -> Option<Digest> {
        self.store.block_hash(height).ok().flatten()
    }

    /// Base fee that a block on `parent` has at the earliest: the pool judges by it.
    pub(crate) fn next_base_fee(&self, parent: &Header) -> u128 {
        let next = next_base_fee(parent, parent.timestamp + 1, &self.store);
        next.map_or_else(|_| parent.base_fee_per_gas().map_or(0, u128::from), u128::from)
    }

    /// What a voter checks of a body without executing: the ledger's rules, and that it is empty where execution lags.
    pub(crate) fn is_valid_payload(&self, payload: &Payload) -> bool {
        let lag = payload.head.height.saturating_sub(payload.head.executed.height);
        let empty = || Body::read(&payload.body.0).is_ok_and(|body| body.ordinary().transactions.is_empty());
        check_payload_with(&self.context, payload, &*self.admitted).is_ok() && (lag <= EXECUTED_LAG_MAX || empty())
    }

    /// A transaction as the pool takes it.
    pub(crate) fn admit(&self, raw: Vec<u8>) -> Result<Pending, TransactionRefusal> {
        let recovered = admit(&self.context, &raw)?;
        let pending = pending(&recovered, raw);
        self.admitted.keep(recovered);
        Ok(pending)
    }

    /// State as of a height: the newest executed block's, or an older one's within the window.
    pub(crate) fn state(&self, height: Height) -> Result<OldState, ChainError> {
        Ok(OldState::new(self.tree.clone(), self.store.clone(), height)?)
    }

    /// An account as of the newest executed block.
    pub(crate) fn account_now(&self, address: &Address) -> Result<AccountState, ChainError> {
        let key = freehold_crypto::slots::account_key(&to_account(address));
        let (_, value) =
            self.tree.get_with_height(&key).map_err(|error| ChainError::View(ViewError::Store(Box::new(error))))?;
        value.map_or(Ok(AccountState::default()), |value| {
            read_account_value(&value).ok_or(ChainError::View(ViewError::Malformed))
        })
    }

    pub(crate) fn account(&self, address: &Address, height: Height) -> Result<AccountState, ChainError> {
        Ok(read_account(&self.state(height)?, address)?)
    }

    /// A slot of a public account; zero for every slot of a confidential one.
    pub(crate) fn storage(&self, address: &Address, slot: &U256, height: Height) -> Result<U256, ChainError> {
        Ok(read_storage(&self.state(height)?, address, slot)?)
    }

    pub(crate) fn code(&self, address: &Address, height: Height) -> Result<Bytes, ChainError> {
        let account = self.account(address, height)?;
        if account.code_hash == alloy_primitives::KECCAK256_EMPTY {
            return Ok(Bytes::new());
        }
        let code = self.store.content(&Digest(account.code_hash.0))?;
        Ok(code.ok_or(ChainError::View(ViewError::CodeMissing(account.code_hash)))?.into())
    }

    /// A grant, as of the newest executed block.
    pub(crate) fn grant(&self, id: &Digest) -> Result<Option<GrantEntry>, ChainError> {
        let height = self.store.executed().map_or(0, |mark| mark.height);
        let state = self.state(height)?;
        Ok(freehold_ledger::read_entry(EntryKind::Grant, id.as_bytes(), &state, &self.store)?)
    }

    /// Which generations of a context an app's instances receive, as of the newest executed block.
    pub(crate) fn key_context(&self, app: &AppId, context: &str) -> Result<Option<KeyContextEntry>, ChainError> {
        let height = self.store.executed().map_or(0, |mark| mark.height);
        let state = self.state(height)?;
        let id = freehold_crypto::slots::key_context_id(app, context);
        Ok(freehold_ledger::read_entry(EntryKind::KeyContext, &id, &state, &self.store)?)
    }

    /// A master beside the genesis' one, or the end of that one, as of the newest executed block.
    pub(crate) fn master(&self, generation: Generation) -> Result<Option<MasterEntry>, ChainError> {
        let height = self.store.executed().map_or(0, |mark| mark.height);
        Ok(freehold_ledger::read_master(generation, &self.state(height)?, &self.store)?)
    }

    /// Whether this identity may receive state root keys: a validator, present or to come, and where validators are an
    /// app's instances, one that runs in an instance that is open and not denied.
    pub(crate) fn may_hold_state_keys(&self, identity: &Ed25519Key) -> Result<bool, ChainError> {
        if self.peers()?.iter().all(|(peer, _)| peer != identity) {
            return Ok(false);
        }
        if self.genesis.membership.app.is_none() {
            return Ok(true);
        }
        let state = self.state(self.store.executed().map_or(0, |mark| mark.height))?;
        let validator = freehold_ledger::read_validator(identity, &state, &self.store)?;
        let Some(id) = validator.and_then(|validator| validator.instance_id) else { return Ok(false) };
        Ok(self.executor(&id)?.is_ok())
    }

    /// An executor's entry, as of the newest executed block: a live and undenied instance of the app that the genesis names
    /// for validators.
    pub(crate) fn executor(&self, instance: &Digest) -> Result<Result<InstanceEntry, ExecutorRefusal>, ChainError> {
        let height = self.store.executed().map_or(0, |mark| mark.height);
        let state = self.state(height)?;
        let now_s = self.store.header(height)?.map_or(u64::MAX, |header| header.timestamp);
        let app = self.genesis.membership.app.as_ref();
        Ok(freehold_ledger::read_executor((app, instance), now_s, &state, &self.store)?)
    }

    /// Validators, present and to come, and where they are reached, as of the newest executed block.
    pub(crate) fn peers(&self) -> Result<Vec<(Ed25519Key, String)>, ChainError> {
        let Some(mark) = self.store.executed() else { return Ok(Vec::new()) };
        let peers = freehold_ledger::read_peers(&self.state(mark.height)?, &self.store)?;
        Ok(peers.into_iter().map(|peer| (peer.identity, peer.address)).collect())
    }

    /// Who shall hold the keys in the term after this one; `None` where the term has not begun in the newest executed block.
    /// With them, which keys they make, and which masters go on.
    pub(crate) fn players(&self, term: Term) -> Result<Option<Players>, ChainError> {
        let Some(mark) = self.store.executed() else { return Ok(None) };
        let state = self.state(mark.height)?;
        let Some(entry) = freehold_ledger::read_players(term, &state, &self.store)? else { return Ok(None) };
        let succession = freehold_ledger::read_succession(term, &state, &self.store)?;
        let network_key = match succession {
            Some(entry) if entry.waiting.is_none() => NetworkKeyPlan::Succeeds,
            _ => NetworkKeyPlan::Stays,
        };
        let masters = freehold_ledger::read_masters(term, &state, &self.store)?;
        let masters = masters.map_or_else(MastersPlan::default, |entry| MastersPlan {
            reshared: entry.reshared,
            made: entry.round.map(|round| round.generation),
        });
        let players = entry.players.into_iter().map(|player| player.identity).collect();
        Ok(Some(Players { players, network_key, masters }))
    }

    /// Whether the chain denies now what an instance stands on; `None` where there is no such instance.
    pub(crate) fn is_denied(&self, instance: &Digest) -> Result<Option<bool>, ChainError> {
        let height = self.store.executed().map_or(0, |mark| mark.height);
        let state = self.state(height)?;
        let entry: Option<InstanceEntry> =
            freehold_ledger::read_entry(EntryKind::Instance, instance.as_bytes(), &state, &self.store)?;
        let Some(entry) = entry else { return Ok(None) };
        Ok(Some(freehold_ledger::is_denied(&AppId::CHAIN, &entry, &state, &self.store)?))
    }

    /// The height that a tag names; `None` where there is no such block yet.
    pub(crate) fn height_of(&self, tag: BlockNumberOrTag) -> Result<Option<Height>, ChainError> {
        let newest = self.store.executed().map(|mark| mark.height);
        Ok(match tag {
            BlockNumberOrTag::Latest | BlockNumberOrTag::Pending => newest,
            BlockNumberOrTag::Earliest => Some(0),
            BlockNumberOrTag::Finalized | BlockNumberOrTag::Safe => Some(self.store.finalized()?.unwrap_or(0)),
            BlockNumberOrTag::Number(height) => newest.filter(|newest| height <= *newest).map(|_| height),
        })
    }

    pub(crate) fn height_of_hash(&self, hash: &B256) -> Result<Option<Height>, ChainError> {
        Ok(self.store.block_height(&Digest(hash.0))?)
    }
}

fn pending(recovered: &Recovered, raw: Vec<u8>) -> Pending {
    let transaction = recovered.transaction();
    let fee_max = transaction.max_fee_per_gas();
    let gas_cost = U256::from(transaction.gas_limit()).saturating_mul(U256::from(fee_max));
    Pending {
        hash: recovered.hash(),
        sender: recovered.sender(),
        nonce: transaction.nonce(),
        gas_limit: transaction.gas_limit(),
        fee_max,
        tip_max: transaction.max_priority_fee_per_gas().unwrap_or(fee_max),
        cost_max: gas_cost.saturating_add(transaction.value()),
        raw,
    }
}

fn row(transaction: &ExecutedTransaction, receipt: &ExecutedReceipt) -> TransactionRow {
    TransactionRow {
        hash: Digest(transaction.hash.0),
        raw: transaction.envelope.encoded_2718(),
        sender: to_account(&transaction.sender),
        receipt: receipt.envelope.clone(),
        gas_used: receipt.gas_used,
        gas_price: receipt.effective_gas_price,
        contract: receipt.contract_address.as_ref().map(to_account),
    }
}

/// Reads the bytes of a transaction that was admitted before.
///
/// # Errors
/// [`TransactionRefusal::Malformed`].
pub(crate) fn decode(raw: &[u8]) -> Result<Transaction, TransactionRefusal> {
    Transaction::decode_2718_exact(raw).map_err(|_| TransactionRefusal::Malformed)
}
