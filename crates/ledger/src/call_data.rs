//! Call data of transactions and calls: opened before the machine runs, answered after (`spec/call-data.md`).
//!
//! A refused envelope fails its transaction, which pays for what it carries; it never stops a block. The work for one
//! call is bounded: one reading, and at most [`GUESSES_MAX`] openings where the client names no epoch.

use std::{cell::RefCell, collections::BTreeMap};

use alloy_primitives::{B256, Bytes};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use freehold_crypto::{
    CallData, CallDataRefusal, CallDataSecret, CallFailure, CallResult, DEOXYS_NONCE_BYTES, FailureForm, OpenedCall,
    ResultSealer, SealedCall, StateRootKey,
};
use freehold_evm::{FirstInput, MachineTx, Outcome, Status, TxEnv, ViewError};

use crate::{
    block::Parent,
    confidential::{call_data_secret, epoch_of},
    context::ChainContext,
    state::StateTree,
};

/// Gas of opening an encrypted call, beside what its bytes cost (Sapphire's price).
pub const OPENING_GAS: u64 = 10_000;
/// Least number of epochs for which a call-data key is accepted after its own.
const ACCEPTED_EPOCHS_MIN: u64 = 5;
/// Least time in seconds for which a call-data key is accepted after its epoch.
const ACCEPTED_S_MIN: u64 = 600;
/// Most epochs that are tried for a call that names none: the newest first.
const GUESSES_MAX: u64 = 6;
/// Module and code of failures, as Sapphire's: of the machine, of a revert, of an envelope.
const FAILED: (&str, u32) = ("evm", 2);
const REVERTED: (&str, u32) = ("evm", 8);

/// Opens call data at one moment of the chain.
pub(crate) struct Opener<'a> {
    ctx: &'a ChainContext,
    parent: Parent<'a>,
    state: &'a dyn StateTree,
    /// Epoch of the moment.
    epoch: u64,
    /// The newest state root key, where the moment's epoch may have no entry in state yet.
    newest: Option<&'a StateRootKey>,
    /// Secrets of epochs that were asked for.
    secrets: RefCell<BTreeMap<u64, Option<CallDataSecret>>>,
}

impl<'a> Opener<'a> {
    /// At `time_unix_s`, over the state behind `parent`; with the newest state root key where a block is made, whose
    /// epoch may begin with it.
    pub(crate) fn new(
        ctx: &'a ChainContext,
        (parent, state): (Parent<'a>, &'a dyn StateTree),
        time_unix_s: u64,
        newest: Option<&'a StateRootKey>,
    ) -> Self {
        let epoch = epoch_of(ctx, time_unix_s);
        Self { ctx, parent, state, epoch, newest, secrets: RefCell::default() }
    }

    /// The oldest epoch whose key is still accepted.
    fn oldest(&self) -> u64 {
        let epochs = ACCEPTED_S_MIN.div_ceil(self.ctx.genesis().epoch_s.max(1)).max(ACCEPTED_EPOCHS_MIN);
        self.epoch.saturating_sub(epochs)
    }

    /// The secret of an epoch; `None` where the chain has made no key of it known.
    fn secret(&self, epoch: u64) -> Result<Option<CallDataSecret>, ViewError> {
        if let Some(known) = self.secrets.borrow().get(&epoch) {
            return Ok(known.clone());
        }
        let Some(keys) = self.parent.keys else { return Ok(None) };
        let known = call_data_secret(self.ctx, keys, epoch, (self.state, self.parent.content))?;
        let beginning = self.newest.filter(|_| epoch == self.epoch);
        let secret = known.or_else(|| Some(beginning?.call_data_secret(&self.ctx.genesis_hash(), epoch)));
        self.secrets.borrow_mut().insert(epoch, secret.clone());
        Ok(secret)
    }

    /// Opens with the key of one epoch.
    fn try_epoch(&self, call: &SealedCall<'_>, epoch: u64) -> Result<Result<OpenedCall, CallDataRefusal>, ViewError> {
        // Where the chain was not there yet, or stood still for a whole epoch, there is no key that anyone could have had.
        Ok(self.secret(epoch)?.map_or(Err(CallDataRefusal::Tag), |secret| call.open(&secret.to_bytes())))
    }

