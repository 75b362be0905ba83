//! Calls outside of any block: `eth_call` and `eth_estimateGas` over the newest state.
//!
//! A call runs as if it stood in the next block, at the time of the newest one, which is also the `now` of modules.

use core::cell::Cell;

use alloy_consensus::Header;
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use freehold_crypto::CallDataRefusal;
use freehold_evm::{
    AccountState, BlockContext, CALL_GAS_MAX, EvmError, Invalid, Outcome, SapphireContext, StateView, Status,
    TX_GAS_MAX, TxEnv, ViewError, simulate,
};
use thiserror::Error;

use crate::{
    block::{Parent, block_context},
    call_data::{Opened, Opener, query_nonce},
    confidential::query_context,
    context::ChainContext,
    error::LedgerError,
    query::{self, Moment, QueryView, Sender, is_confidential_contract},
    state::{StateTree, TreeView, read_account},
    transaction::intrinsic_floor,
};

/// Least gas of any transaction.
const GAS_LEAST: u64 = 21_000;
/// What an estimate adds where the call failed under the zero sender (Sapphire's figure).
const UNPROVEN_GAS: u64 = 2_000_000;
/// Gas by which a zero byte of call data is cheaper than another (EIP-2028).
const ZERO_BYTE_SAVES: u64 = 12;
/// Rounds of the search for the least gas limit: 2²⁴ has 24 bits.
const SEARCH_ROUNDS_MAX: u32 = 24;

/// A call. `Default` is a call from the zero address to nothing, which makes a contract of no code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// Who calls; the zero address where not given.
    pub from: Address,
    /// Who is called; `None` makes a contract.
    pub to: Option<Address>,
    /// Value that comes with it; `from` must have it.
    pub value: U256,
    /// Call data, or init code.
    pub data: Bytes,
    /// Gas limit; at most, and where not given, [`CALL_GAS_MAX`].
    pub gas: Option<u64>,
    /// Price per gas; where it is 0 or not given, gas costs nothing.
    pub gas_price: Option<u128>,
    /// Access list.
    pub access_list: AccessList,
    /// Fresh entropy of this call alone: what a contract draws by chance in it, and the nonce of its sealed answer, hang
    /// on this.
    pub entropy: B256,
}

impl CallRequest {
    /// The request with a gas limit that the caller can pay, where it names a price but no limit: otherwise an account with
    /// little would be told that it cannot call at all.
    ///
    /// # Errors
    /// [`CallError::Ledger`].
    pub fn within_means(mut self, state: &dyn StateTree) -> Result<Self, CallError> {
        let price = U256::from(self.gas_price.unwrap_or_default());
        if self.gas.is_none() && !price.is_zero() {
            let balance = read_account(state, &self.from).map_err(LedgerError::from)?.balance;
            let gas = balance.saturating_sub(self.value) / price;
            // Too little for any call: the refusal then says what is missing.
            self.gas = u64::try_from(gas).ok().filter(|gas| *gas >= GAS_LEAST);
        }
        Ok(self)
    }
}

