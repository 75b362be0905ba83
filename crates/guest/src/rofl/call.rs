//! Calls that change nothing, with something that stands for the answer: the chain's own rules over proofs of all that is
//! read, or a registered executor's signature where the call reaches what is confidential.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256};
use freehold_crypto::{CallDataRefusal, asked_call_digest};
use freehold_ledger::{CallError, CallRequest, ChainContext, Outcome, Overrides, Parent, Status, Witness, call};
use freehold_primitives::{Account, AnswerStatus, Digest, Height};
use freehold_rpc::{AnswerAsked, CallPurpose, CallReads, VerifiedError};
use rand::{TryRng as _, rngs::SysRng};
use serde_json::json;
use thiserror::Error;

use crate::agent::Guest;

/// Why a call gave no answer that something stands for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum CallRunError {
    #[error(transparent)]
    Unverified(#[from] VerifiedError),
    #[error("the call reads what the relay did not prove")]
    Incomplete,
    #[error("the call reaches confidential state, and this network has no registered executors whose answer counts")]
    Confidential,
    #[error(transparent)]
    Call(Box<CallError>),
    #[error("the relay's answer is of height {shown}, and this instance has seen {seen}")]
    Old { shown: Height, seen: Height },
    #[error("reverted: {}", hex::encode(.0))]
    Reverted(Vec<u8>),
    #[error("the call was stopped by the machine")]
    Halted,
    #[error("the genesis names rules that this program does not know")]
    Context,
    #[error("the call could not be run")]
    Broken,
}

/// A call as a query asks for it.
pub(super) struct Simulated {
    pub(super) caller: [u8; 20],
    pub(super) to: Option<Account>,
    pub(super) value: U256,
    pub(super) gas: Option<u64>,
    pub(super) data: Vec<u8>,
}

/// What the call returns behind the newest block.
pub(super) async fn simulate(guest: &Guest, simulated: Simulated) -> Result<Vec<u8>, CallRunError> {
    let seen = guest.life().newest().map_or(0, |moment| moment.height);
    let mut entropy = B256::ZERO;
    SysRng.try_fill_bytes(&mut entropy.0).map_err(|_| CallRunError::Broken)?;
    let Simulated { caller, to, value, gas, data } = simulated;
    let mut asked = json!({
        "from": format!("0x{}", hex::encode(caller)), "value": format!("{value:#x}"),
        "data": format!("0x{}", hex::encode(&data)),
    });
    if let Some(to) = to {
        asked["to"] = json!(format!("0x{to}"));
    }
    if let Some(gas) = gas {
        asked["gas"] = json!(format!("{gas:#x}"));
    }
    let request = CallRequest {
        from: Address::from(caller),
        to: to.map(|to| Address::from(to.0)),
        value,
        data: data.into(),
        gas,
        gas_price: None,
        priority_fee: None,
        nonce: None,
        authorizations: Vec::new(),
        overrides: Overrides::default(),
        access_list: Default::default(),
        entropy,
    };
    let reads = guest.chain().call_reads(&asked, CallPurpose::Call, &Digest(entropy.0)).await?;
    if reads.verified.height() < seen {
        return Err(CallRunError::Old { shown: reads.verified.height(), seen });
    }
    let context = guest.ledger().map_err(|_| CallRunError::Context)?;
    let ran = run(context, reads, request.clone()).await;
    if !matches!(ran, Err(CallRunError::Confidential)) {
        return ran;
    }
    let app = guest.settings().genesis.membership.app.ok_or(CallRunError::Confidential)?;
    let digest = asked_call_digest(&request.asked());
    let ask = AnswerAsked { request: &asked, purpose: CallPurpose::Call, call: &digest, app: &app };
    let signed = guest.chain().signed_call(&ask).await?;
    if signed.header.height() < seen {
        return Err(CallRunError::Old { shown: signed.header.height(), seen });
    }
    match signed.value.status {
        AnswerStatus::Success => Ok(signed.value.output),
        AnswerStatus::Revert => Err(CallRunError::Reverted(signed.value.output)),
        AnswerStatus::Halt => Err(CallRunError::Halted),
    }
}

/// Runs over proven reads, on a thread for what takes long.
async fn run(context: Arc<ChainContext>, reads: CallReads, request: CallRequest) -> Result<Vec<u8>, CallRunError> {
    let CallReads { header, values, content, headers, .. } = reads;
    let work = move || {
        let witness = Witness::new(header.clone(), values, content, headers);
        let parent = Parent { header: &header, content: &witness, hashes: &witness, keys: None };
        let result = request.within_means(&witness).and_then(|request| call(&context, parent, &witness, &request));
        (witness.missing(), result)
    };
    match tokio::task::spawn_blocking(work).await.map_err(|_| CallRunError::Broken)? {
        (true, _) => Err(CallRunError::Incomplete),
        (false, Ok(Outcome { status, output, .. })) => match status {
            Status::Success => Ok(output.to_vec()),
            Status::Revert => Err(CallRunError::Reverted(output.to_vec())),
            Status::Halt(_) => Err(CallRunError::Halted),
        },
        (false, Err(CallError::Follower | CallError::CallData(CallDataRefusal::Unavailable))) => {
            Err(CallRunError::Confidential)
        }
        (false, Err(error)) => Err(CallRunError::Call(Box::new(error))),
    }
}
