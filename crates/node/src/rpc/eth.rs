//! Ethereum's methods that read the chain (execution-apis): blocks, transactions, receipts, accounts, logs, fees.
//!
//! `latest` is the newest executed block, `finalized` and `safe` the newest under a certificate. Methods not listed
//! answer −32601. Fee history and calls stand in their own files.

use std::collections::BTreeMap;

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log, TransactionReceipt};
use freehold_primitives::{Account, Digest, Height};
use freehold_rpc::{BlockView, Detail, EthBlock, EthTransaction, TransactionView, pending_transaction};
use jsonrpsee::{
    RpcModule,
    types::{ErrorObjectOwned, Params},
};
use serde_json::{Value, json};

use super::{
    error::{internal, invalid_params, limit, not_found, refused, refused_for_good, unread, unread_state},
    filters::check_filter,
    params::{one, pair, three, two},
    server::{Duty, Rpc, method},
};
use crate::{
    chain::decode,
    intake::{IntakeError, hear},
    store::{BlockStoreError, LogQuery, TransactionRow},
};

type Answer<T> = Result<T, ErrorObjectOwned>;

/// Slots of `eth_getStorageAt` come as quantities or as 32 bytes; both are read.
type Slot = U256;

/// What `rpc_modules` names.
const MODULES: [&str; 8] = ["debug", "eth", "freehold", "net", "rpc", "trace", "txpool", "web3"];

/// Adds the methods of this file.
pub(super) fn add(module: &mut RpcModule<Rpc>) -> Result<(), jsonrpsee::core::RegisterMethodError> {
    method(module, "eth_chainId", |rpc, _| Ok(U64::from(rpc.chain().genesis().chain_id)))?;
    method(module, "eth_blockNumber", |rpc, _| Ok(U64::from(rpc.newest())))?;
    method(module, "eth_syncing", |_, _| Ok(false))?;
    method(module, "eth_accounts", |_, _| Ok(Vec::<Address>::new()))?;
    method(module, "eth_coinbase", |_, _| Ok(freehold_ledger::BENEFICIARY))?;
    method(module, "eth_mining", |_, _| Ok(false))?;
    method(module, "eth_hashrate", |_, _| Ok(U64::ZERO))?;
    method(module, "eth_protocolVersion", |_, _| Ok("0x45"))?;
    method(module, "eth_getBlockByNumber", block_by_number)?;
    method(module, "eth_getBlockByHash", block_by_hash)?;
    method(module, "eth_getBlockReceipts", block_receipts)?;
    method(module, "eth_getBlockTransactionCountByNumber", count_by_number)?;
    method(module, "eth_getBlockTransactionCountByHash", count_by_hash)?;
    method(module, "eth_getUncleCountByBlockNumber", |rpc, p| count_by_number(rpc, p).map(|c| c.map(|_| U64::ZERO)))?;
    method(module, "eth_getUncleCountByBlockHash", |rpc, p| count_by_hash(rpc, p).map(|c| c.map(|_| U64::ZERO)))?;
    method(module, "eth_getUncleByBlockNumberAndIndex", |_, _| Ok(Value::Null))?;
    method(module, "eth_getUncleByBlockHashAndIndex", |_, _| Ok(Value::Null))?;
    method(module, "eth_getTransactionByHash", transaction_by_hash)?;
    method(module, "eth_getRawTransactionByHash", raw_transaction)?;
    method(module, "eth_getTransactionByBlockNumberAndIndex", transaction_at_number)?;
    method(module, "eth_getTransactionByBlockHashAndIndex", transaction_at_hash)?;
    method(module, "eth_getTransactionReceipt", receipt)?;
    method(module, "eth_getTransactionCount", nonce)?;
    method(module, "eth_getBalance", balance)?;
    method(module, "eth_getCode", code)?;
    method(module, "eth_getStorageAt", storage)?;
    method(module, "eth_getLogs", logs)?;
    method(module, "eth_sendRawTransaction", send_raw)?;
    method(module, "net_version", |rpc, _| Ok(rpc.chain().genesis().chain_id.to_string()))?;
    method(module, "net_listening", |_, _| Ok(true))?;
    method(module, "net_peerCount", |rpc, _| Ok(U64::from(rpc.chain().genesis().validators.len() as u64 - 1)))?;
    method(module, "web3_clientVersion", |_, _| Ok(concat!("freehold/", env!("CARGO_PKG_VERSION"))))?;
    method(module, "rpc_modules", |_, _| Ok(MODULES.iter().map(|name| (*name, "1.0")).collect::<BTreeMap<_, _>>()))?;
    method(module, "web3_sha3", |_, params| Ok(keccak256(one::<Bytes>(&params)?)))?;
    method(module, "txpool_status", txpool_status)?;
    method(module, "txpool_content", txpool_content)?;
    Ok(())
}

