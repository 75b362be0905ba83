//! Signatures of executors under what a call gave (`spec/call-answer.md`).
//!
//! The signer is the instance's own account, so that a contract can check an answer too. Not here: whether the account is
//! a registered executor's, and which block counts; those are `freehold-verify`'s.

use freehold_primitives::{Account, AskedCall, CallAnswer, Canonical as _, Digest};

use crate::{
    hash::{hash, keccak256},
    keys::{AccountKey, KeyError, recover_account},
};

const ANSWER_DOMAIN: &[u8] = b"freehold call answer\n";
const CALL_DOMAIN: &str = "freehold asked call";
const OUTPUT_DOMAIN: &str = "freehold call output";

/// Names a call.
pub fn asked_call_digest(call: &AskedCall) -> Digest {
    hash(CALL_DOMAIN, &[&call.to_canonical()])
}

/// Names what a call gave.
pub fn answer_output_digest(output: &[u8]) -> Digest {
    hash(OUTPUT_DOMAIN, &[output])
}

/// What an executor's account signs: keccak-256 of `"freehold call answer\n"` and the document.
pub fn answer_digest(answer: &CallAnswer) -> Digest {
    keccak256(&[ANSWER_DOMAIN, &answer.to_canonical()])
}

/// Account that signed an answer.
///
/// # Errors
/// [`KeyError::Malformed`], [`KeyError::Invalid`].
pub fn recover_answer(answer: &CallAnswer, signature: &[u8]) -> Result<Account, KeyError> {
    recover_account(&answer_digest(answer), signature)
}

/// What an executor signs answers with: the account of its instance, for nothing but answers of that instance.
pub struct AnswerSigner {
    instance_id: Digest,
    key: AccountKey,
}

impl AnswerSigner {
    /// The signer of an instance.
    pub const fn new(instance_id: Digest, key: AccountKey) -> Self {
        Self { instance_id, key }
    }

    /// The instance.
    pub const fn instance_id(&self) -> Digest {
        self.instance_id
    }

    /// Signs an answer; `None` where it names another instance.
    pub fn sign(&self, answer: &CallAnswer) -> Option<[u8; 65]> {
        (answer.instance_id == self.instance_id).then(|| self.key.sign(&answer_digest(answer)))
    }
}

#[cfg(test)]
mod tests;
