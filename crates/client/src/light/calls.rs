//! Calls, made again on this machine: a node tells what a call reads, with proofs, and the chain's own rules run over them.
//! What reaches confidential state only an executor can make: its signature, registration and block are checked.

use std::sync::Arc;

use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes, TxKind};
use alloy_rpc_types_eth::TransactionRequest;
use freehold_crypto::{CallDataRefusal, asked_call_digest};
use freehold_ledger::{CallError, CallRequest, Halt, Outcome, Overrides, Parent, Status, Witness};
use freehold_primitives::{AnswerStatus, Digest};
use freehold_rpc::{AnswerAsked, CallPurpose, CallReads, HexBytes, NodeError, VerifiedError};
use freehold_verify::{VerifiedAnswer, VerifiedHeader};
use rand::{rand_core::TryRng as _, rngs::SysRng};
use serde_json::{Value, json};

use super::{
    error::{LightError, Unsigned},
    head::LightClient,
};

/// What a node's refusal says where nobody there signs answers.
const NO_EXECUTOR: &str = "no-executor";

/// A call as JSON-RPC names it.
#[derive(Debug, Clone, PartialEq)]
pub struct LightCall {
    json: Value,
    request: CallRequest,
}

impl LightCall {
    /// Reads the first parameter of `eth_call`.
    ///
    /// # Errors
    /// [`LightError::Request`], [`LightError::Machine`].
    pub fn read(json: Value) -> Result<Self, LightError> {
        let request: TransactionRequest =
            serde_json::from_value(json.clone()).map_err(|_| LightError::Request("the call cannot be read"))?;
        let to = match request.to {
            Some(TxKind::Call(address)) => Some(address),
            Some(TxKind::Create) | None => None,
        };
        let data = request.input.try_into_unique_input();
        let data = data.map_err(|_| LightError::Request("`data` and `input` of the call differ"))?;
        let mut entropy = B256::ZERO;
        SysRng.try_fill_bytes(&mut entropy.0).map_err(|_| LightError::Machine("the system gives no randomness"))?;
        let request = CallRequest {
            from: request.from.unwrap_or_default(),
            to,
            value: request.value.unwrap_or_default(),
            data: data.unwrap_or_default(),
            gas: request.gas,
            gas_price: request.max_fee_per_gas.or(request.gas_price),
            priority_fee: request.max_fee_per_gas.map(|_| request.max_priority_fee_per_gas.unwrap_or_default()),
            nonce: request.nonce,
            authorizations: request.authorization_list.unwrap_or_default(),
            overrides: Overrides::default(),
            access_list: request.access_list.unwrap_or_default(),
            entropy,
        };
        Ok(Self { json, request })
    }
}

/// What stands for what a call gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// It was made again on this machine, over proofs of all that it reads.
    Recomputed,
    /// The signature of this registered executor, behind a certified block.
    Executor(Digest),
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LightOutcome {
    /// How it ended.
    pub status: AnswerStatus,
    /// Return data, or the reason of a revert.
    pub output: Bytes,
    /// What stands for it.
    pub backing: Backing,
    /// Why it was stopped, where this machine made it.
    pub halt: Option<Halt>,
}

impl LightOutcome {
    /// Whether it succeeded.
    pub fn is_success(&self) -> bool {
        self.status == AnswerStatus::Success
    }

    pub(crate) fn recomputed(outcome: Outcome) -> Self {
        let (status, halt) = match outcome.status {
            Status::Success => (AnswerStatus::Success, None),
            Status::Revert => (AnswerStatus::Revert, None),
            Status::Halt(halt) => (AnswerStatus::Halt, Some(halt)),
        };
        Self { status, output: outcome.output, backing: Backing::Recomputed, halt }
    }

    fn signed(answer: VerifiedAnswer) -> Self {
        let VerifiedAnswer { executor, status, output } = answer;
        Self { status, output: output.into(), backing: Backing::Executor(executor), halt: None }
    }
}