impl Rpc {
    /// Height of the newest executed block, from the store that receipts come from: the tip moves a moment later.
    pub(super) fn newest(&self) -> Height {
        self.chain().store.executed().map_or(0, |mark| mark.height)
    }

    /// The height that a block id names.
    pub(super) fn height(&self, id: BlockId) -> Answer<Option<Height>> {
        match id {
            BlockId::Number(tag) => self.chain().height_of(tag).map_err(internal),
            BlockId::Hash(hash) => self.chain().height_of_hash(&hash.block_hash).map_err(internal),
        }
    }

    /// The height that a block id names, which must exist.
    pub(super) fn existing(&self, id: Option<BlockId>) -> Answer<Height> {
        let id = id.unwrap_or_else(BlockId::latest);
        self.height(id)?.ok_or_else(|| not_found(format!("no block {id}")))
    }

    /// The block at a height.
    pub(super) fn view(&self, height: Height) -> Answer<Option<BlockView>> {
        let store = &self.chain().store;
        let (Some(header), Some(hash)) =
            (store.header(height).map_err(internal)?, store.block_hash(height).map_err(internal)?)
        else {
            return Ok(None);
        };
        let rows = store.transactions(height).map_err(unread)?.unwrap_or_default();
        let transactions = rows.into_iter().map(|row| self.transaction_view(row)).collect::<Answer<_>>()?;
        Ok(Some(BlockView { header, hash: B256::from(hash.0), transactions }))
    }

    fn transaction_view(&self, row: TransactionRow) -> Answer<TransactionView> {
        // What the store holds was admitted once; recovering the sender again would cost for nothing.
        let transaction = decode(&row.raw).map_err(internal)?;
        Ok(TransactionView {
            transaction,
            sender: freehold_ledger::to_address(&row.sender),
            receipt: row.receipt,
            gas_used: row.gas_used,
            contract_address: row.contract.as_ref().map(freehold_ledger::to_address),
        })
    }

    /// Block and index of a transaction.
    fn place(&self, hash: &B256) -> Answer<Option<(BlockView, usize)>> {
        let Some(place) = self.chain().store.transaction_place(&Digest(hash.0)).map_err(internal)? else {
            return Ok(None);
        };
        Ok(self.view(place.height)?.map(|view| (view, place.index as usize)))
    }
}

fn block_by_number(rpc: &Rpc, params: Params<'_>) -> Answer<Option<EthBlock>> {
    let (tag, full) = two::<BlockNumberOrTag, bool>(&params)?;
    block(rpc, tag.into(), full)
}

fn block_by_hash(rpc: &Rpc, params: Params<'_>) -> Answer<Option<EthBlock>> {
    let (hash, full) = two::<B256, bool>(&params)?;
    block(rpc, hash.into(), full)
}

fn block(rpc: &Rpc, id: BlockId, full: Option<bool>) -> Answer<Option<EthBlock>> {
    let detail = if full.unwrap_or(false) { Detail::Full } else { Detail::Hashes };
    let Some(height) = rpc.height(id)? else { return Ok(None) };
    Ok(rpc.view(height)?.map(|view| view.block(detail)))
}

fn block_receipts(rpc: &Rpc, params: Params<'_>) -> Answer<Option<Vec<TransactionReceipt>>> {
    let Some(height) = rpc.height(one(&params)?)? else { return Ok(None) };
    let Some(view) = rpc.view(height)? else { return Ok(None) };
    Ok(Some((0..view.transactions.len()).filter_map(|index| view.receipt(index)).collect()))
}

