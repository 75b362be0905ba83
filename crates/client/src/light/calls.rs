//! Calls, made again on this machine: a node tells what a call reads, with proofs, and the chain's own rules run over them.

use std::sync::Arc;

use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes, TxKind};
use alloy_rpc_types_eth::TransactionRequest;
use freehold_crypto::CallDataRefusal;
use freehold_ledger::{CallError, CallRequest, Outcome, Overrides, Parent, Witness};
use freehold_primitives::Digest;
use freehold_rpc::{CallPurpose, CallReads, HexBytes};
use freehold_verify::VerifiedHeader;
use rand::{rand_core::TryRng as _, rngs::SysRng};
use serde_json::{Value, json};

use super::{error::LightError, head::LightClient};

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
    /// Makes a call behind the newest block. A revert is an outcome.
    ///
    /// # Errors
    /// Every [`LightError`]; [`LightError::ConfidentialCall`] where it reaches what is confidential.
    pub async fn call(&self, call: &LightCall, id: Option<BlockId>) -> Result<Outcome, LightError> {
        self.run(call, id, CallPurpose::Call, run_call).await
    }

    /// The least gas limit with which a call succeeds.
    ///
    /// # Errors
    /// As [`Self::call`], and [`LightError::Call`] where it fails with any.
    pub async fn estimate_gas(&self, call: &LightCall, id: Option<BlockId>) -> Result<u64, LightError> {
        self.run(call, id, CallPurpose::Estimate, run_estimate).await
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
                Err(LightError::ConfidentialCall)
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
