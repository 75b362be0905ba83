//! Calls outside of any block: `eth_call`, `eth_estimateGas`, access lists and traces over the newest state.
//!
//! A call with overrides reads no confidential state (`freehold_evm::Layers`), and its call data is not opened.
//! A call runs as if it stood in the next block, at the time of the newest one, which is also the `now` of modules.

use core::cell::Cell;

use alloy_consensus::Header;
use alloy_eips::{eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use freehold_crypto::CallDataRefusal;
use freehold_evm::{
    AccountState, BlockContext, CALL_GAS_MAX, Evm, EvmError, Invalid, Layers, Outcome, OverrideRefusal, QueryRules,
    SapphireContext, Sight, StateView, Status, TX_GAS_MAX, Trace, TraceError, TraceKind, TracePlan, Traced, TxEnv,
    ViewError, signed_authorizations,
};
use freehold_primitives::{AskedCall, Blob};
use thiserror::Error;

use crate::{
    block::{Parent, block_context},
    call_data::{Opened, Opener, query_nonce},
    confidential::query_context,
    context::ChainContext,
    error::LedgerError,
    overrides::Overrides,
    query::{self, Moment, QueryView, Sender, is_confidential_contract},
    state::{StateTree, TreeView, read_account, to_account},
    transaction::intrinsic_floor,
};

/// Least gas of any transaction.
const GAS_LEAST: u64 = 21_000;
/// What an estimate adds where the call failed under the zero sender (Sapphire's figure).
const UNPROVEN_GAS: u64 = 2_000_000;
/// What it adds where the call succeeded under the zero sender and had asked who sends: four slots that are new for one
/// sender and not for another (22,100 each: EIP-2929, EIP-2200), and what leads to them.
const OTHER_SENDER_GAS: u64 = 100_000;
/// Gas by which a zero byte of call data is cheaper than another (EIP-2028).
const ZERO_BYTE_SAVES: u64 = 12;
/// Rounds of the search for the least gas limit: 2²⁴ has 24 bits.
const SEARCH_ROUNDS_MAX: u32 = 24;
/// Rounds in which an access list may still change: each changes gas, and gas may change the way.
const LIST_ROUNDS_MAX: u32 = 4;

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
    /// Price per gas, or the fee cap; where it is 0 or not given, gas costs nothing.
    pub gas_price: Option<u128>,
    /// Priority fee per gas; given, it makes the call one with dynamic fees (EIP-1559).
    pub priority_fee: Option<u128>,
    /// Nonce; the account's where not given.
    pub nonce: Option<u64>,
    /// Authorizations (EIP-7702).
    pub authorizations: Vec<SignedAuthorization>,
    /// What block and state are said to be.
    pub overrides: Overrides,
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
            let said = self.overrides.state.get(&self.from).and_then(|said| said.balance);
            let balance = match said {
                Some(balance) => balance,
                None => read_account(state, &self.from).map_err(LedgerError::from)?.balance,
            };
            let gas = balance.saturating_sub(self.value) / price;
            // Too little for any call: the refusal then says what is missing.
            self.gas = u64::try_from(gas).ok().filter(|gas| *gas >= GAS_LEAST);
        }
        Ok(self)
    }

    /// The call as an executor answers it with a signature; entropy and overrides are no part of it.
    pub fn asked(&self) -> AskedCall {
        let rlp = |list: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            list(&mut out);
            Blob(out)
        };
        AskedCall {
            from: to_account(&self.from),
            to: self.to.as_ref().map(to_account),
            value: self.value.to_be_bytes(),
            data: Blob(self.data.to_vec()),
            gas: self.gas,
            gas_price: self.gas_price.map(u128::to_be_bytes),
            priority_fee: self.priority_fee.map(u128::to_be_bytes),
            nonce: self.nonce,
            authorizations: rlp(&|out| alloy_rlp::encode_list(&self.authorizations, out)),
            access_list: rlp(&|out| alloy_rlp::Encodable::encode(&self.access_list, out)),
        }
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
    /// A call with overrides comes to confidential state.
    #[error("the storage of {0} is confidential: a call with overrides of state or block cannot read it")]
    Withheld(Address),
    /// A call with overrides has encrypted call data.
    #[error("encrypted call data is not opened in a call with overrides of state or block")]
    Sealed,
    /// The overrides may not be.
    #[error(transparent)]
    Overrides(OverrideRefusal),
    /// There is no trace of it.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// State could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<OverrideRefusal> for CallError {
    fn from(refusal: OverrideRefusal) -> Self {
        match refusal {
            OverrideRefusal::View(view) => Self::Ledger(view.into()),
            other => Self::Overrides(other),
        }
    }
}

