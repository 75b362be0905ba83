//! Calls that nobody without state keys can make again: what an executor signed, held to its registration.

use freehold_primitives::{
    AnswerPurpose, AppId, Digest,
    entries::{DenyEntry, InstanceEntry},
};
use freehold_verify::{
    AnswerError, AskedAnswer, EntryKey, ExecutorStanding, VerifiedAnswer, read_answer, verify_answer,
};
use serde_json::Value;

use super::{Checked, Proven, VerifiedClient, VerifiedError};
use crate::node::CallPurpose;

/// What is asked of an executor.
#[derive(Debug, Clone, Copy)]
pub struct AnswerAsked<'a> {
    /// The call, as `eth_call` takes it.
    pub request: &'a Value,
    /// What it is made for.
    pub purpose: CallPurpose,
    /// Digest of the same call (`spec/call-answer.md` §2).
    pub call: &'a Digest,
    /// The app whose instances are executors.
    pub app: &'a AppId,
}

impl VerifiedClient {
    /// What a call gave behind the newest block of a registered executor, and the header of that block.
    ///
    /// # Errors
    /// Every [`VerifiedError`]; [`VerifiedError::Answer`] where what the node says is no executor's answer to this call.
    pub async fn signed_call(&self, asked: &AnswerAsked<'_>) -> Result<Proven<VerifiedAnswer>, VerifiedError> {
        let said = self.node.signed_call(asked.request, asked.purpose).await?;
        let answer = read_answer(&said.answer.0)?;
        let header = *self.wait_for_headers(answer.height).await?.first();
        let Checked { header: entry_header, entry } =
            self.entry::<InstanceEntry>(&EntryKey::Instance(answer.instance_id)).await?;
        let instance = entry.ok_or(AnswerError::NotRegistered)?;
        let subjects = instance.deny_subjects().into_iter();
        let keys: Vec<EntryKey> = subjects.map(|(kind, subject)| EntryKey::Deny(AppId::CHAIN, kind, subject)).collect();
        let (denials_header, denials) = self.entries::<DenyEntry>(&keys).await?;
        let denials: Vec<DenyEntry> = denials.into_iter().flatten().collect();
        // Neither half of the registration may be older than the answer.
        let older = if denials_header.height() < entry_header.height() { denials_header } else { entry_header };
        let executor = ExecutorStanding { header: &older, instance: &instance, denials: &denials };
        let purpose = match asked.purpose {
            CallPurpose::Call => AnswerPurpose::Call,
            CallPurpose::Estimate => AnswerPurpose::Estimate,
        };
        let asked = AskedAnswer { trust: &self.trust, app: asked.app, purpose, call: asked.call };
        let value = verify_answer(&asked, &answer, (&said.output.0, &said.signature.0), &header, &executor)?;
        Ok(Proven { header, value })
    }
}
