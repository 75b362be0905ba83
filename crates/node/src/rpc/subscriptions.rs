//! `eth_subscribe` over WebSocket: new heads, logs, waiting transactions.

use std::sync::Arc;

use alloy_consensus::Sealed;
use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, Header as RpcHeader};
use freehold_rpc::{Detail, EthTransaction, pending_transaction};
use jsonrpsee::{
    Extensions, PendingSubscriptionSink, RpcModule, SubscriptionMessage, SubscriptionSink, core::RegisterMethodError,
    core::SubscriptionError, types::Params,
};
use serde::Serialize;
use serde_json::Value;

use super::{
    error::{invalid_params, limit},
    filters::check_filter,
    server::Rpc,
};
use crate::chain::decode;

/// What a client subscribes to.
enum Topic {
    Heads,
    Logs(Box<Filter>),
    Pending(Detail),
}

/// Adds the methods of this file.
pub(super) fn add(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    module.register_subscription("eth_subscribe", "eth_subscription", "eth_unsubscribe", subscribe).map(|_| ())
}

async fn subscribe(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    rpc: Arc<Rpc>,
    _: Extensions,
) -> Result<(), SubscriptionError> {
    let topic = match topic(&params) {
        Ok(topic) => topic,
        Err(text) => {
            pending.reject(invalid_params(text)).await;
            return Ok(());
        }
    };
    let Ok(_place) = Arc::clone(&rpc.subscriptions).try_acquire_owned() else {
        pending.reject(limit("too many subscriptions of all clients together: try again later")).await;
        return Ok(());
    };
    let sink = pending.accept().await?;
    match topic {
        Topic::Heads => heads(&rpc, &sink, None).await,
        Topic::Logs(filter) => heads(&rpc, &sink, Some(*filter)).await,
        Topic::Pending(detail) => waiting(&rpc, &sink, detail).await,
    }
    Ok(())
}

fn topic(params: &Params<'_>) -> Result<Topic, String> {
    let mut sequence = params.sequence();
    let name: String = sequence.next().map_err(|error| error.to_string())?;
    match name.as_str() {
        "newHeads" => Ok(Topic::Heads),
        "newPendingTransactions" => {
            let full: Option<bool> = sequence.optional_next().map_err(|error| error.to_string())?;
            Ok(Topic::Pending(if full == Some(true) { Detail::Full } else { Detail::Hashes }))
        }
        "logs" => {
            let filter: Option<Value> = sequence.optional_next().map_err(|error| error.to_string())?;
            let filter = filter.map(serde_json::from_value).transpose().map_err(|error| error.to_string())?;
            let filter: Filter = filter.unwrap_or_default();
            check_filter(&filter).map_err(|error| error.message().to_owned())?;
            Ok(Topic::Logs(Box::new(filter)))
        }
        other => Err(format!("no subscription {other}: newHeads, logs and newPendingTransactions are served")),
    }
}

/// Sends each new head, or the logs in it that a filter matches.
async fn heads(rpc: &Arc<Rpc>, sink: &SubscriptionSink, filter: Option<Filter>) {
    let mut tip = rpc.shared.tip.subscribe();
    let mut next = rpc.newest() + 1;
    while !sink.is_closed() {
        tokio::select! {
            () = sink.closed() => return,
            changed = tip.changed() => if changed.is_err() { return },
        }
        let newest = rpc.newest();
        for height in next..=newest {
            let sent = match &filter {
                None => match rpc.chain().store.header(height) {
                    Ok(Some(header)) => send(sink, &RpcHeader::from_sealed(Sealed::new(header))).await,
                    _ => return,
                },
                Some(filter) => {
                    let mut sent = true;
                    for log in rpc.logs_between(filter, height, height).unwrap_or_default() {
                        sent = sent && send(sink, &log).await;
                    }
                    sent
                }
            };
            if !sent {
                return;
            }
        }
        next = newest + 1;
    }
}

async fn waiting(rpc: &Arc<Rpc>, sink: &SubscriptionSink, detail: Detail) {
    let mut entered = rpc.shared.entered.subscribe();
    loop {
        let hash: B256 = tokio::select! {
            () = sink.closed() => return,
            hash = entered.recv() => match hash {
                Ok(hash) => hash,
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => continue,
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            },
        };
        let sent = match detail {
            Detail::Hashes => send(sink, &hash).await,
            // One that was executed in the meantime is told by its block.
            Detail::Full => match waiting_view(rpc, &hash) {
                Some(transaction) => send(sink, &transaction).await,
                None => true,
            },
        };
        if !sent {
            return;
        }
    }
}

/// A transaction that waits.
fn waiting_view(rpc: &Rpc, hash: &B256) -> Option<EthTransaction> {
    let (raw, sender) = rpc.shared.pool().mempool.get(hash).map(|tx| (tx.raw.clone(), tx.sender))?;
    decode(&raw).ok().map(|transaction| pending_transaction(transaction, sender))
}

async fn send(sink: &SubscriptionSink, value: &impl Serialize) -> bool {
    let Ok(raw) = serde_json::value::to_raw_value(value) else { return false };
    sink.send(SubscriptionMessage::from(raw)).await.is_ok()
}