/// What a call run gives over proofs.
type Run<T> = fn(&freehold_ledger::ChainContext, Parent<'_>, &Witness, &CallRequest) -> Result<T, CallError>;

fn run_call(
    context: &freehold_ledger::ChainContext,
    parent: Parent<'_>,
    state: &Witness,
    request: &CallRequest,
) -> Result<Outcome, CallError> {
    freehold_ledger::call(context, parent, state, request)
}

fn run_estimate(
    context: &freehold_ledger::ChainContext,
    parent: Parent<'_>,
    state: &Witness,
    request: &CallRequest,
) -> Result<u64, CallError> {
    freehold_ledger::estimate_gas(context, parent, state, request)
}

impl LightClient {
    /// Makes a call behind the newest block, or takes a registered executor's signature for what it gives where it reaches
    /// what is confidential. A revert is an outcome.
    ///
    /// # Errors
    /// Every [`LightError`]; [`LightError::ConfidentialCall`] where no executor answers a call that reaches what is
    /// confidential.
    pub async fn call(&self, call: &LightCall, id: Option<BlockId>) -> Result<LightOutcome, LightError> {
        match self.run(call, id, CallPurpose::Call, run_call).await {
            Ok(outcome) => Ok(LightOutcome::recomputed(outcome)),
            Err(LightError::ConfidentialCall(_)) => self.signed(call, id, CallPurpose::Call).await,
            Err(error) => Err(error),
        }
    }

    /// The least gas limit with which a call succeeds.
    ///
    /// # Errors
    /// As [`Self::call`], and [`LightError::Call`] or [`LightError::Fails`] where it fails with any.
    pub async fn estimate_gas(&self, call: &LightCall, id: Option<BlockId>) -> Result<u64, LightError> {
        match self.run(call, id, CallPurpose::Estimate, run_estimate).await {
            Err(LightError::ConfidentialCall(_)) => {}
            other => return other,
        }
        let outcome = self.signed(call, id, CallPurpose::Estimate).await?;
        // Its length was checked with the signature.
        match <[u8; 8]>::try_from(&outcome.output[..]) {
            Ok(gas) if outcome.is_success() => Ok(u64::from_be_bytes(gas)),
            _ => Err(LightError::Fails(Box::new(outcome))),
        }
    }

    /// What a registered executor signed that the call gives, behind a block that is not older than what was seen.
    async fn signed(
        &self,
        call: &LightCall,
        id: Option<BlockId>,
        purpose: CallPurpose,
    ) -> Result<LightOutcome, LightError> {
        let app = self.context.genesis().membership.app.as_ref();
        let app = app.ok_or(LightError::ConfidentialCall(Unsigned::NoApp))?;
        let digest = &asked_call_digest(&call.request.asked());
        let (header, answer) = self
            .read_now(|node| async move {
                let asked = AnswerAsked { request: &call.json, purpose, call: digest, app };
                match node.signed_call(&asked).await {
                    Ok(proven) => Ok((proven.header, proven.value)),
                    Err(VerifiedError::Node(NodeError::Refused { data: Some(data), .. }))
                        if data["reason"] == NO_EXECUTOR =>
                    {
                        Err(LightError::ConfidentialCall(Unsigned::NoExecutor))
                    }
                    Err(error) => Err(error.into()),
                }
            })
            .await?;
        self.check_newest(id, &header)?;
        Ok(LightOutcome::signed(answer))
    }

    async fn run<T: Send + 'static>(
        &self,
        call: &LightCall,
        id: Option<BlockId>,
        purpose: CallPurpose,
        run: Run<T>,
    ) -> Result<T, LightError> {
        let entropy = &Digest(call.request.entropy.0);
        let (header, value) = self
            .read_now(|node| async move {
                let reads = node.call_reads(&call.json, purpose, entropy).await?;
                self.run_over(reads, call.request.clone(), run).await
            })
            .await?;
        self.check_newest(id, &header)?;
        Ok(value)
    }

    /// Runs over proven reads. What the proofs do not hold is the node's fault, whatever the call makes of it.
    async fn run_over<T: Send + 'static>(
        &self,
        reads: CallReads,
        request: CallRequest,
        run: Run<T>,
    ) -> Result<(VerifiedHeader, T), LightError> {
        let context = Arc::clone(&self.context);
        let CallReads { verified, header, values, content, headers } = reads;
        let work = move || {
            let witness = Witness::new(header.clone(), values, content, headers);
            let parent = Parent { header: &header, content: &witness, hashes: &witness, keys: None };
            let result = request.within_means(&witness).and_then(|request| run(&context, parent, &witness, &request));
            (witness.missing(), result)
        };
        let done = tokio::task::spawn_blocking(work).await;
        match done.map_err(|_| LightError::Machine("a call broke off"))? {
            (true, _) => Err(LightError::IncompleteProofs),
            (false, Ok(value)) => Ok((verified, value)),
            (false, Err(CallError::Follower | CallError::CallData(CallDataRefusal::Unavailable))) => {
                Err(LightError::ConfidentialCall(Unsigned::Unasked))
            }
            (false, Err(error)) => Err(LightError::Call(Box::new(error))),
        }
    }

    /// Passes a call on to a node and gives back what it says. Nothing stands for the answer.
    ///
    /// # Errors
    /// What the node says.
    pub async fn unproven_call(&self, method: &str, params: Value) -> Result<Value, LightError> {
        let params = &params;
        self.upstreams.ask(|node| async move { Ok(node.node().call(method, params).await?) }).await
    }

    /// As [`Self::unproven_call`] for `eth_call`, in a form that no one takes for proven.
    ///
    /// # Errors
    /// What the node says.
    pub async fn unproven_output(&self, params: Value) -> Result<Value, LightError> {
        let output: Value = self.unproven_call("eth_call", params).await?;
        let output: HexBytes =
            serde_json::from_value(output).map_err(|_| LightError::Request("the node's answer is no bytes"))?;
        Ok(json!({ "proven": false, "output": Bytes::from(output.0) }))
    }
}
