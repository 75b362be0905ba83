//! The questions: one for each method, with its answer as JSON.

use std::pin::Pin;

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::Filter;
use freehold_client::{LightCall, LightClient, LightError};
use freehold_rpc::{BlockView, Detail};
use serde_json::{Value, json};

use crate::chain::{Facts, KEPT, keep};

type Asked<'a> = Pin<Box<dyn Future<Output = Result<Value, LightError>> + 'a>>;

/// A question.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Whether it is found by a hash: then a node can withhold it.
    pub(crate) by_hash: bool,
    pub(crate) ask: for<'a> fn(&'a LightClient, &'a Facts) -> Asked<'a>,
}

macro_rules! case {
    ($name:literal, $by_hash:literal, $client:ident, $facts:ident, $ask:expr) => {
        Case {
            name: $name,
            by_hash: $by_hash,
            ask: |$client, $facts| Box::pin(async move { Ok(serde_json::to_value($ask).unwrap()) }),
        }
    };
}

fn call(call: Value) -> Result<LightCall, LightError> {
    LightCall::read(call)
}

/// All questions.
pub(crate) fn all() -> Vec<Case> {
    let mut all = blocks();
    all.extend(state());
    all
}

fn blocks() -> Vec<Case> {
    vec![
        case!("eth_blockNumber", false, client, _facts, client.head().await?.height()),
        case!("eth_getBlockByNumber", false, client, facts, {
            let block = client.block_at(facts.kept_at).await?;
            block.map(|block| BlockView::from(&*block).block(Detail::Full))
        }),
        case!("eth_getBlockByHash", true, client, facts, {
            let block = client.block_with_hash(facts.kept_in).await?;
            block.map(|block| BlockView::from(&*block).block(Detail::Hashes))
        }),
        case!("eth_getBlockReceipts", false, client, facts, {
            let block = client.block(BlockId::number(facts.kept_at)).await?;
            block.map(|block| BlockView::from(&*block).receipt(0))
        }),
        case!("eth_getTransactionByHash", true, client, facts, client.transaction(facts.kept).await?),
        case!("eth_getTransactionReceipt", true, client, facts, client.receipt(facts.kept).await?),
        case!("eth_getLogs", false, client, facts, client.logs(&range(facts)).await?),
        case!("eth_getLogs of one topic", false, client, facts, {
            client.logs(&range(facts).event_signature(B256::from(KEPT))).await?
        }),
        case!("eth_getLogs without any", false, client, facts, {
            client.logs(&range(facts).event_signature(B256::repeat_byte(9))).await?
        }),
        case!("eth_getLogs of a block", false, client, facts, {
            client.logs(&Filter::new().at_block_hash(facts.kept_in)).await?
        }),
        case!("eth_gasPrice", false, client, _facts, client.gas_price().await?.to_string()),
        case!("eth_feeHistory", false, client, facts, {
            client.fee_history(3, BlockNumberOrTag::Number(facts.kept_at), Some(vec![50.0])).await?
        }),
    ]
}

fn range(facts: &Facts) -> Filter {
    Filter::new().address(facts.keeper).from_block(1).to_block(facts.kept_at + 1)
}

fn state() -> Vec<Case> {
    vec![
        case!("eth_getBalance", false, client, facts, client.balance(&facts.owner, None).await?),
        case!("eth_getBalance of nobody", false, client, _facts, {
            client.balance(&alloy_primitives::Address::repeat_byte(0xab), None).await?
        }),
        case!("eth_getTransactionCount", false, client, facts, {
            client.nonce(&facts.owner, Some(BlockId::pending())).await?
        }),
        case!("eth_getCode", false, client, facts, client.code(&facts.keeper, None).await?),
        case!("eth_getStorageAt", false, client, facts, client.storage(&facts.keeper, U256::ZERO, None).await?),
        case!("eth_getStorageAt of nothing", false, client, facts, {
            client.storage(&facts.keeper, U256::from(9), None).await?
        }),
        case!("eth_call", false, client, facts, {
            let call = call(json!({"to": facts.keeper, "data": B256::ZERO}))?;
            client.call(&call, None).await?.output
        }),
        case!("eth_call for a block's hash", false, client, facts, {
            let call = call(json!({"to": facts.hashes, "data": B256::from(U256::from(facts.kept_at))}))?;
            client.call(&call, None).await?.output
        }),
        case!("eth_call of what is confidential", false, client, facts, {
            let call = call(json!({"to": facts.secret, "data": B256::ZERO}))?;
            client.call(&call, None).await?.output
        }),
        case!("eth_call with encrypted data", false, client, facts, {
            let call = call(json!({"to": facts.secret, "data": facts.sealed}))?;
            client.call(&call, None).await?.output
        }),
        case!("eth_estimateGas of what is confidential", false, client, facts, {
            let call = call(json!({"to": facts.secret, "data": keep(U256::from(5))}))?;
            client.estimate_gas(&call, None).await?
        }),
        case!("eth_estimateGas", false, client, facts, {
            let call = call(json!({"from": facts.owner, "to": facts.keeper, "data": keep(U256::from(5))}))?;
            client.estimate_gas(&call, None).await?
        }),
    ]
}
