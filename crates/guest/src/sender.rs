//! Transactions of the instance's own account, one at a time, so that no two take the same nonce.
//!
//! The relay is asked for nonce, fees and gas, and can delay or refuse; what a transaction did counts only once its entry
//! was seen under a certificate. Bounds on gas and fee keep a lying relay from burning the allowance.

use std::time::Duration;

use alloy_sol_types::SolError as _;
use freehold_crypto::AccountKey;
use freehold_primitives::{Account, Digest};
use freehold_rpc::{CallTransaction, FeeQuote, NodeError, QuantityU64, VerifiedClient, VerifiedError};
use serde_json::json;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::abi::ILog::Refused;

/// Longest wait for one transaction.
const EXECUTED_WAIT: Duration = Duration::from_secs(10);
/// Bound on a transaction's gas.
const GAS_MAX: u64 = 2_000_000;
/// Fee that no transaction exceeds, in wei per gas.
const FEE_MAX: u128 = 1_000_000_000_000;

/// Why a transaction was not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum SendError {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Unverified(#[from] VerifiedError),
    /// The module would refuse it: its stable code, as the relay tells it.
    #[error("the module refuses it (code {code})")]
    Refused { code: u16 },
    #[error("transaction {0} was reverted")]
    Reverted(Digest),
    #[error("the relay asks for a fee of {0} wei per gas")]
    Fee(u128),
}

/// A transaction of the app's, not signed yet.
pub(crate) struct Outgoing {
    /// Callee; `None` to create a contract.
    pub(crate) to: Option<Account>,
    pub(crate) value_wei: u128,
    pub(crate) data: Vec<u8>,
    pub(crate) gas_limit: u64,
    pub(crate) fees: FeeQuote,
}

/// The account and the way to the chain.
pub(crate) struct AccountSender {
    chain: VerifiedClient,
    key: AccountKey,
    turn: Mutex<()>,
}

impl AccountSender {
    pub(crate) fn new(chain: VerifiedClient, key: AccountKey) -> Self {
        Self { chain, key, turn: Mutex::new(()) }
    }

    pub(crate) const fn chain(&self) -> &VerifiedClient {
        &self.chain
    }

    /// Fees for a transaction now, within bounds.
    pub(crate) async fn fees(&self) -> Result<FeeQuote, SendError> {
        let fees = self.chain.node().fees().await?;
        if fees.max_fee_per_gas > FEE_MAX {
            return Err(SendError::Fee(fees.max_fee_per_gas));
        }
        Ok(FeeQuote { max_priority_fee_per_gas: fees.max_priority_fee_per_gas.min(fees.max_fee_per_gas), ..fees })
    }

    /// Gas of a transaction, as the relay tells.
    pub(crate) async fn estimate(&self, outgoing: &Outgoing) -> Result<u64, SendError> {
        let mut call = json!({
            "from": format!("0x{}", self.key.account()), "value": format!("{:#x}", outgoing.value_wei),
            "data": format!("0x{}", hex::encode(&outgoing.data)),
        });
        if let Some(to) = outgoing.to {
            call["to"] = json!(format!("0x{to}"));
        }
        let gas: QuantityU64 = self.chain.node().call("eth_estimateGas", (call,)).await.map_err(refusal)?;
        Ok(gas.0)
    }

    /// Signs and sends a transaction; gives its hash.
    pub(crate) async fn submit(&self, outgoing: Outgoing) -> Result<Digest, SendError> {
        let _turn = self.turn.lock().await;
        let Outgoing { to, value_wei, data, gas_limit, fees } = outgoing;
        let transaction = CallTransaction {
            chain_id: self.chain.trust().chain_id,
            nonce: self.chain.node().nonce(&self.key.account()).await?,
            to: to.unwrap_or(Account([0; 20])),
            value_wei,
            gas_limit,
            fees,
            data,
        };
        let (bytes, hash) =
            if to.is_some() { transaction.sign(&self.key) } else { transaction.sign_creation(&self.key) };
        self.chain.node().send_raw_transaction(bytes).await?;
        Ok(hash)
    }

    /// Sends a call and waits until the relay says that it was executed.
    pub(crate) async fn send(&self, to: Account, data: Vec<u8>) -> Result<(), SendError> {
        let node = self.chain.node();
        let turn = self.turn.lock().await;
        let fees = self.fees().await?;
        let from = self.key.account();
        let gas = node.estimate_gas(&from, &to, data.clone()).await.map_err(refusal)?;
        let transaction = CallTransaction {
            chain_id: self.chain.trust().chain_id,
            nonce: node.nonce(&from).await?,
            to,
            value_wei: 0,
            gas_limit: gas.saturating_add(gas / 4).min(GAS_MAX),
            fees,
            data,
        };
        let (bytes, tx_hash) = transaction.sign(&self.key);
        node.send_raw_transaction(bytes).await?;
        drop(turn);
        let receipt = node.wait_for_receipt(&tx_hash, EXECUTED_WAIT).await?;
        if receipt.status.0 == 1 { Ok(()) } else { Err(SendError::Reverted(tx_hash)) }
    }
}

/// A module's refusal, where the error carries one.
fn refusal(error: NodeError) -> SendError {
    let NodeError::Refused { data: Some(data), .. } = &error else { return error.into() };
    let text = data.as_str().and_then(|text| text.strip_prefix("0x"));
    let refused = text.and_then(|text| hex::decode(text).ok()).and_then(|bytes| Refused::abi_decode(&bytes).ok());
    refused.map_or_else(|| error.into(), |refused| SendError::Refused { code: refused.code })
}