fn count_by_number(rpc: &Rpc, params: Params<'_>) -> Answer<Option<U64>> {
    count(rpc, two::<BlockNumberOrTag, Value>(&params)?.0.into())
}

fn count_by_hash(rpc: &Rpc, params: Params<'_>) -> Answer<Option<U64>> {
    count(rpc, two::<B256, Value>(&params)?.0.into())
}

fn count(rpc: &Rpc, id: BlockId) -> Answer<Option<U64>> {
    let Some(height) = rpc.height(id)? else { return Ok(None) };
    Ok(rpc.view(height)?.map(|view| U64::from(view.transactions.len() as u64)))
}

fn transaction_by_hash(rpc: &Rpc, params: Params<'_>) -> Answer<Option<EthTransaction>> {
    let hash: B256 = one(&params)?;
    if let Some((view, index)) = rpc.place(&hash)? {
        return Ok(view.transaction(index));
    }
    let waiting = rpc.shared.pool().mempool.get(&hash).map(|tx| (tx.raw.clone(), tx.sender));
    let Some((raw, sender)) = waiting else { return Ok(None) };
    let transaction = decode(&raw).map_err(internal)?;
    Ok(Some(pending_transaction(transaction, sender)))
}

fn raw_transaction(rpc: &Rpc, params: Params<'_>) -> Answer<Option<Bytes>> {
    use alloy_eips::eip2718::Encodable2718 as _;
    let hash: B256 = one(&params)?;
    if let Some((view, index)) = rpc.place(&hash)? {
        return Ok(view.transactions.get(index).map(|found| found.transaction.encoded_2718().into()));
    }
    Ok(rpc.shared.pool().mempool.get(&hash).map(|tx| tx.raw.clone().into()))
}

fn transaction_at_number(rpc: &Rpc, params: Params<'_>) -> Answer<Option<EthTransaction>> {
    let (tag, index) = pair::<BlockNumberOrTag, U64>(&params)?;
    transaction_at(rpc, tag.into(), index)
}

fn transaction_at_hash(rpc: &Rpc, params: Params<'_>) -> Answer<Option<EthTransaction>> {
    let (hash, index) = pair::<B256, U64>(&params)?;
    transaction_at(rpc, hash.into(), index)
}

fn transaction_at(rpc: &Rpc, id: BlockId, index: U64) -> Answer<Option<EthTransaction>> {
    let Some(height) = rpc.height(id)? else { return Ok(None) };
    let index = usize::try_from(index.to::<u64>()).unwrap_or(usize::MAX);
    Ok(rpc.view(height)?.and_then(|view| view.transaction(index)))
}

fn receipt(rpc: &Rpc, params: Params<'_>) -> Answer<Option<TransactionReceipt>> {
    let hash: B256 = one(&params)?;
    Ok(rpc.place(&hash)?.and_then(|(view, index)| view.receipt(index)))
}

fn nonce(rpc: &Rpc, params: Params<'_>) -> Answer<U64> {
    let (address, id) = two::<Address, BlockId>(&params)?;
    let height = rpc.existing(id)?;
    let account = rpc.chain().account(&address, height).map_err(unread_state)?;
    if id != Some(BlockId::pending()) {
        return Ok(U64::from(account.nonce));
    }
    let state = crate::mempool::AccountState { nonce: account.nonce, balance: account.balance };
    Ok(U64::from(rpc.shared.pool().mempool.next_nonce(&address, state)))
}

fn balance(rpc: &Rpc, params: Params<'_>) -> Answer<U256> {
    let (address, id) = two::<Address, BlockId>(&params)?;
    let height = rpc.existing(id)?;
    Ok(rpc.chain().account(&address, height).map_err(unread_state)?.balance)
}

fn code(rpc: &Rpc, params: Params<'_>) -> Answer<Bytes> {
    let (address, id) = two::<Address, BlockId>(&params)?;
    let height = rpc.existing(id)?;
    rpc.chain().code(&address, height).map_err(unread_state)
}

fn storage(rpc: &Rpc, params: Params<'_>) -> Answer<B256> {
    let (address, slot, id) = three::<Address, Slot, BlockId>(&params)?;
    let height = rpc.existing(id)?;
    rpc.chain().storage(&address, &slot, height).map(B256::from).map_err(unread_state)
}

