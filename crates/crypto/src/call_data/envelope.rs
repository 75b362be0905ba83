//! Calls in call data: plain, wrapped, or sealed to an epoch's key.

use freehold_primitives::{CborError, CborMap, CborValue, X25519Key};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{CallDataRefusal, FailureForm, ResultOpener, ResultSealer};
use crate::mrae::{DEOXYS_NONCE_BYTES, DEOXYS_TAG_BYTES, Deoxys, deoxys_shared_key, x25519_public};

/// Format of a call whose body is its call data.
const FORMAT_PLAIN: u64 = 0;
/// Format of a call that is sealed with X25519 and Deoxys-II.
const FORMAT_SEALED: u64 = 1;
/// What a call of ours says inside where failures shall be sealed too. Sapphire knows no such field and refuses it.
const SEALED_FAILURES: &str = "sealed_failures";

/// What call data is.
#[derive(Debug, PartialEq, Eq)]
pub enum CallData<'a> {
    /// No call in CBOR: the bytes are what the contract gets.
    Plain,
    /// A call in the open, whose body is what the contract gets.
    Wrapped(&'a [u8]),
    /// An encrypted call.
    Sealed(SealedCall<'a>),
    /// A call that cannot be one.
    Refused {
        /// Why.
        refusal: CallDataRefusal,
        /// Whether its format is the encrypted one, which is paid for in any case.
        sealed: bool,
    },
}

/// An encrypted call, not opened yet.
#[derive(Debug, PartialEq, Eq)]
pub struct SealedCall<'a> {
    read_only: bool,
    public_key: X25519Key,
    nonce: [u8; DEOXYS_NONCE_BYTES],
    epoch: Option<u64>,
    data: &'a [u8],
}

/// An encrypted call, opened.
pub struct OpenedCall {
    /// The call data that the contract gets.
    pub data: Vec<u8>,
    /// Seals the answer.
    pub answer: ResultSealer,
}

impl<'a> CallData<'a> {
    /// Reads call data. Never fails: what is no call is plain.
    pub fn read(data: &'a [u8]) -> Self {
        // Every call is a map of at most four fields: whatever begins otherwise costs nothing.
        if !matches!(data.first(), Some(0xa1..=0xa4)) {
            return Self::Plain;
        }
        CborValue::read(data).and_then(Call::read).map_or(Self::Plain, Self::of)
    }

    /// What a call is that stands inside another document.
    pub(super) fn of(call: Call<'a>) -> Self {
        let refused = |refusal| Self::Refused { refusal, sealed: call.format == FORMAT_SEALED };
        if call.format == FORMAT_PLAIN {
            return call.body.bytes().map_or_else(|_| refused(CallDataRefusal::Body), Self::Wrapped);
        }
        if !call.method.is_empty() {
            return refused(CallDataRefusal::Method);
        }
        SealedCall::read(call.body, call.read_only)
            .map_or_else(|_| Self::Refused { refusal: CallDataRefusal::Envelope, sealed: true }, Self::Sealed)
    }

    /// Whether it pays for an opening.
    pub const fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(_) | Self::Refused { sealed: true, .. })
    }
}

impl SealedCall<'_> {
    /// The epoch whose key it says it is sealed to; `None` where it says nothing.
    pub const fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// Opens it with the secret key of an epoch.
    ///
    /// # Errors
    /// [`CallDataRefusal::Tag`], [`CallDataRefusal::Inner`], [`CallDataRefusal::ReadOnly`], [`CallDataRefusal::Body`].
    pub fn open(&self, secret: &[u8; 32]) -> Result<OpenedCall, CallDataRefusal> {
        let key = Deoxys::new(&deoxys_shared_key(&self.public_key.0, secret));
        let inner = key.open(&self.nonce, self.data, &[]).map_err(|_| CallDataRefusal::Tag)?;
        let inner = Zeroizing::new(inner);
        let call = CborValue::read(&inner).and_then(Call::read_inner).map_err(|_| CallDataRefusal::Inner)?;
        if call.read_only != self.read_only {
            return Err(CallDataRefusal::ReadOnly);
        }
        let data = call.body.bytes().map_err(|_| CallDataRefusal::Body)?.to_vec();
        Ok(OpenedCall { data, answer: ResultSealer::new(key, call.failures) })
    }
}

