//! Answers of executors (`spec/call-answer.md`): what a call gave, signed by an instance that the chain knows.
//!
//! Invariant: a [`VerifiedAnswer`] exists only for the call that was asked, behind a block under a certificate, signed by
//! the account of an instance that was live, undenied and of the right app as of a certified header not older than that
//! block. Whether the executor's TEE computed honestly is its evidence's word, not a proof.

use freehold_crypto::{KeyError, answer_output_digest, recover_answer};
use freehold_primitives::{
    AnswerPurpose, AnswerStatus, AppId, CallAnswer, Canonical as _, CodecError, Digest,
    entries::{DenyEntry, InstanceEntry},
};
use thiserror::Error;

use super::{finality::ChainTrust, header::VerifiedHeader};

/// Why an answer does not count.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// It is no document of its kind.
    #[error("the answer cannot be read: {0}")]
    Codec(#[from] CodecError),
    /// It is of another chain or genesis.
    #[error("the answer is of another chain")]
    OtherChain,
    /// It is of another block than the certified one of its height.
    #[error("the answer names another block than the certified one of its height")]
    OtherBlock,
    /// It answers another call, or another purpose.
    #[error("the answer is that of another call")]
    OtherCall,
    /// The output beside it is another one.
    #[error("the output is not the one that was signed")]
    OtherOutput,
    /// An estimate that succeeded is no number.
    #[error("the estimate is no number of 8 bytes")]
    Estimate,
    /// The chain has no such instance.
    #[error("the answer names an instance that is not registered")]
    NotRegistered,
    /// The instance is no executor: it belongs to another app.
    #[error("the instance belongs to another app than that of executors")]
    OtherApp,
    /// The instance was closed, or its lease has ended.
    #[error("the executor's registration is closed or has ended")]
    Ended,
    /// The chain denies what the instance stands on.
    #[error("the chain denies what the executor stands on")]
    Denied,
    /// What was read of the registration is older than the answer.
    #[error("the executor's registration was read at an older block than the answer's")]
    OldRegistration,
    /// The signature is not that of the instance's account.
    #[error("the answer is not signed by the executor: {0}")]
    Signature(#[from] KeyError),
    /// Somebody else signed.
    #[error("the answer is signed by another account than the executor's")]
    OtherSigner,
}

/// What was asked, and of whom.
#[derive(Debug, Clone, Copy)]
pub struct AskedAnswer<'a> {
    /// The chain.
    pub trust: &'a ChainTrust,
    /// The app whose instances are executors.
    pub app: &'a AppId,
    /// What the call was made for.
    pub purpose: AnswerPurpose,
    /// Digest of the call.
    pub call: &'a Digest,
}

/// An executor as certified state has it.
#[derive(Debug, Clone, Copy)]
pub struct ExecutorStanding<'a> {
    /// The header under which it was read.
    pub header: &'a VerifiedHeader,
    /// Its entry.
    pub instance: &'a InstanceEntry,
    /// What the chain denies of what it stands on.
    pub denials: &'a [DenyEntry],
}

/// What a call gave, by the signature of a registered executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedAnswer {
    /// The executor.
    pub executor: Digest,
    /// How the call ended.
    pub status: AnswerStatus,
    /// Its output.
    pub output: Vec<u8>,
}

/// Reads an answer, to know which block and whose registration to look up. Nothing in it counts yet.
///
/// # Errors
/// [`AnswerError::Codec`].
pub fn read_answer(document: &[u8]) -> Result<CallAnswer, AnswerError> {
    Ok(CallAnswer::from_canonical(document)?)
}

/// Checks an answer behind the certified block `header`.
///
/// # Errors
/// Every [`AnswerError`].
pub fn verify_answer(
    asked: &AskedAnswer<'_>,
    answer: &CallAnswer,
    (output, signature): (&[u8], &[u8]),
    header: &VerifiedHeader,
    executor: &ExecutorStanding<'_>,
) -> Result<VerifiedAnswer, AnswerError> {
    if answer.chain_id != asked.trust.chain_id || answer.genesis_hash != asked.trust.genesis_hash {
        return Err(AnswerError::OtherChain);
    }
    if answer.height != header.height() || answer.block_hash != header.block_hash() {
        return Err(AnswerError::OtherBlock);
    }
    if answer.purpose != asked.purpose || answer.call != *asked.call {
        return Err(AnswerError::OtherCall);
    }
    if answer.output != answer_output_digest(output) {
        return Err(AnswerError::OtherOutput);
    }
    if answer.purpose == AnswerPurpose::Estimate && answer.status == AnswerStatus::Success && output.len() != 8 {
        return Err(AnswerError::Estimate);
    }
    check_executor(asked, answer, header, executor)?;
    if recover_answer(answer, signature)? != executor.instance.account {
        return Err(AnswerError::OtherSigner);
    }
    Ok(VerifiedAnswer { executor: answer.instance_id, status: answer.status, output: output.to_vec() })
}

fn check_executor(
    asked: &AskedAnswer<'_>,
    answer: &CallAnswer,
    header: &VerifiedHeader,
    executor: &ExecutorStanding<'_>,
) -> Result<(), AnswerError> {
    let ExecutorStanding { header: seen, instance, denials } = executor;
    if seen.height() < header.height() {
        return Err(AnswerError::OldRegistration);
    }
    if instance.instance_id != answer.instance_id {
        return Err(AnswerError::NotRegistered);
    }
    if instance.app_id != *asked.app {
        return Err(AnswerError::OtherApp);
    }
    if instance.closed_at.is_some() || instance.expires_at <= seen.time_unix_s() {
        return Err(AnswerError::Ended);
    }
    if denials.iter().any(|denial| denial.stands(instance.tcb_level.as_ref())) {
        return Err(AnswerError::Denied);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
