//! A payload in, a block out (design D3, `spec/block.md`): deterministic, in order, exactly once.
//!
//! [`prepare_payload`] executes without touching the store and gives everything but the state root; [`PreparedBlock::seal`]
//! applies the writes and makes the header. A node that keeps the prepared documents before it seals loses nothing when
//! it dies in between.

use std::collections::BTreeMap;

use alloy_consensus::{
    Eip658Value, Header, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction as _, TxReceipt as _, TxType,
    constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS},
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Address, B256, Bloom, Bytes};
use freehold_crypto::{CallData, StateKeys, body_digest, payload_digest, slots};
use freehold_evm::{
    BlockContext, Changes, Evm, EvmError, Invalid, MachineTx, Outcome, SapphireContext, Status, TraceError, TracePlan,
};
use freehold_primitives::{Blob, Body, Digest, G1Point, Height, Payload, STATEMENT_BYTES_MAX, STATEMENTS_MAX};
use thiserror::Error;

use crate::{
    call_data::{Opened, Opener, answer_nonce},
    confidential::{Keyring, Turn, Writes, turn},
    context::{BENEFICIARY, BLOCK_GAS_MAX, ChainContext, HISTORY_CONTRACT, PAYLOAD_ROOTS_CONTRACT},
    error::LedgerError,
    fee::next_base_fee,
    modules::{check_protocol, check_verifier},
    state::{BlockHashes, Content, StateTree, TreeView, Write, account_value, to_account},
    term::{self, TurnFault},
    trace::{TRACED_BYTES_MAX, TracedTransaction},
    transaction::{Admitted, Recovered, Transaction, TransactionRefusal, admit_with},
};

/// Why a transaction of a payload was left out of the block.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// It may never stand in a block of this chain.
    #[error(transparent)]
    Refused(#[from] TransactionRefusal),
    /// Wrong nonce, too little money, or the like, when its turn came.
    #[error("not valid when its turn came: {0}")]
    Invalid(Invalid),
    /// The gas limits before it leave no room.
    #[error("the block has no room for its gas limit")]
    BlockGas,
}

/// A transaction that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its index in the payload.
    pub index: u32,
    /// Its hash; `None` where it could not be read.
    pub hash: Option<B256>,
    /// Why.
    pub reason: SkipReason,
}

/// A transaction as it stands in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutedTransaction {
    /// Its hash.
    pub hash: B256,
    /// Who sent it.
    pub sender: Address,
    /// The transaction.
    pub envelope: Transaction,
}

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutedReceipt {
    /// The receipt as Ethereum encodes it.
    pub envelope: ReceiptEnvelope,
    /// Gas used by this transaction alone.
    pub gas_used: u64,
    /// Price per gas that was paid.
    pub effective_gas_price: u128,
    /// Address of the contract that it made.
    pub contract_address: Option<Address>,
    /// Return data or reason of a revert, for people; no part of the block. Sealed to the caller where the call was.
    pub output: Bytes,
}

/// A block whose writes are not applied yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedBlock {
    header: Header,
    transactions: Vec<ExecutedTransaction>,
    receipts: Vec<ExecutedReceipt>,
    skipped: Vec<Skipped>,
    content: Vec<(Digest, Vec<u8>)>,
    writes: Vec<Write>,
}

impl PreparedBlock {
    /// New code (by keccak-256) and documents (by content digest), to be kept before the writes are applied.
    pub fn content(&self) -> &[(Digest, Vec<u8>)] {
        &self.content
    }

    /// Writes to the tree, sorted by key.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Height of the block.
    pub const fn height(&self) -> Height {
        self.header.number
    }

    /// Applies the writes and makes the block.
    ///
    /// # Errors
    /// [`LedgerError::State`].
    pub fn seal(self, state: &mut dyn StateTree) -> Result<ExecutedBlock, LedgerError> {
        let root = state.apply(self.header.number, &self.writes)?;
        Ok(self.seal_with(root))
    }

