//! Who asks in a call outside of any block: signed queries, and the zero sender of unsigned ones (`spec/call-data.md` §4).
//!
//! Nobody proves who sends an unsigned call. It has the sender that it names as long as it reads no confidential state;
//! one that calls a confidential contract, or reads confidential storage anywhere on its way, has the zero sender from
//! its beginning, so that no contract, however it is reached, takes a made-up name for a caller.

use core::cell::Cell;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use freehold_crypto::{CallData, CallDataRefusal, Leash, QueryCall, SignedQuery};
use freehold_evm::{AccountState, FirstInput, StateView, ViewError, Visibility};
use freehold_primitives::{BlockMoment, Digest};

use crate::{
    call::{CallError, CallRequest},
    call_data::{Opened, Opener},
    error::LedgerError,
    state::{BlockHashes, to_account},
};

/// Longest leash in blocks, as on Sapphire.
const LEASH_BLOCKS_MAX: u64 = 256;
/// Seconds that count for one block of a leash: about what Sapphire's blocks take, which clients have in mind.
const LEASH_S_PER_BLOCK: u64 = 6;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The account that signed the query.
    Signed,
    /// Whoever sent it: the name is a claim.
    Claimed,
}

/// Where a signed query is judged.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) chain_id: u64,
    /// Newest header.
    pub(crate) newest: &'a Header,
    pub(crate) hashes: &'a dyn BlockHashes,
    /// Nonce of the account that the query names.
    pub(crate) nonce: u64,
}

/// Opens the call data of a request and checks its signature, where it has one.
pub(crate) fn open(
    request: &CallRequest,
    opener: &Opener<'_>,
    moment: Moment<'_>,
) -> Result<(Opened, Sender), CallError> {
    let Some(SignedQuery { data, proof }) = SignedQuery::read(&request.data) else {
        return Ok((accepted(CallData::read(&request.data), opener)?, Sender::Claimed));
    };
    let opened = accepted(data, opener)?;
    let FirstInput::Opened(plaintext) = &opened.input else { return Err(CallDataRefusal::Body.into()) };
    let call = QueryCall {
        from: to_account(&request.from),
        to: to_account(&request.to.unwrap_or_default()),
        gas_limit: request.gas.unwrap_or_default(),
        gas_price: U256::from(request.gas_price.unwrap_or_default()).to_be_bytes(),
        value: request.value.to_be_bytes(),
        data: plaintext,
    };
    proof.verify(moment.chain_id, &call)?;
    check_leash(&proof.leash, &moment)?;
    Ok((opened, Sender::Signed))
}

/// Opened call data that is not refused.
fn accepted(data: CallData<'_>, opener: &Opener<'_>) -> Result<Opened, CallError> {
    let opened = Opened::new(data, opener).map_err(LedgerError::from)?;
    opened.refusal.map_or(Ok(opened), |refusal| Err(refusal.into()))
}

/// A leash reaches as far as its range in blocks, or as that many times six seconds, whichever is further.
fn check_leash(leash: &Leash, moment: &Moment<'_>) -> Result<(), CallDataRefusal> {
    if moment.nonce > leash.nonce {
        return Err(CallDataRefusal::Nonce);
    }
    let newest = moment.newest;
    let blocks = newest.number.checked_sub(leash.block_number).ok_or(CallDataRefusal::BaseBlock)?;
    let base = match blocks {
        0 => {
            let block_hash = Digest(newest.hash_slow().0);
            BlockMoment { height: newest.number, block_hash, time_unix_s: newest.timestamp }
        }
        _ => moment.hashes.moment(leash.block_number).ok_or(CallDataRefusal::BaseBlock)?,
    };
    if base.block_hash != leash.block_hash {
        return Err(CallDataRefusal::BaseHash);
    }
    let range = leash.block_range.min(LEASH_BLOCKS_MAX);
    let seconds = newest.timestamp.saturating_sub(base.time_unix_s);
    if blocks <= range || seconds <= range * LEASH_S_PER_BLOCK { Ok(()) } else { Err(CallDataRefusal::Range) }
}

/// State as a query sees it: it notices when confidential storage is read, and where the zero sender stands in for
/// another account, that has the other's money.
pub(crate) struct QueryView<'a> {
    view: &'a dyn StateView,
    lent: Option<U256>,
    confidential: Cell<bool>,
}

impl<'a> QueryView<'a> {
    /// `lent` is the balance of the zero address, where it is not its own.
    pub(crate) const fn new(view: &'a dyn StateView, lent: Option<U256>) -> Self {
        Self { view, lent, confidential: Cell::new(false) }
    }

    /// Whether confidential storage was read.
    pub(crate) fn is_confidential(&self) -> bool {
        self.confidential.get()
    }
}

/// Whether code at this address keeps its storage confidential.
pub(crate) fn is_confidential_contract(view: &dyn StateView, address: &Address) -> Result<bool, ViewError> {
    let account = view.account(address)?;
    Ok(account
        .is_some_and(|account| account.visibility == Visibility::Confidential && account.code_hash != KECCAK256_EMPTY))
}

impl StateView for QueryView<'_> {
    fn account(&self, address: &Address) -> Result<Option<AccountState>, ViewError> {
        let account = self.view.account(address)?;
        Ok(match self.lent {
            Some(balance) if address.is_zero() => Some(AccountState { balance, ..account.unwrap_or_default() }),
            _ => account,
        })
    }

    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        self.view.code(hash)
    }

    fn storage(&self, address: &Address, slot: &U256, visibility: Visibility) -> Result<U256, ViewError> {
        if visibility == Visibility::Confidential {
            self.confidential.set(true);
        }
        self.view.storage(address, slot, visibility)
    }

    fn moment(&self, height: u64) -> Result<Option<BlockMoment>, ViewError> {
        self.view.moment(height)
    }

    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ViewError> {
        self.view.content(digest)
    }
}
