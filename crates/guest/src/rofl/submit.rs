//! Signing, sending, and what became of it.

use std::time::Duration;

use freehold_crypto::{CallFailure, CallResult, FailureForm, seal_call};
use freehold_primitives::{Account, Digest};
use freehold_rpc::{NodeError, VerifiedError};
use rand::{
    SeedableRng as _,
    rngs::{StdRng, SysRng},
};
use thiserror::Error;

use super::asked::{Asked, AskedError};
use crate::{
    agent::{Guest, Serving},
    clock::boot_ms,
    sender::{Outgoing, SendError},
    spending::{SpendingError, Wanted},
};

/// Longest wait for a transaction to stand in a block, as appd's.
const INCLUDED_WAIT: Duration = Duration::from_secs(60);
/// Most gas of a transaction on this chain (EIP-7825).
const GAS_MAX: u64 = 1 << 24;
/// Sapphire's word and number for a call that the machine reverted.
const REVERTED: (&str, u32) = ("evm", 8);

/// Why a transaction was not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum SubmitError {
    #[error(transparent)]
    Asked(#[from] AskedError),
    #[error(transparent)]
    Spending(#[from] SpendingError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Unverified(#[from] VerifiedError),
    #[error("the certified block does not hold transaction {0}, which the relay says it does")]
    NotThere(Digest),
    #[error("the system gives no randomness")]
    Randomness,
    #[error("not initialized yet")]
    NotServing,
}

impl From<NodeError> for SubmitError {
    fn from(error: NodeError) -> Self {
        Self::Send(error.into())
    }
}

/// Signs and sends a transaction of the instance's own account, within the owner's limits, and waits until it stands in a
/// block under a certificate. A transaction that failed is an outcome.
pub(crate) async fn submit(guest: &Guest, serving: &Serving, asked: Asked) -> Result<CallResult, SubmitError> {
    let set = guest.owner().newest().ok_or_else(|| {
        SpendingError::Unknown(guest.owner().trouble().unwrap_or_else(|| "they were not looked at".to_owned()))
    })?;
    let now = guest.life().now_unix_s(boot_ms()).ok_or(SubmitError::NotServing)?;
    let data = if asked.encrypt && !asked.data.is_empty() { sealed(guest, &asked.data).await? } else { asked.data };
    let sender = guest.sender();
    let mut outgoing = Outgoing {
        to: asked.to,
        value_wei: asked.value_wei,
        data,
        gas_limit: asked.gas_limit.min(GAS_MAX),
        fees: sender.fees().await?,
    };
    if outgoing.gas_limit == 0 {
        let gas = sender.estimate(&outgoing).await?;
        outgoing.gas_limit = gas.saturating_add(gas / 5).min(GAS_MAX);
    }
    let per_gas = outgoing.fees.max_fee_per_gas;
    let fee = |gas: u64| u128::from(gas).saturating_mul(per_gas);
    let cost_wei = asked.value_wei.saturating_add(fee(outgoing.gas_limit));
    let wanted = Wanted { to: asked.to, cost_wei, now };
    let sequence = serving.spending.reserve(set.spending.as_ref(), wanted).await?;
    let hash = match sender.submit(outgoing).await {
        Ok(hash) => hash,
        Err(error) => {
            // What the relay refused may have been sent all the same; it stays counted.
            return Err(error.into());
        }
    };
    let found = included(guest, &hash).await?;
    let spent = if found.is_success { asked.value_wei } else { 0 };
    serving.spending.settle(sequence, spent.saturating_add(fee(found.gas_used))).await;
    Ok(match (found.is_success, found.created) {
        (true, Some(contract)) => CallResult::Returned(contract.0.to_vec()),
        (true, None) => CallResult::Returned(Vec::new()),
        (false, _) => {
            let (module, code) = REVERTED;
            CallResult::Failed(CallFailure { code, module: module.to_owned(), message: "reverted: ".to_owned() })
        }
    })
}

/// Call data sealed to the chain's key of this epoch, which is proven.
async fn sealed(guest: &Guest, data: &[u8]) -> Result<Vec<u8>, SubmitError> {
    let key = guest.chain().call_data_key().await?;
    let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(|_| SubmitError::Randomness)?;
    Ok(seal_call((&key.public_key, key.epoch), data, FailureForm::Plain, &mut rng).0)
}

/// A transaction as a certified block holds it.
struct Included {
    is_success: bool,
    gas_used: u64,
    created: Option<Account>,
}

/// Waits for a transaction's block, and reads there what became of it.
async fn included(guest: &Guest, hash: &Digest) -> Result<Included, SubmitError> {
    let told = guest.chain().node().wait_for_receipt(hash, INCLUDED_WAIT).await?;
    let headers = guest.chain().wait_for_headers(told.block_number.0).await?;
    let block = guest.chain().block(headers.first()).await?;
    let found = block.transactions().iter().find(|transaction| transaction.envelope.tx_hash().0 == hash.0);
    let found = found.ok_or(SubmitError::NotThere(*hash))?;
    Ok(Included {
        is_success: found.receipt.status(),
        gas_used: found.gas_used,
        created: found.created.map(|contract| Account(contract.0.0)),
    })
}