    /// Makes the block where the writes are already applied and gave this root.
    pub fn seal_with(self, state_root: Digest) -> ExecutedBlock {
        let Self { mut header, transactions, receipts, skipped, content, writes } = self;
        header.state_root = B256::from(state_root.0);
        let hash = header.hash_slow();
        ExecutedBlock { header, hash, transactions, receipts, skipped, content, writes }
    }
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutedBlock {
    /// Its header.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
    /// Its transactions.
    pub transactions: Vec<ExecutedTransaction>,
    /// What they did, index by index.
    pub receipts: Vec<ExecutedReceipt>,
    /// Transactions of the payload that were left out.
    pub skipped: Vec<Skipped>,
    /// New code (by keccak-256) and documents (by content digest).
    pub content: Vec<(Digest, Vec<u8>)>,
    /// Writes to the tree, sorted by key.
    pub writes: Vec<Write>,
}

/// What a payload is executed on.
#[derive(Clone, Copy)]
pub struct Parent<'a> {
    /// Header of the newest block.
    pub header: &'a Header,
    /// Documents and code.
    pub content: &'a dyn Content,
    /// Earlier headers, the parent's included.
    pub hashes: &'a dyn BlockHashes,
    /// State root keys; `None` on a follower, which executes no block and reads no confidential slot.
    pub keys: Option<&'a StateKeys>,
}

/// A payload as consensus finalised it.
#[derive(Clone, Copy)]
pub struct Ordered<'a> {
    /// The payload.
    pub payload: &'a Payload,
    /// Seed of the round in which this payload was notarised.
    pub seed: Option<&'a G1Point>,
    /// Transactions that were admitted before; `&()` where none are kept.
    pub admitted: &'a dyn Admitted,
}

/// Executes a finalised payload: [`prepare_payload`], then [`PreparedBlock::seal`]. `seed` is that of the round in which
/// this payload was notarised.
///
/// # Errors
/// Any [`LedgerError`]; the store is then as before.
pub fn execute_payload(
    ctx: &ChainContext,
    parent: Parent<'_>,
    payload: &Payload,
    seed: Option<&G1Point>,
    state: &mut dyn StateTree,
) -> Result<ExecutedBlock, LedgerError> {
    prepare_payload(ctx, parent, Ordered { payload, seed, admitted: &() }, state)?.seal(state)
}

/// Executes a finalised payload without applying its writes.
///
/// # Errors
/// Any [`LedgerError`] but [`LedgerError::State`] from applying.
pub fn prepare_payload(
    ctx: &ChainContext,
    parent: Parent<'_>,
    ordered: Ordered<'_>,
    state: &dyn StateTree,
) -> Result<PreparedBlock, LedgerError> {
    let mut run = Run::default();
    let (header, writes, content) = in_block(ctx, parent, (ordered.payload, ordered.seed), state, |block| {
        for (index, raw) in (0_u32..).zip(block.transactions) {
            run.step(block, index, admit_with(ctx, &raw.0, ordered.admitted))?;
        }
        Ok(())
    })?;
    Ok(run.finish(header, writes, content))
}

/// A block that is being made: its machine stands before the first transaction.
pub(crate) struct OpenBlock<'b, 'a> {
    pub(crate) evm: Evm<'a>,
    pub(crate) header: &'b Header,
    pub(crate) opener: &'b Opener<'b>,
    pub(crate) transactions: &'b [Blob],
}

/// Does everything of a payload that comes before its transactions, lets `work` execute them, and gives the header that
/// the block was begun with, its writes, and what is kept beside them.
pub(crate) fn in_block(
    ctx: &ChainContext,
    parent: Parent<'_>,
    (payload, seed): (&Payload, Option<&G1Point>),
    state: &dyn StateTree,
    work: impl FnOnce(&mut OpenBlock<'_, '_>) -> Result<(), LedgerError>,
) -> Result<(Header, Vec<Write>, Vec<Kept>), LedgerError> {
    let body = read_body(ctx, parent.header, payload)?;
    term::check_follows(ctx, (&payload.head, &body), (state, parent.content))?;
    let body = body.ordinary();
    let header = open_header(parent, payload, seed)?;
    check_protocol(ctx, header.number, (state, parent.content))?;
    check_verifier(header.number, (state, parent.content))?;
    let keys = parent.keys.ok_or(LedgerError::KeysMissing)?;
    let Turn { keyring, moved, sapphire, entries } = turn(ctx, (parent, keys), (&header, seed), state)?;
    let parent_time_unix_s = parent.header.timestamp;
    let block = BlockContext { parent_time_unix_s, sapphire, ..block_context(ctx, &header) };
    let view = TreeView { state, content: parent.content, hashes: parent.hashes, keyring: Some(&keyring) };
    let mut evm = Evm::new(block, ctx.modules(), &view);
    entries.write(&mut evm)?;
    system_call(&mut evm, HISTORY_CONTRACT, header.parent_hash)?;
    system_call(&mut evm, PAYLOAD_ROOTS_CONTRACT, header.parent_beacon_block_root.unwrap_or_default())?;
    if let Some(turn) = &body.turn {
        term::take_turn(&mut evm, turn)?;
    }
    let opener = Opener::new(ctx, (parent, state), header.timestamp, Some(keyring.root()));
    let mut open = OpenBlock { evm, header: &header, opener: &opener, transactions: &body.transactions };
    work(&mut open)?;
    let changes = open.evm.finish();
    let (writes, content) = sealed_writes(changes, moved, (&keyring, header.number), state)?;
    Ok((header, writes, content))
}

