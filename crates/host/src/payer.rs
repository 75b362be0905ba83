//! Paying: one account's transactions, one after the other, so that no two take the same nonce.

use std::{sync::Arc, time::Duration};

use freehold_crypto::AccountKey;
use freehold_primitives::{Account, Digest};
use freehold_rpc::{CallTransaction, NodeClient, NodeError, QuantityU64, TransactionReceipt};
use serde_json::json;
use tokio::sync::Mutex;

use crate::error::HostError;

/// Longest wait for a transaction.
pub(crate) const EXECUTED_WAIT: Duration = Duration::from_secs(20);
/// Bound on gas: a transaction's cap on this chain.
const GAS_MAX: u64 = 1 << 24;

/// An account that pays. Whoever pays by one account in one process shares one of these. No `Debug`: it holds a secret.
pub struct Payer {
    node: NodeClient,
    key: AccountKey,
    chain_id: u64,
    turn: Mutex<()>,
}

/// What to call.
pub(crate) struct Call {
    pub(crate) to: Account,
    pub(crate) value_wei: u128,
    /// Gas that it is given at least, where it may take more when it is executed than when it is estimated.
    pub(crate) gas_min: u64,
    pub(crate) data: Vec<u8>,
}

impl Payer {
    /// The account of a key, which pays through a node.
    pub fn new(node: NodeClient, key: AccountKey, chain_id: u64) -> Arc<Self> {
        Arc::new(Self { node, key, chain_id, turn: Mutex::new(()) })
    }

    /// The account.
    pub fn account(&self) -> Account {
        self.key.account()
    }

    /// Signs and sends a call; gives its hash and nonce. A call that would revert is refused by the node's estimate.
    pub(crate) async fn send(&self, call: Call) -> Result<(Digest, u64), NodeError> {
        let _turn = self.turn.lock().await;
        let from = self.account();
        let ask = json!({
            "from": format!("0x{from}"),
            "to": format!("0x{}", call.to),
            "value": format!("{:#x}", call.value_wei),
            "data": format!("0x{}", hex::encode(&call.data)),
        });
        let gas: QuantityU64 = self.node.call("eth_estimateGas", (ask,)).await?;
        let nonce = self.node.nonce(&from).await?;
        let transaction = CallTransaction {
            chain_id: self.chain_id,
            nonce,
            to: call.to,
            value_wei: call.value_wei,
            gas_limit: gas.0.saturating_add(gas.0 / 4).clamp(call.gas_min, GAS_MAX),
            fees: self.node.fees().await?,
            data: call.data,
        };
        let (bytes, tx_hash) = transaction.sign(&self.key);
        self.node.send_raw_transaction(bytes).await?;
        Ok((tx_hash, nonce))
    }

    /// Sends a call and waits until it is executed.
    pub(crate) async fn execute(&self, what: &'static str, call: Call) -> Result<(TransactionReceipt, u64), HostError> {
        let (tx_hash, nonce) = self.send(call).await?;
        let receipt = self.node.wait_for_receipt(&tx_hash, EXECUTED_WAIT).await?;
        if receipt.status.0 == 1 { Ok((receipt, nonce)) } else { Err(HostError::Reverted { what, tx_hash }) }
    }
}