    fn open(&self, call: &SealedCall<'_>) -> Result<Result<OpenedCall, CallDataRefusal>, ViewError> {
        if self.parent.keys.is_none() {
            return Ok(Err(CallDataRefusal::Unavailable));
        }
        match call.epoch() {
            Some(epoch) if epoch > self.epoch => Ok(Err(CallDataRefusal::EpochFuture)),
            Some(epoch) if epoch < self.oldest() => Ok(Err(CallDataRefusal::EpochPast)),
            Some(epoch) => self.try_epoch(call, epoch),
            None => {
                let oldest = self.oldest().max(self.epoch.saturating_sub(GUESSES_MAX - 1));
                for epoch in (oldest..=self.epoch).rev() {
                    let opened = self.try_epoch(call, epoch)?;
                    if !matches!(opened, Err(CallDataRefusal::Tag)) {
                        return Ok(opened);
                    }
                }
                Ok(Err(CallDataRefusal::Tag))
            }
        }
    }
}

/// Call data, opened.
pub(crate) struct Opened {
    /// What the first frame gets.
    pub(crate) input: FirstInput,
    /// Whether an opening is paid for.
    sealed: bool,
    /// Seals the answer, where the call was sealed.
    pub(crate) answer: Option<ResultSealer>,
    /// Why the call fails.
    pub(crate) refusal: Option<CallDataRefusal>,
}

impl Opened {
    /// Opens call data. What is wrong with it is no error but a refusal.
    ///
    /// # Errors
    /// [`ViewError`] where state could not be read.
    pub(crate) fn new(data: CallData<'_>, opener: &Opener<'_>) -> Result<Self, ViewError> {
        let sealed = data.is_sealed();
        let refused = |refusal| Self { input: FirstInput::Refused, sealed, answer: None, refusal: Some(refusal) };
        let opened = |input, answer| Self { input, sealed, answer, refusal: None };
        Ok(match data {
            CallData::Plain => opened(FirstInput::Carried, None),
            CallData::Wrapped(data) => opened(FirstInput::Opened(Bytes::copy_from_slice(data)), None),
            CallData::Refused { refusal, .. } => refused(refusal),
            CallData::Sealed(call) => match opener.open(&call)? {
                Ok(call) => opened(FirstInput::Opened(call.data.into()), Some(call.answer)),
                Err(refusal) => refused(refusal),
            },
        })
    }

    /// The transaction as the machine takes it.
    pub(crate) fn machine_tx(&self, env: TxEnv) -> MachineTx {
        MachineTx { env, input: self.input.clone(), opening_gas: opening_gas(self.sealed) }
    }

    /// Seals what the client alone may read of an outcome. What a deployment returns is its code, which is public.
    pub(crate) fn seal(&self, outcome: Outcome, nonce: &[u8; DEOXYS_NONCE_BYTES]) -> Outcome {
        let Some(answer) = &self.answer else { return outcome };
        let result = match &outcome.status {
            Status::Success if outcome.created.is_some() => return outcome,
            Status::Success => CallResult::Returned(outcome.output.to_vec()),
            _ if answer.failures() == FailureForm::Plain => return outcome,
            _ => CallResult::Failed(failure(&outcome)),
        };
        Outcome { output: answer.seal(nonce, &result).into(), ..outcome }
    }

    /// Whether it came encrypted.
    pub(crate) const fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Whether the call came in an envelope that asks for no sealed failure: a stock client's.
    pub(crate) fn fails_openly(&self) -> bool {
        self.answer.is_some() && !self.seals_failures()
    }

    /// Whether a failure of this call is told in its sealed answer.
    pub(crate) fn seals_failures(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.failures() == FailureForm::Sealed)
    }
}

/// Gas that opening call data adds.
pub(crate) const fn opening_gas(sealed: bool) -> u64 {
    if sealed { OPENING_GAS } else { 0 }
}

/// Nonce of the answer to a transaction: height, index in the block, three zero bytes.
pub(crate) fn answer_nonce(height: u64, index: u32) -> [u8; DEOXYS_NONCE_BYTES] {
    let mut nonce = [0; DEOXYS_NONCE_BYTES];
    nonce[..8].copy_from_slice(&height.to_be_bytes());
    nonce[8..12].copy_from_slice(&index.to_be_bytes());
    nonce
}

/// Nonce of the answer to a query: from entropy that only this query has.
pub(crate) fn query_nonce(entropy: &B256) -> [u8; DEOXYS_NONCE_BYTES] {
    let digest = freehold_crypto::hash("freehold query answer nonce", &[entropy.as_slice()]);
    let mut nonce = [0; DEOXYS_NONCE_BYTES];
    nonce.copy_from_slice(&digest.as_bytes()[..DEOXYS_NONCE_BYTES]);
    nonce
}

fn failure(outcome: &Outcome) -> CallFailure {
    let ((module, code), message) = match &outcome.status {
        Status::Halt(reason) => (FAILED, format!("execution failed: {reason:?}")),
        _ => (REVERTED, format!("reverted: {}", BASE64_STANDARD.encode(&outcome.output))),
    };
    CallFailure { module: module.to_owned(), code, message }
}