/// The environment that a header gives the machine.
pub(crate) fn block_context(ctx: &ChainContext, header: &Header) -> BlockContext {
    BlockContext {
        chain_id: ctx.chain_id(),
        height: header.number,
        time_unix_s: header.timestamp,
        parent_time_unix_s: header.timestamp,
        base_fee: header.base_fee_per_gas.unwrap_or_default(),
        gas_limit: BLOCK_GAS_MAX,
        beneficiary: BENEFICIARY,
        prev_randao: header.mix_hash,
        sapphire: SapphireContext::default(),
    }
}

fn read_body(ctx: &ChainContext, parent: &Header, payload: &Payload) -> Result<Body, LedgerError> {
    let head = &payload.head;
    if head.chain_id != ctx.chain_id() {
        return Err(LedgerError::Chain { expected: ctx.chain_id(), found: head.chain_id });
    }
    if head.height != parent.number + 1 {
        return Err(LedgerError::Height { parent: parent.number, found: head.height });
    }
    if head.timestamp_ms / 1000 < parent.timestamp {
        return Err(LedgerError::Time);
    }
    let found = body_digest(&payload.body.0);
    if found != head.body {
        return Err(LedgerError::Body { expected: head.body, found });
    }
    Ok(Body::read(&payload.body.0)?)
}

/// A header with everything that is known before execution.
fn open_header(parent: Parent<'_>, payload: &Payload, seed: Option<&G1Point>) -> Result<Header, LedgerError> {
    let timestamp = payload.head.timestamp_ms / 1000;
    let base_fee = next_base_fee(parent.header, timestamp, parent.hashes)?;
    Ok(Header {
        parent_hash: parent.header.hash_slow(),
        number: payload.head.height,
        timestamp,
        mix_hash: seed.map_or(B256::ZERO, prev_randao),
        base_fee_per_gas: Some(base_fee),
        parent_beacon_block_root: Some(B256::from(payload_digest(&payload.head).0)),
        ..empty_header()
    })
}

/// What `PREVRANDAO` answers in the block of the payload that the round of this seed notarised.
fn prev_randao(seed: &G1Point) -> B256 {
    B256::from(freehold_crypto::hash("freehold randomness", &[seed.as_bytes()]).0)
}

/// The fields that are the same in every block.
pub(crate) fn empty_header() -> Header {
    Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: BENEFICIARY,
        gas_limit: BLOCK_GAS_MAX,
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

pub(crate) fn system_call(evm: &mut Evm<'_>, contract: Address, word: B256) -> Result<(), LedgerError> {
    let outcome = evm.system_call(contract, Bytes::copy_from_slice(word.as_slice()))?;
    if outcome.is_success() { Ok(()) } else { Err(LedgerError::SystemCall(contract)) }
}

/// Which transactions are traced, by their hash.
pub(crate) type Plans<'a> = dyn Fn(&B256) -> Option<TracePlan> + 'a;

/// What execution has given so far.
#[derive(Default)]
pub(crate) struct Run<'p> {
    plans: Option<&'p Plans<'p>>,
    pub(crate) traced: Vec<TracedTransaction>,
    traced_bytes: usize,
    transactions: Vec<ExecutedTransaction>,
    receipts: Vec<ExecutedReceipt>,
    skipped: Vec<Skipped>,
    gas_used: u64,
    gas_reserved: u64,
}

impl<'p> Run<'p> {
    /// With traces of the transactions that have a plan.
    pub(crate) fn tracing(plans: &'p Plans<'p>) -> Self {
        Self { plans: Some(plans), ..Self::default() }
    }