/// Why a call has no outcome.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The call may not be made: too little money, too little gas for its data, and the like.
    #[error("the call cannot be made: {0}")]
    Invalid(Invalid),
    /// It fails with any gas limit; the outcome says how.
    #[error("the call fails")]
    Fails(Box<Outcome>),
    /// The call reads confidential storage, and this node is a follower.
    #[error("this node holds no state keys: ask an executor for calls to confidential contracts")]
    Follower,
    /// Its encrypted call data, or its signature, is refused.
    #[error("the call data is refused: {0}")]
    CallData(#[from] CallDataRefusal),
    /// State could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Runs a call over the newest state (`eth_call`). A revert is an outcome, not an error. Of an encrypted call the output
/// is the sealed answer; where the client asked for sealed failures, that is so in a failure too.
///
/// # Errors
/// [`CallError::Invalid`], [`CallError::Follower`], [`CallError::CallData`], [`CallError::Ledger`].
pub fn call(
    ctx: &ChainContext,
    parent: Parent<'_>,
    state: &dyn StateTree,
    request: &CallRequest,
) -> Result<Outcome, CallError> {
    let (keyring, sapphire) = query_context(ctx, parent, request.entropy.0, state)?;
    let view = TreeView { state, content: parent.content, hashes: parent.hashes, keyring: keyring.as_ref() };
    let run = CallRun::open((ctx, parent, state), &view, sapphire, request)?;
    let outcome = run.with(request.gas.unwrap_or(CALL_GAS_MAX))?;
    // Whoever asks for sealed failures is answered alike in both cases.
    let is_told = outcome.is_success() || run.opened.seals_failures();
    let sealed = run.opened.seal(outcome, &query_nonce(&request.entropy));
    Ok(if is_told { Outcome { status: Status::Success, ..sealed } } else { sealed })
}

/// The least gas limit with which a call succeeds (`eth_estimateGas`), at most a transaction's.
///
/// A call that asked for its sender and failed, where the zero sender stands in, is estimated at what it spent and
/// [`UNPROVEN_GAS`] more, as on Sapphire: the signed transaction has its sender.
///
/// # Errors
/// Any [`CallError`].
pub fn estimate_gas(
    ctx: &ChainContext,
    parent: Parent<'_>,
    state: &dyn StateTree,
    request: &CallRequest,
) -> Result<u64, CallError> {
    let (keyring, sapphire) = query_context(ctx, parent, request.entropy.0, state)?;
    let view = TreeView { state, content: parent.content, hashes: parent.hashes, keyring: keyring.as_ref() };
    let run = CallRun::open((ctx, parent, state), &view, sapphire, request)?;
    let mut enough = request.gas.unwrap_or(TX_GAS_MAX).min(TX_GAS_MAX);
    let outcome = run.with(enough)?;
    if !outcome.is_success() {
        if run.is_zeroed() && (outcome.sender_asked || run.opened.fails_openly()) {
            return Ok(run.with_room(outcome.gas_spent + UNPROVEN_GAS).min(enough));
        }
        return Err(CallError::Fails(Box::new(run.opened.seal(outcome, &query_nonce(&request.entropy)))));
    }
    let mut too_little = outcome.gas_used.saturating_sub(1);
    // Most calls run with what they spend before refunds; one that forwards all but 1/64 of its gas needs more.
    for guess in [outcome.gas_spent, (outcome.gas_spent + 2_300) * 64 / 63] {
        if guess > too_little && guess < enough {
            if succeeds(run.with(guess))? {
                enough = guess;
                break;
            }
            too_little = guess;
        }
    }
    for _ in 0..SEARCH_ROUNDS_MAX {
        if too_little + 1 >= enough {
            break;
        }
        let middle = too_little + (enough - too_little) / 2;
        if succeeds(run.with(middle))? { enough = middle } else { too_little = middle }
    }
    Ok(run.with_room(enough).min(TX_GAS_MAX))
}

/// Whether a call succeeded; one that could not be made with this little gas did not.
fn succeeds(result: Result<Outcome, CallError>) -> Result<bool, CallError> {
    match result {
        Ok(outcome) => Ok(outcome.is_success()),
        Err(CallError::Invalid(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A call whose data is open, to be run with one gas limit or many.
struct CallRun<'a> {
    ctx: &'a ChainContext,
    block: BlockContext,
    view: &'a dyn StateView,
    request: &'a CallRequest,
    opened: Opened,
    /// The state of the account that the request names.
    account: AccountState,
    sender: Sender,
    /// Whether the zero sender stands in for the one that the request names.
    zeroed: Cell<bool>,
}

impl<'a> CallRun<'a> {
    fn open(
        (ctx, parent, state): (&'a ChainContext, Parent<'_>, &dyn StateTree),
        view: &'a dyn StateView,
        sapphire: SapphireContext,
        request: &'a CallRequest,
    ) -> Result<Self, CallError> {
        let account = view.account(&request.from).map_err(LedgerError::from)?.unwrap_or_default();
        let moment =
            Moment { chain_id: ctx.chain_id(), newest: parent.header, hashes: parent.hashes, nonce: account.nonce };
        let opener = Opener::new(ctx, (parent, state), parent.header.timestamp, None);
        let (opened, sender) = query::open(request, &opener, moment)?;
        let is_claimed = sender == Sender::Claimed && !request.from.is_zero();
        let is_confidential = match &request.to {
            Some(to) if is_claimed => is_confidential_contract(view, to).map_err(LedgerError::from)?,
            _ => false,
        };
        let block = BlockContext { sapphire, ..next_block(ctx, parent.header) };
        Ok(Self { ctx, block, view, request, opened, account, sender, zeroed: Cell::new(is_confidential) })
    }

    /// Clients seal a call again when they send it, and zero bytes are cheaper: room for an envelope that has none.
    fn with_room(&self, gas: u64) -> u64 {
        if self.opened.answer.is_none() {
            return gas;
        }
        let zeros = self.request.data.iter().filter(|byte| **byte == 0).count() as u64;
        (gas + ZERO_BYTE_SAVES * zeros).max(intrinsic_floor(4 * self.request.data.len() as u64))
    }

    fn is_zeroed(&self) -> bool {
        self.zeroed.get()
    }

    fn with(&self, gas: u64) -> Result<Outcome, CallError> {
        let view = QueryView::new(self.view, self.is_zeroed().then_some(self.account.balance));
        let result = self.simulate(&view, gas);
        if self.sender == Sender::Signed || self.request.from.is_zero() || self.is_zeroed() || !view.is_confidential() {
            return result;
        }
        // It reached confidential state under a name that nobody proved: once more, from its beginning.
        self.zeroed.set(true);
        self.with(gas)
    }

    fn simulate(&self, view: &QueryView<'_>, gas: u64) -> Result<Outcome, CallError> {
        let request = self.request;
        let priced = self.sender == Sender::Claimed;
        let tx = TxEnv {
            tx_type: u8::from(!request.access_list.is_empty()),
            caller: if self.is_zeroed() { Address::ZERO } else { request.from },
            gas_limit: gas.min(CALL_GAS_MAX),
            // A signed query names a price, but nobody pays for it.
            gas_price: request.gas_price.filter(|_| priced).unwrap_or_default(),
            kind: request.to.map_or(TxKind::Create, TxKind::Call),
            value: request.value,
            data: request.data.clone(),
            access_list: request.access_list.clone(),
            chain_id: Some(self.ctx.chain_id()),
            // Not checked, but what a call makes is named after it.
            nonce: self.account.nonce,
            ..TxEnv::default()
        };
        match simulate(self.block.clone(), self.ctx.modules(), view, self.opened.machine_tx(tx)) {
            Ok(outcome) => Ok(outcome),
            Err(EvmError::View(ViewError::KeysMissing)) => Err(CallError::Follower),
            Err(EvmError::Invalid(invalid)) => Err(CallError::Invalid(invalid)),
            Err(error) => Err(LedgerError::from(error).into()),
        }
    }
}

fn next_block(ctx: &ChainContext, parent: &Header) -> BlockContext {
    BlockContext { height: parent.number + 1, ..block_context(ctx, parent) }
}
