//! Sending: an account's call of a contract, shown with what it costs before it is signed.

use std::{path::Path, time::Duration};

use alloy_sol_types::SolCall;
use anyhow::{Context as _, Result, bail};
use freehold_crypto::{AccountKey, genesis_hash};
use freehold_primitives::{Account, Ed25519Key, Genesis};
use freehold_rpc::{CallTransaction, Endpoint, NodeClient, NodeError, QuantityU64, TransactionReceipt};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    accounts::{self, UNIT},
    args::ActingArgs,
    output::Output,
};

/// Where the secret of the acting account stands when no file is named.
const KEY_VARIABLE: &str = "FREEHOLD_ACCOUNT_KEY";
/// How long a transaction may take.
const EXECUTION: Duration = Duration::from_secs(30);

/// A contract, and its own words for what it refuses.
pub(super) struct Contract {
    pub(super) name: &'static str,
    pub(super) address: Account,
    pub(super) told: fn(NodeError) -> anyhow::Error,
    /// Gas that a call is given at least, where it may take more when it is executed than when it is estimated.
    pub(super) gas_min: u64,
}

/// An account that acts, and the node that takes its transactions.
pub(super) struct Sender {
    pub(super) node: NodeClient,
    pub(super) genesis: Genesis,
    pub(super) account: AccountKey,
    /// Show what would be sent, and send nothing.
    pub(super) dry_run: bool,
    /// The validator that it acts for, if any.
    pub(super) validator: Option<Ed25519Key>,
}

impl Sender {
    /// Asks the node which network it is of.
    pub(super) async fn open(rpc: &str, account: AccountKey, dry_run: bool) -> Result<Self> {
        let node = NodeClient::new(rpc.parse::<Endpoint>()?);
        let genesis = node.genesis().await.with_context(|| format!("the node at {rpc} does not answer"))?;
        Ok(Self { node, genesis, account, dry_run, validator: None })
    }

    /// The account that the arguments name.
    pub(super) async fn acting(args: &ActingArgs) -> Result<Self> {
        let account = match args.dev_user {
            Some(index) => accounts::user(index)?,
            None => account_secret(args.key.as_deref())?,
        };
        Self::open(&args.rpc, account, args.dry_run).await
    }

    /// Shows a call and its cost, sends it, and waits until it is executed.
    pub(super) async fn send<C: SolCall>(
        &self,
        contract: &Contract,
        call: &C,
        value_wei: u128,
        output: Output,
    ) -> Result<()> {
        self.receipt(contract, call, value_wei, output).await.map(drop)
    }

    /// As [`Sender::send`], with the receipt; `None` where nothing is to be sent.
    pub(super) async fn receipt<C: SolCall>(
        &self,
        contract: &Contract,
        call: &C,
        value_wei: u128,
        output: Output,
    ) -> Result<Option<TransactionReceipt>> {
        let (from, to, data) = (self.account.account(), contract.address, call.abi_encode());
        let gas_limit = self.estimate(&to, &data, value_wei).await.map_err(contract.told)?.max(contract.gas_min);
        let fees = self.node.fees().await?;
        let fee_wei = u128::from(gas_limit).saturating_mul(fees.max_fee_per_gas);
        output.object(&json!({
            "event": "signing", "contract": format!("0x{to}"), "function": C::SIGNATURE,
            "identity": self.validator.map(|validator| validator.to_string()), "from": format!("0x{from}"),
            "chain_id": self.genesis.chain_id, "genesis_hash": genesis_hash(&self.genesis).to_string(),
            "value_wei": value_wei.to_string(), "gas_limit": gas_limit, "fee_wei_max": fee_wei.to_string(),
        }));
        if let Some(validator) = self.validator {
            output.text(&format!("identity   {validator}"));
        }
        output.text(&format!("account    0x{from}, on chain {}", self.genesis.chain_id));
        output.text(&format!("signs      {}.{}", contract.name, C::SIGNATURE));
        output.text(&format!("costs      {} value, at most {} fees", units(value_wei), units(fee_wei)));
        if self.dry_run {
            output.text("not sent, as asked with --dry-run");
            return Ok(None);
        }
        let (nonce, chain_id) = (self.node.nonce(&from).await?, self.genesis.chain_id);
        let transaction = CallTransaction { chain_id, nonce, to, value_wei, gas_limit, fees, data };
        let (raw, hash) = transaction.sign(&self.account);
        self.node.send_raw_transaction(raw).await?;
        let receipt = self.node.wait_for_receipt(&hash, EXECUTION).await?;
        done(&receipt, output)?;
        Ok(Some(receipt))
    }

    /// Gas of a call, a quarter more than it takes now.
    async fn estimate(&self, to: &Account, data: &[u8], value_wei: u128) -> Result<u64, NodeError> {
        let call = json!({
            "from": format!("0x{}", self.account.account()), "to": format!("0x{to}"),
            "value": format!("0x{value_wei:x}"), "data": format!("0x{}", hex::encode(data)),
        });
        let gas = self.node.call::<QuantityU64>("eth_estimateGas", (call,)).await?;
        Ok(gas.0.saturating_add(gas.0 / 4))
    }
}

/// Tells of a transaction that was executed; an error where it failed.
fn done(receipt: &TransactionReceipt, output: Output) -> Result<()> {
    let (height, gas, hash) = (receipt.block_number.0, receipt.gas_used.0, receipt.transaction_hash);
    if receipt.status.0 != 1 {
        bail!("transaction {hash} failed in block {height}: something changed since it was estimated; try again");
    }
    output.object(&json!({
        "event": "done", "tx_hash": hash.to_string(), "height": height, "gas_used": gas,
    }));
    output.text(&format!("done       block {height}, {gas} gas, transaction {hash}"));
    Ok(())
}

/// The account whose secret stands in a file, or in the environment where no file is named.
pub(super) fn account_secret(key: Option<&Path>) -> Result<AccountKey> {
    let secret = match key {
        Some(path) => super::collateral::secret(path)?,
        None => {
            let text = std::env::var(KEY_VARIABLE).map(Zeroizing::new);
            let text = text.with_context(|| format!("name the account with --key FILE, or set {KEY_VARIABLE}"))?;
            let mut secret = Zeroizing::new([0; 32]);
            hex::decode_to_slice(text.trim().trim_start_matches("0x"), &mut *secret)
                .map_err(|_| anyhow::anyhow!("{KEY_VARIABLE} holds no secret of 32 bytes in hex"))?;
            secret
        }
    };
    AccountKey::from_bytes(&secret).context("the secret is none of an account")
}

/// Units of 18 decimals, as a person reads them.
pub(super) fn units(wei: u128) -> String {
    let (whole, part) = (wei / UNIT, wei % UNIT);
    if part == 0 {
        return whole.to_string();
    }
    format!("{whole}.{}", format!("{part:018}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests;