fn logs(rpc: &Rpc, params: Params<'_>) -> Answer<Vec<Log>> {
    let filter: Filter = one(&params)?;
    check_filter(&filter)?;
    rpc.logs(&filter)
}

impl Rpc {
    /// Logs that a filter matches.
    pub(super) fn logs(&self, filter: &Filter) -> Answer<Vec<Log>> {
        let (from, to) = match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let height = self.height(hash.into())?.ok_or_else(|| not_found(format!("no block {hash}")))?;
                (height, height)
            }
            FilterBlockOption::Range { from_block, to_block } => {
                let newest = self.newest();
                let resolve = |tag: Option<BlockNumberOrTag>| match tag {
                    None => Ok(newest),
                    Some(BlockNumberOrTag::Number(height)) => Ok(height),
                    Some(tag) => self.chain().height_of(tag).map(|height| height.unwrap_or(newest)).map_err(internal),
                };
                (resolve(from_block)?, resolve(to_block)?)
            }
        };
        if from > to {
            return Err(invalid_params(format!("fromBlock {from} is above toBlock {to}")));
        }
        self.logs_between(filter, from, to.min(self.newest()))
    }

    /// Logs of the heights `from..=to` that a filter matches.
    pub(super) fn logs_between(&self, filter: &Filter, from: Height, to: Height) -> Answer<Vec<Log>> {
        if from > to {
            return Ok(Vec::new());
        }
        let topics = filter.topics.clone().map(|topic| topic.iter().map(|topic| Digest(topic.0)).collect());
        let addresses = filter.address.iter().map(|address| Account(address.0.0)).collect();
        let query = LogQuery { from, to, addresses, topics };
        let found = self.chain().store.logs(&query).map_err(|error| match error {
            BlockStoreError::LogBlocks(_) | BlockStoreError::Logs => limit(error),
            other => unread(other),
        })?;
        Ok(found.into_iter().map(log_view).collect())
    }
}

fn log_view(found: crate::store::FoundLog) -> Log {
    Log {
        inner: found.log,
        block_hash: Some(B256::from(found.block_hash.0)),
        block_number: Some(found.height),
        block_timestamp: Some(found.time_unix_s),
        transaction_hash: Some(B256::from(found.tx_hash.0)),
        transaction_index: Some(u64::from(found.tx_index)),
        log_index: Some(u64::from(found.log_index)),
        removed: false,
    }
}

fn send_raw(rpc: &Rpc, params: Params<'_>) -> Answer<B256> {
    let raw: Bytes = one(&params)?;
    let said = |error| match error {
        IntakeError::Chain(error) => internal(error),
        IntakeError::Admission(refusal) => refused_for_good(refusal),
        other => refused(other),
    };
    match &rpc.duty {
        Duty::Validator { intake, .. } => intake.submit(raw.to_vec()).map_err(said),
        Duty::Follower(forward) => {
            let pending = rpc.chain().admit(raw.to_vec()).map_err(refused_for_good)?;
            let _same: B256 = rpc.forwarded(forward, "eth_sendRawTransaction", &params)?;
            // Its own pool has it too, so that the next nonce is known here; what a source took is not refused for that.
            let _full = hear(&rpc.shared, raw.to_vec());
            Ok(pending.hash)
        }
    }
}

fn txpool_status(rpc: &Rpc, _: Params<'_>) -> Answer<Value> {
    let waiting = rpc.shared.pool().mempool.len() as u64;
    Ok(json!({ "pending": U64::from(waiting), "queued": U64::ZERO }))
}

fn txpool_content(rpc: &Rpc, _: Params<'_>) -> Answer<Value> {
    let waiting: Vec<_> =
        rpc.shared.pool().mempool.iter().map(|tx| (tx.sender, tx.nonce, tx.raw.clone())).take(1_024).collect();
    let mut accounts = serde_json::Map::new();
    for (sender, nonce, raw) in waiting {
        let transaction = decode(&raw).map_err(internal)?;
        let shown = serde_json::to_value(pending_transaction(transaction, sender)).map_err(internal)?;
        let account = accounts.entry(sender.to_string()).or_insert_with(|| json!({}));
        account[nonce.to_string()] = shown;
    }
    Ok(json!({ "pending": accounts, "queued": {} }))
}
