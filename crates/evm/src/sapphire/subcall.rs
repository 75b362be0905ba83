//! `SUBCALL` (`spec/sapphire.md` §5): methods of Sapphire's modules, called from contracts with bodies in CBOR.
//!
//! `core.*`, `accounts.*` and `consensus.*` are answered here; everything else goes to the [`SubcallHandler`] of the
//! chain. A method that fails changes nothing and gives `(code, module)`; only a call that is malformed, or that leads
//! back into the EVM, is refused whole. No method here makes a subcall of its own, so Sapphire's depth of 8 is kept.

mod accounts;
mod consensus;
mod core;

use alloy_primitives::{Address, U256};
use freehold_primitives::{CborError, CborValue};
use thiserror::Error;

use super::{
    CallDataKey, Failure, GasMeter, Refusal,
    abi::{Arguments, encode_word_and_bytes},
};
use crate::{
    module::{ModuleContext, ModuleFailure},
    view::ViewError,
};

/// Gas of a subcall, and of a word of its input.
const GAS: u64 = 10;
const WORD_GAS: u64 = 1;
/// Methods that would lead back into the EVM.
const EVM_PREFIX: &str = "evm.";

/// A method call from a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subcall<'a> {
    /// Module and method, such as `rofl.OriginApp`.
    pub method: &'a str,
    /// Its body.
    pub body: CborValue<'a>,
    /// Contract that calls.
    pub caller: Address,
}

/// A method's failure, as Sapphire numbers it: a module's name and a code above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{module} refuses with code {code}")]
pub struct SubcallRefusal {
    /// Name of the module.
    pub module: &'static str,
    /// Code within the module.
    pub code: u32,
}

impl SubcallRefusal {
    /// There is no such method.
    pub const INVALID_METHOD: Self = Self { module: "core", code: 3 };
    /// The body is not what the method takes.
    pub const INVALID_ARGUMENT: Self = Self { module: "core", code: 10 };
    /// Gas ran out inside the method.
    pub const OUT_OF_GAS: Self = Self { module: "core", code: 12 };
    /// A static call would have changed state.
    pub const READ_ONLY: Self = Self { module: "core", code: 25 };
}

/// Why a method gives no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SubcallFailure {
    /// The method refuses; what it changed is undone.
    #[error(transparent)]
    Refused(#[from] SubcallRefusal),
    /// State could not be read: the block cannot be executed.
    #[error(transparent)]
    View(#[from] ViewError),
}

impl From<CborError> for SubcallFailure {
    fn from(_: CborError) -> Self {
        Self::Refused(SubcallRefusal::INVALID_ARGUMENT)
    }
}

/// A module's revert has no meaning here: a handler that calls modules translates it first.
impl From<ModuleFailure> for SubcallFailure {
    fn from(failure: ModuleFailure) -> Self {
        match failure {
            ModuleFailure::Revert(_) => SubcallRefusal::INVALID_ARGUMENT.into(),
            ModuleFailure::OutOfGas => SubcallRefusal::OUT_OF_GAS.into(),
            ModuleFailure::StaticCall => SubcallRefusal::READ_ONLY.into(),
            ModuleFailure::View(view) => Self::View(view),
        }
    }
}

/// Methods that need more than the machine: another encoding in front of the system modules.
pub trait SubcallHandler: Send + Sync {
    /// Answers a method with CBOR.
    ///
    /// # Errors
    /// A [`SubcallFailure`]; [`SubcallRefusal::INVALID_METHOD`] for a method that it does not know.
    fn call(&self, subcall: &Subcall<'_>, ctx: &mut ModuleContext<'_>) -> Result<Vec<u8>, SubcallFailure>;
}

/// What stands around a subcall.
pub(crate) struct SubcallPlace<'a> {
    pub(crate) epoch: u64,
    pub(crate) call_data_key: Option<CallDataKey>,
    pub(crate) handler: Option<&'a dyn SubcallHandler>,
    pub(crate) caller: Address,
}

/// A whole call's failure, or one that ends the block.
pub(crate) enum SubcallError {
    Failure(Failure),
    View(ViewError),
}

impl From<Failure> for SubcallError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Refusal> for SubcallError {
    fn from(refusal: Refusal) -> Self {
        Self::Failure(refusal.into())
    }
}

/// Answers a call to `SUBCALL`: `abi(bytes method, bytes body)` gives `abi(uint64 code, bytes answer)`.
///
/// `module` lends the journal; its gas is this call's.
pub(crate) fn run_subcall(
    input: &[u8],
    place: &SubcallPlace<'_>,
    module: &mut ModuleContext<'_>,
) -> Result<Vec<u8>, SubcallError> {
    let mut meter = GasMeter::new(module.gas_left());
    let charged = meter.charge_linear(GAS, WORD_GAS, input.len());
    module.gas_left = meter.left();
    charged?;
    let arguments = Arguments(input);
    let (method, body) = (arguments.bytes(0)?, arguments.bytes(1)?);
    let body = CborValue::read(body).map_err(|_| Refusal::Malformed)?;
    let method = ::core::str::from_utf8(method).map_err(|_| Refusal::Malformed)?;
    if method.starts_with(EVM_PREFIX) {
        return Err(Refusal::Reentry.into());
    }
    let subcall = Subcall { method, body, caller: place.caller };
    match dispatch(&subcall, place, module) {
        Ok(answer) => Ok(encode_word_and_bytes(0, &answer)),
        Err(SubcallFailure::Refused(refusal)) => {
            Ok(encode_word_and_bytes(u64::from(refusal.code), refusal.module.as_bytes()))
        }
        Err(SubcallFailure::View(view)) => Err(SubcallError::View(view)),
    }
}

fn dispatch(
    subcall: &Subcall<'_>,
    place: &SubcallPlace<'_>,
    ctx: &mut ModuleContext<'_>,
) -> Result<Vec<u8>, SubcallFailure> {
    let checkpoint = ctx.journal.checkpoint();
    let answer = match subcall.method.split_once('.') {
        Some(("core", method)) => core::call(method, &subcall.body, place, ctx),
        Some(("accounts", method)) => accounts::call(method, subcall, ctx),
        Some(("consensus", method)) => consensus::call(method, subcall, ctx),
        _ => match place.handler {
            Some(handler) => handler.call(subcall, ctx),
            None => Err(SubcallRefusal::INVALID_METHOD.into()),
        },
    };
    match &answer {
        Ok(_) => ctx.journal.checkpoint_commit(),
        Err(_) => ctx.journal.checkpoint_revert(checkpoint),
    }
    answer
}

/// An address in a body: 21 bytes, a zero version byte and the Ethereum address (`spec/sapphire.md` §5).
fn read_address(value: &CborValue<'_>) -> Result<Address, SubcallFailure> {
    let bytes: [u8; 21] = value.array_of()?;
    match bytes.split_first() {
        Some((0, address)) => Ok(Address::from_slice(address)),
        _ => Err(SubcallRefusal::INVALID_ARGUMENT.into()),
    }
}

/// An amount of tokens: `[amount, denomination]`; `None` for any denomination but the native one.
fn read_tokens(value: CborValue<'_>) -> Result<Option<U256>, SubcallFailure> {
    match value.into_items()?.as_slice() {
        [amount, denomination] => {
            let amount = U256::from(amount.amount()?);
            Ok(denomination.bytes()?.is_empty().then_some(amount))
        }
        _ => Err(SubcallRefusal::INVALID_ARGUMENT.into()),
    }
}
