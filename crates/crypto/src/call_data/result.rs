//! Answers to encrypted calls: sealed under the key that opened the call.

use freehold_primitives::{CborError, CborValue};
use thiserror::Error;
use zeroize::Zeroizing;

use super::FailureForm;
use crate::mrae::{DEOXYS_NONCE_BYTES, Deoxys};

/// Why a call failed, in Sapphire's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFailure {
    /// Module that failed.
    pub module: String,
    /// Its code.
    pub code: u32,
    /// A sentence.
    pub message: String,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallResult {
    /// It returned these bytes.
    Returned(Vec<u8>),
    /// It failed.
    Failed(CallFailure),
}

/// Why an answer could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResultError {
    /// It is no answer to an encrypted call.
    #[error("the answer is not in the form of an answer to an encrypted call: {0}")]
    Form(#[from] CborError),
    /// It is an answer in the open.
    #[error("the answer is not sealed")]
    Plain,
    /// It was not sealed under this call's key, or was changed.
    #[error("the answer was not sealed for this call, or was changed")]
    Tag,
}

/// The chain's side: seals the answer of one call.
pub struct ResultSealer {
    key: Deoxys,
    failures: FailureForm,
}

impl ResultSealer {
    pub(super) const fn new(key: Deoxys, failures: FailureForm) -> Self {
        Self { key, failures }
    }

    /// How the client wants failures to be told.
    pub const fn failures(&self) -> FailureForm {
        self.failures
    }

    /// Seals an answer: `{"ok": {"data", "nonce"}}` around a sealed `{"ok": bytes}` or `{"fail": {…}}`. A nonce serves one
    /// answer only.
    pub fn seal(&self, nonce: &[u8; DEOXYS_NONCE_BYTES], result: &CallResult) -> Vec<u8> {
        let inner = Zeroizing::new(result.to_cbor());
        let data = self.key.seal(nonce, &inner, &[]);
        let sealed = CborValue::map([("data", CborValue::Bytes(&data)), ("nonce", CborValue::Bytes(nonce))]);
        CborValue::map([("ok", sealed)]).to_vec()
    }
}

impl CallResult {
    /// `{"ok": bytes}` or `{"fail": {…}}`.
    pub fn to_cbor(&self) -> Vec<u8> {
        match self {
            Self::Returned(bytes) => CborValue::map([("ok", CborValue::Bytes(bytes))]).to_vec(),
            Self::Failed(failure) => failure.to_cbor(),
        }
    }
}

impl CallFailure {
    fn to_cbor(&self) -> Vec<u8> {
        let mut fields =
            vec![("code", CborValue::Unsigned(u64::from(self.code))), ("module", CborValue::Text(&self.module))];
        if !self.message.is_empty() {
            fields.push(("message", CborValue::Text(&self.message)));
        }
        CborValue::map([("fail", CborValue::map(fields))]).to_vec()
    }

    fn read(value: CborValue<'_>) -> Result<Self, CborError> {
        let mut fields = value.into_fields()?;
        let failure = Self {
            code: u32::try_from(fields.required("code")?.unsigned()?).map_err(|_| CborError::Type)?,
            module: fields.required("module")?.text()?.to_owned(),
            message: fields.optional("message").map_or(Ok(""), |message| message.text())?.to_owned(),
        };
        fields.finish()?;
        Ok(failure)
    }
}

/// A client's side: opens the answer to its call.
pub struct ResultOpener {
    key: Deoxys,
}

impl ResultOpener {
    pub(super) const fn new(key: Deoxys) -> Self {
        Self { key }
    }

    /// Opens an answer.
    ///
    /// # Errors
    /// Any [`ResultError`]; a failure of the call itself is a [`CallResult`].
    pub fn open(&self, answer: &[u8]) -> Result<CallResult, ResultError> {
        let mut fields = CborValue::read(answer)?.into_fields()?;
        let sealed = match fields.required("ok")? {
            CborValue::Bytes(_) => return Err(ResultError::Plain),
            sealed => sealed,
        };
        fields.finish()?;
        let mut sealed = sealed.into_fields()?;
        let data = sealed.required("data")?.bytes()?;
        let nonce = sealed.required("nonce")?.array_of()?;
        sealed.finish()?;
        let inner = Zeroizing::new(self.key.open(&nonce, data, &[]).map_err(|_| ResultError::Tag)?);
        let mut fields = CborValue::read(&inner)?.into_fields()?;
        let result = match (fields.optional("ok"), fields.optional("fail")) {
            (Some(bytes), None) => CallResult::Returned(bytes.bytes()?.to_vec()),
            (None, Some(failure)) => CallResult::Failed(CallFailure::read(failure)?),
            _ => return Err(ResultError::Form(CborError::Type)),
        };
        fields.finish()?;
        Ok(result)
    }
}