impl<'a> SealedCall<'a> {
    fn read(body: CborValue<'a>, read_only: bool) -> Result<Self, CborError> {
        let mut fields = body.into_fields()?;
        let public_key = X25519Key(fields.required("pk")?.array_of()?);
        let data = fields.required("data")?.bytes()?;
        let epoch = fields.optional("epoch").map_or(Ok(0), |epoch| epoch.unsigned())?;
        let nonce = fields.required("nonce")?.array_of()?;
        fields.finish()?;
        if data.len() < DEOXYS_TAG_BYTES {
            return Err(CborError::Type);
        }
        Ok(Self { read_only, public_key, nonce, epoch: (epoch != 0).then_some(epoch), data })
    }
}

/// The fields of a call.
pub(super) struct Call<'a> {
    format: u64,
    method: &'a str,
    body: CborValue<'a>,
    read_only: bool,
    failures: FailureForm,
}

impl<'a> Call<'a> {
    /// A call in the open.
    pub(super) fn read(value: CborValue<'a>) -> Result<Self, CborError> {
        let mut fields = value.into_fields()?;
        let call = Self::fields(&mut fields)?;
        fields.finish()?;
        Ok(call)
    }

    /// A call that was sealed: it may also ask for sealed failures.
    fn read_inner(value: CborValue<'a>) -> Result<Self, CborError> {
        let mut fields = value.into_fields()?;
        let mut call = Self::fields(&mut fields)?;
        if flag(fields.optional(SEALED_FAILURES))? {
            call.failures = FailureForm::Sealed;
        }
        fields.finish()?;
        Ok(call)
    }

    fn fields(fields: &mut CborMap<'a>) -> Result<Self, CborError> {
        let read_only = flag(fields.optional("ro"))?;
        let body = fields.required("body")?;
        let format = fields.optional("format").map_or(Ok(FORMAT_PLAIN), |format| format.unsigned())?;
        if format > FORMAT_SEALED {
            return Err(CborError::Type);
        }
        let method = fields.optional("method").map_or(Ok(""), |method| method.text())?;
        Ok(Self { format, method, body, read_only, failures: FailureForm::Plain })
    }
}

fn flag(value: Option<CborValue<'_>>) -> Result<bool, CborError> {
    match value {
        None => Ok(false),
        Some(CborValue::Bool(flag)) => Ok(flag),
        Some(_) => Err(CborError::Type),
    }
}

/// A client's side: seals call data to the public key of `epoch`, under a key of its own that serves this call only.
/// Sapphire's clients do not seal empty call data.
pub fn seal_call(
    (public_key, epoch): (&X25519Key, u64),
    data: &[u8],
    failures: FailureForm,
    rng: &mut impl CryptoRng,
) -> (Vec<u8>, ResultOpener) {
    let mut secret = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *secret);
    let mut nonce = [0; DEOXYS_NONCE_BYTES];
    rng.fill_bytes(&mut nonce);
    let key = Deoxys::new(&deoxys_shared_key(&public_key.0, &secret));
    let mut inner = vec![("body", CborValue::Bytes(data))];
    if failures == FailureForm::Sealed {
        inner.push((SEALED_FAILURES, CborValue::Bool(true)));
    }
    let sealed = key.seal(&nonce, &Zeroizing::new(CborValue::map(inner).to_vec()), &[]);
    let own = x25519_public(&secret);
    let body = CborValue::map([
        ("pk", CborValue::Bytes(&own)),
        ("data", CborValue::Bytes(&sealed)),
        ("epoch", CborValue::Unsigned(epoch)),
        ("nonce", CborValue::Bytes(&nonce)),
    ]);
    let call = CborValue::map([("body", body), ("format", CborValue::Unsigned(FORMAT_SEALED))]);
    (call.to_vec(), ResultOpener::new(key))
}

/// Call data in the open, in the form of a call. Contracts get what they would get without it.
pub fn wrap_call(data: &[u8]) -> Vec<u8> {
    CborValue::map([("body", CborValue::Bytes(data))]).to_vec()
}