/// An access list, and what a call does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessListed {
    /// Accounts and slots that the call touches before the first secret enters.
    pub list: AccessList,
    /// Gas that it pays for with the list.
    pub gas_used: u64,
    /// How it ended.
    pub status: Status,
}

/// Runs a call over the newest state (`eth_call`). A revert is an outcome, not an error. Of an encrypted call the output
/// is the sealed answer; where the client asked for sealed failures, that is so in a failure too.
///
/// # Errors
/// Any [`CallError`] but [`CallError::Fails`] and [`CallError::Trace`].
pub fn call(
    ctx: &ChainContext,
    parent: Parent<'_>,
    state: &dyn StateTree,
    request: &CallRequest,
) -> Result<Outcome, CallError> {
    let (keyring, sapphire) = query_context(ctx, parent, request.entropy.0, state)?;
    let view = TreeView { state, content: parent.content, hashes: parent.hashes, keyring: keyring.as_ref() };
    let layers = request.overrides.layers(&view)?;
    let run = CallRun::open((ctx, parent, state), (&view, layers.as_ref()), sapphire, request)?;
    let outcome = run.with(request.gas.unwrap_or(CALL_GAS_MAX))?;
    // Whoever asks for sealed failures is answered alike in both cases.
    let is_told = outcome.is_success() || run.opened.seals_failures();
    let sealed = run.opened.seal(outcome, &query_nonce(&request.entropy));
    Ok(if is_told { Outcome { status: Status::Success, ..sealed } } else { sealed })
}

/// The least gas limit with which a call succeeds (`eth_estimateGas`), at most a transaction's.
///
/// A call that asked for its sender and failed, where the zero sender stands in, is estimated at what it spent and
/// [`UNPROVEN_GAS`] more, as on Sapphire: the signed transaction has its sender. One that asked and succeeded gets
/// [`OTHER_SENDER_GAS`] more than it needed, for the way that the true sender may take.
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
    let layers = request.overrides.layers(&view)?;
    let run = CallRun::open((ctx, parent, state), (&view, layers.as_ref()), sapphire, request)?;
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
    let other = if run.is_zeroed() && outcome.sender_asked { OTHER_SENDER_GAS } else { 0 };
    Ok(run.with_room(enough + other).min(TX_GAS_MAX))
}

/// What a call touches (`eth_createAccessList`): run again with the list that came of it until the list stays.
///
/// # Errors
/// Any [`CallError`] but [`CallError::Fails`].
pub fn access_list(
    ctx: &ChainContext,
    parent: Parent<'_>,
    state: &dyn StateTree,
    request: &CallRequest,
) -> Result<AccessListed, CallError> {
    let mut request = request.clone();
    for round in 1.. {
        let kind = TraceKind::AccessList(request.access_list.clone());
        let plan = TracePlan { kind, sight: Sight::Public, block_hash: None, tx_hash: None };
        let (outcome, traced) = trace_call(ctx, parent, state, (&request, &plan))?;
        let Trace::AccessList(list) = traced.trace else { return Err(TraceError::Tracer.into()) };
        if list == request.access_list || round == LIST_ROUNDS_MAX {
            return Ok(AccessListed { list, gas_used: outcome.gas_used, status: outcome.status });
        }
        request.access_list = list;
    }
    unreachable!("the last round returns")
}

