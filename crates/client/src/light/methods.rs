//! The methods of the local proxy. Each answer is proven, or computed here, or refused; methods that are not listed
//! answer −32601.

use std::{future::Future, sync::Arc};

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use alloy_rpc_types_eth::{Filter, TransactionReceipt};
use freehold_rpc::{BlockView, Detail, EthBlock, EthTransaction, TIP_SUGGESTED_WEI};
use jsonrpsee::{
    Extensions, RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    calls::LightCall,
    error::LightError,
    filters::LightWatch,
    head::{LightClient, Unproven},
    params::{Reader, invalid},
    refusals::{output, refusal},
};

type Answer<T> = Result<T, ErrorObjectOwned>;
type Client = Arc<LightClient>;

/// All methods.
pub(crate) fn module(client: Client) -> Result<RpcModule<LightClient>, RegisterMethodError> {
    let mut module = RpcModule::from_arc(client);
    constants(&mut module)?;
    method(&mut module, "eth_blockNumber", async |client, _| Ok(U64::from(told(client.head().await)?.height())))?;
    method(&mut module, "eth_getBlockByNumber", block_by_number)?;
    method(&mut module, "eth_getBlockByHash", block_by_hash)?;
    method(&mut module, "eth_getBlockReceipts", block_receipts)?;
    method(&mut module, "eth_getBlockTransactionCountByNumber", count_by_number)?;
    method(&mut module, "eth_getBlockTransactionCountByHash", count_by_hash)?;
    method(&mut module, "eth_getTransactionByHash", transaction_by_hash)?;
    method(&mut module, "eth_getTransactionByBlockNumberAndIndex", transaction_at_number)?;
    method(&mut module, "eth_getTransactionByBlockHashAndIndex", transaction_at_hash)?;
    method(&mut module, "eth_getTransactionReceipt", receipt)?;
    method(&mut module, "eth_getBalance", balance)?;
    method(&mut module, "eth_getTransactionCount", nonce)?;
    method(&mut module, "eth_getCode", code)?;
    method(&mut module, "eth_getStorageAt", storage)?;
    method(&mut module, "eth_getLogs", logs)?;
    method(&mut module, "eth_newFilter", async |client, params| {
        let filter: Filter = Reader::new(&params).next()?;
        told(client.new_filter(LightWatch::Logs(Box::new(filter))).await).map(U64::from)
    })?;
    method(&mut module, "eth_newBlockFilter", async |client, _| {
        told(client.new_filter(LightWatch::Blocks).await).map(U64::from)
    })?;
    method(&mut module, "eth_getFilterChanges", async |client, params| {
        told(client.filter_changes(Reader::new(&params).next::<U64>()?.to()).await)
    })?;
    method(&mut module, "eth_getFilterLogs", async |client, params| {
        told(client.filter_logs(Reader::new(&params).next::<U64>()?.to()).await)
    })?;
    method(&mut module, "eth_uninstallFilter", async |client, params| {
        Ok(client.uninstall_filter(Reader::new(&params).next::<U64>()?.to()))
    })?;
    method(&mut module, "eth_call", call)?;
    method(&mut module, "eth_estimateGas", estimate)?;
    method(&mut module, "eth_sendRawTransaction", send_raw)?;
    method(&mut module, "eth_gasPrice", async |client, _| Ok(U256::from(told(client.gas_price().await)?)))?;
    method(&mut module, "eth_feeHistory", fee_history)?;
    method(&mut module, "freehold_unprovenCall", unproven)?;
    method(&mut module, "freehold_lightStatus", status)?;
    Ok(module)
}

/// Methods whose answers hang on no node.
fn constants(module: &mut RpcModule<LightClient>) -> Result<(), RegisterMethodError> {
    method(module, "eth_chainId", async |client, _| Ok(U64::from(client.trust().chain_id)))?;
    method(module, "net_version", async |client, _| Ok(client.trust().chain_id.to_string()))?;
    method(module, "eth_syncing", async |_, _| Ok(false))?;
    method(module, "eth_accounts", async |_, _| Ok(Vec::<Address>::new()))?;
    method(module, "net_listening", async |_, _| Ok(true))?;
    method(module, "eth_maxPriorityFeePerGas", async |_, _| Ok(U256::from(TIP_SUGGESTED_WEI)))?;
    method(module, "web3_clientVersion", async |_, _| Ok(concat!("freehold-light/", env!("CARGO_PKG_VERSION"))))?;
    method(module, "web3_sha3", async |_, params| Ok(keccak256(Reader::new(&params).next::<Bytes>()?)))?;
    Ok(())
}