    pub(crate) fn step(
        &mut self,
        block: &mut OpenBlock<'_, '_>,
        index: u32,
        admitted: Result<Recovered, TransactionRefusal>,
    ) -> Result<(), LedgerError> {
        let recovered = match admitted {
            Ok(recovered) => recovered,
            Err(refusal) => {
                self.skipped.push(Skipped { index, hash: None, reason: refusal.into() });
                return Ok(());
            }
        };
        let hash = Some(recovered.hash());
        let reserved = self.gas_reserved + recovered.transaction().gas_limit();
        if reserved > BLOCK_GAS_MAX {
            self.skipped.push(Skipped { index, hash, reason: SkipReason::BlockGas });
            return Ok(());
        }
        let place = u32::try_from(self.transactions.len()).expect("a payload of 2 MiB holds fewer than 2^32");
        let opened = Opened::new(CallData::read(recovered.transaction().input()), block.opener)?;
        match self.execute(&mut block.evm, &recovered.hash(), opened.machine_tx(recovered.to_tx_env()), place) {
            Ok(outcome) => {
                self.gas_reserved = reserved;
                let answer = opened.seal(outcome, &answer_nonce(block.header.number, place));
                self.record(recovered, answer, block.header);
                Ok(())
            }
            Err(EvmError::Invalid(invalid)) => {
                self.skipped.push(Skipped { index, hash, reason: SkipReason::Invalid(invalid) });
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn execute(&mut self, evm: &mut Evm<'_>, hash: &B256, tx: MachineTx, place: u32) -> Result<Outcome, EvmError> {
        let Some(plan) = self.plans.and_then(|plans| plans(hash)) else { return evm.transact(tx, place) };
        let (outcome, traced) = match self.traced_bytes > TRACED_BYTES_MAX {
            true => (evm.transact(tx, place)?, Err(TraceError::TooLarge)),
            false => evm.trace(tx, place, &plan)?,
        };
        self.traced_bytes += traced.as_ref().map_or(0, |traced| traced.bytes);
        self.traced.push(TracedTransaction { hash: *hash, index: place, gas_used: outcome.gas_used, traced });
        Ok(outcome)
    }

    fn record(&mut self, recovered: Recovered, outcome: Outcome, header: &Header) {
        let hash = recovered.hash();
        let (envelope, sender) = recovered.into_parts();
        self.gas_used += outcome.gas_used;
        let receipt = Receipt {
            status: Eip658Value::Eip658(outcome.status == Status::Success),
            cumulative_gas_used: self.gas_used,
            logs: outcome.logs,
        };
        self.receipts.push(ExecutedReceipt {
            gas_used: outcome.gas_used,
            effective_gas_price: envelope.effective_gas_price(header.base_fee_per_gas),
            contract_address: outcome.created,
            output: outcome.output,
            envelope: typed_receipt(envelope.tx_type(), receipt.into()),
        });
        self.transactions.push(ExecutedTransaction { hash, sender, envelope });
    }

    fn finish(self, header: Header, writes: Vec<Write>, content: Vec<Kept>) -> PreparedBlock {
        let envelopes: Vec<&Transaction> = self.transactions.iter().map(|tx| &tx.envelope).collect();
        let receipts: Vec<&ReceiptEnvelope> = self.receipts.iter().map(|receipt| &receipt.envelope).collect();
        let mut logs_bloom = Bloom::ZERO;
        for receipt in &receipts {
            logs_bloom |= receipt.bloom();
        }
        let header = Header {
            transactions_root: calculate_transaction_root(&envelopes),
            receipts_root: calculate_receipt_root(&receipts),
            logs_bloom,
            gas_used: self.gas_used,
            ..header
        };
        let Self { transactions, receipts, skipped, .. } = self;
        PreparedBlock { header, transactions, receipts, skipped, content, writes }
    }
}

pub(crate) fn typed_receipt(kind: TxType, receipt: ReceiptWithBloom<Receipt>) -> ReceiptEnvelope {
    match kind {
        TxType::Legacy => ReceiptEnvelope::Legacy(receipt),
        TxType::Eip2930 => ReceiptEnvelope::Eip2930(receipt),
        TxType::Eip1559 => ReceiptEnvelope::Eip1559(receipt),
        TxType::Eip4844 => ReceiptEnvelope::Eip4844(receipt),
        TxType::Eip7702 => ReceiptEnvelope::Eip7702(receipt),
    }
}

/// A digest and the bytes that are kept under it.
pub(crate) type Kept = (Digest, Vec<u8>);

/// Changes as sorted writes to the tree, confidential slots sealed, and what is kept beside it. `moved` are values that
/// are re-encrypted; what a transaction wrote comes after them.
fn sealed_writes(
    mut changes: Changes,
    moved: Writes,
    (keyring, height): (&Keyring, Height),
    state: &dyn StateTree,
) -> Result<(Vec<Write>, Vec<Kept>), LedgerError> {
    let mut writes = moved;
    for ((address, slot), value) in core::mem::take(&mut changes.confidential) {
        keyring.write(&mut writes, (&address, &slot), &value, height);
    }
    to_writes(changes, writes, state)
}

/// Changes of public state as sorted writes to the tree, beside those that are given, and what is kept beside the tree.
///
/// # Panics
/// When the changes hold confidential slots: sealing them is the caller's.
pub(crate) fn to_writes(
    changes: Changes,
    mut writes: Writes,
    state: &dyn StateTree,
) -> Result<(Vec<Write>, Vec<Kept>), LedgerError> {
    assert!(changes.confidential.is_empty(), "confidential slots are sealed before they are written");
    for (address, account) in changes.accounts {
        let value = account.filter(|account| !account.is_empty()).as_ref().map(account_value);
        writes.insert(slots::account_key(&to_account(&address)), value);
    }
    for ((address, slot), value) in changes.storage {
        let value = if value.is_zero() { None } else { Some(value.to_be_bytes::<32>().to_vec()) };
        writes.insert(slots::storage_key(&to_account(&address), &slot.to_be_bytes()), value);
    }
    let mut sorted = Vec::with_capacity(writes.len());
    for (key, value) in writes {
        if value.is_some() || state.get(&key)?.is_some() {
            sorted.push((key, value));
        }
    }
    let code = changes.code.into_iter().map(|(hash, code)| (Digest(hash.0), code.to_vec()));
    let content: BTreeMap<Digest, Vec<u8>> = code.chain(changes.content).collect();
    Ok((sorted, content.into_iter().collect()))
}

/// Checks of a payload that need no state: the body belongs to the head, every transaction may stand in some block, and
/// their gas limits fit. A validator votes for no payload that fails them.
///
/// # Errors
/// Any [`PayloadRefusal`].
pub fn check_payload(ctx: &ChainContext, payload: &Payload) -> Result<(), PayloadRefusal> {
    check_payload_with(ctx, payload, &())
}

/// As [`check_payload`], recovering no sender that was recovered before.
///
/// # Errors
/// Any [`PayloadRefusal`].
pub fn check_payload_with(
    ctx: &ChainContext,
    payload: &Payload,
    admitted: &dyn Admitted,
) -> Result<(), PayloadRefusal> {
    if payload.head.chain_id != ctx.chain_id() {
        return Err(PayloadRefusal::Chain);
    }
    if payload.body.0.len() > freehold_primitives::PAYLOAD_BYTES_MAX {
        return Err(PayloadRefusal::TooLong);
    }
    if body_digest(&payload.body.0) != payload.head.body {
        return Err(PayloadRefusal::Body);
    }
    let whole = Body::read(&payload.body.0).map_err(|_| PayloadRefusal::Body)?;
    term::check_form(ctx, &payload.head, &whole)?;
    let body = whole.ordinary();
    let bounded = |statement: &Blob| statement.0.len() <= STATEMENT_BYTES_MAX;
    if body.statements.len() > STATEMENTS_MAX || !body.statements.iter().all(bounded) {
        return Err(PayloadRefusal::Statements);
    }
    let mut gas = 0_u64;
    for (index, raw) in (0_u32..).zip(&body.transactions) {
        let recovered =
            admit_with(ctx, &raw.0, admitted).map_err(|refusal| PayloadRefusal::Transaction { index, refusal })?;
        gas += recovered.transaction().gas_limit();
        if gas > BLOCK_GAS_MAX {
            return Err(PayloadRefusal::Gas);
        }
    }
    Ok(())
}

/// Why a validator does not vote for a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PayloadRefusal {
    /// It is of another chain.
    #[error("the payload is of another chain")]
    Chain,
    /// The body is too long.
    #[error("the body of the payload is too long")]
    TooLong,
    /// The body is not the one that the head names, or not canonical.
    #[error("the body does not belong to the head")]
    Body,
    /// Too many statements of key generation, or one that is too long.
    #[error("the payload holds too many statements of key generation, or too long ones")]
    Statements,
    /// The turn to a new term is missing, misplaced or malformed.
    #[error("the turn of the payload is refused: {0}")]
    Turn(#[from] TurnFault),
    /// A transaction may never stand in a block.
    #[error("transaction {index} is refused: {refusal}")]
    Transaction {
        /// Its index.
        index: u32,
        /// Why.
        refusal: TransactionRefusal,
    },
    /// The gas limits are more than a block's.
    #[error("the gas limits are more than a block holds")]
    Gas,
}