/// Runs a call with a trace of it. The output of the outcome is as the machine gave it.
///
/// # Errors
/// Any [`CallError`] but [`CallError::Fails`].
pub fn trace_call(
    ctx: &ChainContext,
    parent: Parent<'_>,
    state: &dyn StateTree,
    (request, plan): (&CallRequest, &TracePlan),
) -> Result<(Outcome, Traced), CallError> {
    let (keyring, sapphire) = query_context(ctx, parent, request.entropy.0, state)?;
    let view = TreeView { state, content: parent.content, hashes: parent.hashes, keyring: keyring.as_ref() };
    let layers = request.overrides.layers(&view)?;
    let run = CallRun::open((ctx, parent, state), (&view, layers.as_ref()), sapphire, request)?;
    let (outcome, traced) = run.run(request.gas.unwrap_or(CALL_GAS_MAX), Some(plan))?;
    Ok((outcome, traced.ok_or(TraceError::Tracer)?))
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
    layers: Option<&'a Layers<'a>>,
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
        (view, layers): (&'a dyn StateView, Option<&'a Layers<'a>>),
        sapphire: SapphireContext,
        request: &'a CallRequest,
    ) -> Result<Self, CallError> {
        let view: &dyn StateView = layers.map_or(view, |layers| layers);
        let account = view.account(&request.from).map_err(LedgerError::from)?.unwrap_or_default();
        let moment =
            Moment { chain_id: ctx.chain_id(), newest: parent.header, hashes: parent.hashes, nonce: account.nonce };
        let opener = Opener::new(ctx, (parent, state), parent.header.timestamp, None);
        let (opened, sender) = query::open(request, &opener, moment)?;
        if layers.is_some() && opened.is_sealed() {
            return Err(CallError::Sealed);
        }
        let is_claimed = sender == Sender::Claimed && !request.from.is_zero();
        let is_confidential = match &request.to {
            Some(to) if is_claimed => is_confidential_contract(view, to).map_err(LedgerError::from)?,
            _ => false,
        };
        let block = request.overrides.block.on(BlockContext { sapphire, ..next_block(ctx, parent.header) });
        Ok(Self { ctx, block, view, layers, request, opened, account, sender, zeroed: Cell::new(is_confidential) })
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
        Ok(self.run(gas, None)?.0)
    }

    fn run(&self, gas: u64, plan: Option<&TracePlan>) -> Result<(Outcome, Option<Traced>), CallError> {
        let view = QueryView::new(self.view, self.is_zeroed().then_some(self.account.balance));
        let result = self.machine(&view, gas, plan);
        if self.sender == Sender::Signed || self.request.from.is_zero() || self.is_zeroed() || !view.is_confidential() {
            return result;
        }
        // It reached confidential state under a name that nobody proved: once more, from its beginning.
        self.zeroed.set(true);
        self.run(gas, plan)
    }

    fn machine(
        &self,
        view: &QueryView<'_>,
        gas: u64,
        plan: Option<&TracePlan>,
    ) -> Result<(Outcome, Option<Traced>), CallError> {
        let tx = self.opened.machine_tx(self.tx_env(gas));
        let mut evm = Evm::query(self.block.clone(), QueryRules::Lenient, self.ctx.modules(), view);
        if let Some(layers) = self.layers {
            evm = evm.moving(layers);
        }
        let result = match plan {
            None => evm.transact(tx, 0).map(|outcome| (outcome, None)),
            Some(plan) => evm.trace(tx, 0, plan).map(|(outcome, traced)| (outcome, Some(traced))),
        };
        match result {
            Ok((outcome, traced)) => Ok((outcome, traced.transpose()?)),
            Err(EvmError::View(ViewError::KeysMissing)) => Err(CallError::Follower),
            Err(EvmError::View(ViewError::Withheld(address))) => Err(CallError::Withheld(address)),
            Err(EvmError::Invalid(invalid)) => Err(CallError::Invalid(invalid)),
            Err(error) => Err(LedgerError::from(error).into()),
        }
    }

    fn tx_env(&self, gas: u64) -> TxEnv {
        let request = self.request;
        // A signed query names a price, but nobody pays for it.
        let is_priced = self.sender == Sender::Claimed;
        TxEnv {
            caller: if self.is_zeroed() { Address::ZERO } else { request.from },
            // Not checked, but what a call makes is named after it.
            nonce: request.nonce.unwrap_or(self.account.nonce),
            gas_limit: gas.min(CALL_GAS_MAX),
            ..request.tx_env(self.ctx.chain_id(), is_priced)
        }
    }
}

impl CallRequest {
    /// As the machine takes it; whoever runs it decides about sender, nonce and gas limit.
    pub(crate) fn tx_env(&self, chain_id: u64, is_priced: bool) -> TxEnv {
        let priority_fee = self.priority_fee.filter(|_| is_priced);
        let tx_type = match (self.authorizations.is_empty(), priority_fee, self.access_list.is_empty()) {
            (false, _, _) => 4,
            (true, Some(_), _) => 2,
            (true, None, false) => 1,
            (true, None, true) => 0,
        };
        TxEnv {
            tx_type,
            caller: self.from,
            gas_price: self.gas_price.filter(|_| is_priced).unwrap_or_default(),
            gas_priority_fee: priority_fee,
            kind: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value,
            data: self.data.clone(),
            access_list: self.access_list.clone(),
            authorization_list: signed_authorizations(&self.authorizations),
            chain_id: Some(chain_id),
            ..TxEnv::default()
        }
    }
}

fn next_block(ctx: &ChainContext, parent: &Header) -> BlockContext {
    BlockContext { height: parent.number + 1, ..block_context(ctx, parent) }
}