fn method<T, F>(
    module: &mut RpcModule<LightClient>,
    name: &'static str,
    call: impl Fn(Client, Params<'static>) -> F + Clone + Send + Sync + 'static,
) -> Result<(), RegisterMethodError>
where
    T: Serialize + Clone + Send + 'static,
    F: Future<Output = Answer<T>> + Send + 'static,
{
    let wrapped = move |params: Params<'static>, client: Client, _: Extensions| call(client, params);
    module.register_async_method(name, wrapped).map(|_| ())
}

fn told<T>(result: Result<T, LightError>) -> Answer<T> {
    result.map_err(|error| refusal(&error))
}

async fn view(client: &Client, id: BlockId) -> Answer<Option<BlockView>> {
    Ok(told(client.block(id).await)?.map(|block| BlockView::from(&*block)))
}

const fn detail(full: Option<bool>) -> Detail {
    if matches!(full, Some(true)) { Detail::Full } else { Detail::Hashes }
}

async fn block_by_number(client: Client, params: Params<'static>) -> Answer<Option<EthBlock>> {
    let mut params = Reader::new(&params);
    let (tag, full) = (params.next::<BlockNumberOrTag>()?, params.optional()?);
    Ok(view(&client, tag.into()).await?.map(|view| view.block(detail(full))))
}

async fn block_by_hash(client: Client, params: Params<'static>) -> Answer<Option<EthBlock>> {
    let mut params = Reader::new(&params);
    let (hash, full) = (params.next::<B256>()?, params.optional()?);
    Ok(view(&client, hash.into()).await?.map(|view| view.block(detail(full))))
}

async fn block_receipts(client: Client, params: Params<'static>) -> Answer<Option<Vec<TransactionReceipt>>> {
    let id: BlockId = Reader::new(&params).next()?;
    let view = view(&client, id).await?;
    Ok(view.map(|view| (0..view.transactions.len()).filter_map(|index| view.receipt(index)).collect()))
}

async fn count_by_number(client: Client, params: Params<'static>) -> Answer<Option<U64>> {
    let tag: BlockNumberOrTag = Reader::new(&params).next()?;
    Ok(view(&client, tag.into()).await?.map(|view| U64::from(view.transactions.len())))
}

async fn count_by_hash(client: Client, params: Params<'static>) -> Answer<Option<U64>> {
    let hash: B256 = Reader::new(&params).next()?;
    Ok(view(&client, hash.into()).await?.map(|view| U64::from(view.transactions.len())))
}

async fn transaction_by_hash(client: Client, params: Params<'static>) -> Answer<Option<EthTransaction>> {
    told(client.transaction(Reader::new(&params).next()?).await)
}

async fn transaction_at(client: &Client, id: BlockId, index: U64) -> Answer<Option<EthTransaction>> {
    let index = usize::try_from(index.to::<u64>()).unwrap_or(usize::MAX);
    Ok(view(client, id).await?.and_then(|view| view.transaction(index)))
}

async fn transaction_at_number(client: Client, params: Params<'static>) -> Answer<Option<EthTransaction>> {
    let mut params = Reader::new(&params);
    let (tag, index) = (params.next::<BlockNumberOrTag>()?, params.next()?);
    transaction_at(&client, tag.into(), index).await
}

async fn transaction_at_hash(client: Client, params: Params<'static>) -> Answer<Option<EthTransaction>> {
    let mut params = Reader::new(&params);
    let (hash, index) = (params.next::<B256>()?, params.next()?);
    transaction_at(&client, hash.into(), index).await
}

async fn receipt(client: Client, params: Params<'static>) -> Answer<Option<TransactionReceipt>> {
    told(client.receipt(Reader::new(&params).next()?).await)
}

async fn balance(client: Client, params: Params<'static>) -> Answer<U256> {
    let mut params = Reader::new(&params);
    let (address, id) = (params.next()?, params.optional()?);
    told(client.balance(&address, id).await)
}

async fn nonce(client: Client, params: Params<'static>) -> Answer<U64> {
    let mut params = Reader::new(&params);
    let (address, id) = (params.next()?, params.optional()?);
    told(client.nonce(&address, id).await).map(U64::from)
}

async fn code(client: Client, params: Params<'static>) -> Answer<Bytes> {
    let mut params = Reader::new(&params);
    let (address, id) = (params.next()?, params.optional()?);
    told(client.code(&address, id).await)
}

async fn storage(client: Client, params: Params<'static>) -> Answer<B256> {
    let mut params = Reader::new(&params);
    let (address, slot, id) = (params.next()?, params.next()?, params.optional()?);
    told(client.storage(&address, slot, id).await)
}

async fn logs(client: Client, params: Params<'static>) -> Answer<Vec<alloy_rpc_types_eth::Log>> {
    let filter: Filter = Reader::new(&params).next()?;
    told(client.logs(&filter).await)
}

/// Parameters of a call: the call itself, its block, and no overrides.
fn call_params(params: &Params<'_>) -> Answer<(LightCall, Option<BlockId>)> {
    let mut params = Reader::new(params);
    let (call, id) = (params.next()?, params.optional()?);
    for _ in 0..2 {
        if params.optional::<Value>()?.is_some_and(|overrides| overrides != json!({})) {
            return Err(invalid("overrides of state and block are not supported"));
        }
    }
    Ok((told(LightCall::read(call))?, id))
}

/// Whether an answer without a proof is wanted instead.
fn is_passed_on(client: &LightClient, error: &LightError) -> bool {
    matches!(error, LightError::ConfidentialCall(_)) && client.config.unproven == Unproven::PassedOn
}

async fn passed_on<T: serde::de::DeserializeOwned>(client: &Client, method: &str, params: &Params<'_>) -> Answer<T> {
    let params: Value = params.parse()?;
    let answer = told(client.unproven_call(method, params).await)?;
    serde_json::from_value(answer).map_err(|_| refusal(&LightError::Request("the node's answer cannot be read")))
}

async fn call(client: Client, params: Params<'static>) -> Answer<Bytes> {
    let (call, id) = call_params(&params)?;
    match client.call(&call, id).await {
        Ok(outcome) => output(outcome),
        Err(error) if is_passed_on(&client, &error) => passed_on(&client, "eth_call", &params).await,
        Err(error) => Err(refusal(&error)),
    }
}

async fn estimate(client: Client, params: Params<'static>) -> Answer<U64> {
    let (call, id) = call_params(&params)?;
    match client.estimate_gas(&call, id).await {
        Ok(gas) => Ok(U64::from(gas)),
        Err(error) if is_passed_on(&client, &error) => passed_on(&client, "eth_estimateGas", &params).await,
        Err(error) => Err(refusal(&error)),
    }
}

async fn unproven(client: Client, params: Params<'static>) -> Answer<Value> {
    told(client.unproven_output(params.parse()?).await)
}

async fn send_raw(client: Client, params: Params<'static>) -> Answer<B256> {
    told(client.send_raw(&Reader::new(&params).next()?).await)
}

async fn fee_history(client: Client, params: Params<'static>) -> Answer<alloy_rpc_types_eth::FeeHistory> {
    let mut params = Reader::new(&params);
    let (count, newest, percentiles) = (params.next::<U64>()?, params.next()?, params.optional()?);
    told(client.fee_history(count.to(), newest, percentiles).await)
}

/// What is held for the newest block, and what it is held to.
async fn status(client: Client, _: Params<'static>) -> Answer<Value> {
    let head = told(client.head().await)?;
    let trust = client.trust();
    Ok(json!({
        "chain_id": trust.chain_id,
        "genesis_hash": format!("0x{}", trust.genesis_hash),
        "network_key": format!("0x{}", trust.network_key),
        "height": head.height(),
        "block_hash": format!("0x{}", head.block_hash()),
        "time_unix_s": head.time_unix_s(),
    }))
}
