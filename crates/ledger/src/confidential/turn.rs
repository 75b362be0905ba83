//! What a block does about keys before its first transaction: it opens generation 0, begins a generation that was asked
//! for, re-encrypts, and makes the epoch's call-data key known (`spec/confidential-state.md` §4).

use alloy_consensus::Header;
use alloy_primitives::U256;
use freehold_crypto::{StateKeys, content_digest, slots};
use freehold_evm::{BlockRandomness, CallDataKey, Evm, SapphireContext};
use freehold_primitives::{
    Canonical, Digest, G1Point, Generation,
    entries::{CallDataKeyEntry, EntryKind, StateKeyEntry, StateKeyStatus},
};

use super::{Keyring, Writes, published, read_status};
use crate::{
    block::Parent,
    context::ChainContext,
    error::LedgerError,
    read::read_entry,
    state::{StateTree, to_address},
};

/// A block's keys, and what it writes before its first transaction.
pub(crate) struct Turn {
    /// The generations in use.
    pub(crate) keyring: Keyring,
    /// Values that move to the newest generation.
    pub(crate) moved: Writes,
    /// What Sapphire's precompiles see.
    pub(crate) sapphire: SapphireContext,
    /// Entries of `Keys`.
    pub(crate) entries: Entries,
}

/// Slot in `Keys`, digest and bytes of each entry.
#[derive(Default)]
pub(crate) struct Entries(Vec<(U256, Digest, Vec<u8>)>);

impl Entries {
    fn push(&mut self, kind: EntryKind, id: &[u8], entry: &impl Canonical) {
        let bytes = entry.to_canonical();
        self.0.push((U256::from_be_bytes(slots::entry_slot(kind, id)), content_digest(&bytes), bytes));
    }

    /// Writes them; afterwards modules see them.
    pub(crate) fn write(self, evm: &mut Evm<'_>) -> Result<(), LedgerError> {
        for (slot, digest, bytes) in self.0 {
            evm.write_entry(to_address(&slots::KEYS), slot, digest, bytes)?;
        }
        Ok(())
    }
}

/// Epoch of a header time.
pub(crate) fn epoch_of(ctx: &ChainContext, time_unix_s: u64) -> u64 {
    time_unix_s / ctx.genesis().epoch_s.max(1)
}

/// The turn of the block that `header` opens.
///
/// # Errors
/// [`LedgerError::DevelopmentKeys`], [`LedgerError::GenerationMissing`], [`LedgerError::WrongKey`],
/// [`LedgerError::View`], [`LedgerError::State`].
pub(crate) fn turn(
    ctx: &ChainContext,
    (parent, keys): (Parent<'_>, &StateKeys),
    (header, seed): (&Header, Option<&G1Point>),
    state: &dyn StateTree,
) -> Result<Turn, LedgerError> {
    let mut entries = Entries::default();
    let before = read_status(state, parent.content)?;
    let status = begun(before);
    let keyring = Keyring::open(ctx, keys, &status)?;
    keyring.check(state, parent.content)?;
    if before.is_none_or(|before| before.newest != status.newest) {
        let entry = StateKeyEntry {
            generation: status.newest,
            commitment: keyring.root().commitment(),
            opened_at: header.number,
            closed_at: None,
        };
        entries.push(EntryKind::StateKey, &slots::state_key_id(status.newest), &entry);
    }
    let (moved, after) = re_encrypted(&keyring, status, header.number, state)?;
    if let (Some(generation), None) = (status.previous, after.previous) {
        let id = slots::state_key_id(generation);
        let entry: Option<StateKeyEntry> = read_entry(EntryKind::StateKey, &id, state, parent.content)?;
        let entry = entry.ok_or(LedgerError::GenerationMissing(generation))?;
        let closed = StateKeyEntry { closed_at: Some(header.number), ..entry };
        entries.push(EntryKind::StateKey, &id, &closed);
    }
    if before != Some(after) {
        entries.push(EntryKind::StateKeyStatus, &slots::STATE_KEY_STATUS_ID, &after);
    }
    let epoch = epoch_of(ctx, header.timestamp);
    let id = slots::call_data_key_id(epoch);
    let known: Option<CallDataKeyEntry> = read_entry(EntryKind::CallDataKey, &id, state, parent.content)?;
    let call_data = known.unwrap_or_else(|| CallDataKeyEntry {
        epoch,
        generation: status.newest,
        public_key: keyring.root().call_data_secret(&ctx.genesis_hash(), epoch).public(),
        opened_at: header.number,
    });
    if known.is_none() {
        entries.push(EntryKind::CallDataKey, &id, &call_data);
    }
    let commitment = if call_data.generation == status.newest {
        Some(keyring.root().commitment())
    } else {
        commitment(call_data.generation, parent, state)?
    };
    let randomness = keyring.root().block_randomness(&ctx.genesis_hash(), header.number, seed);
    let sapphire = SapphireContext {
        epoch,
        randomness: Some(BlockRandomness::new(randomness)),
        call_data_key: commitment.map(|commitment| published(&call_data, commitment)),
        query_entropy: [0; 32],
    };
    Ok(Turn { keyring, moved, sapphire, entries })
}

/// What the chain commits to for a generation.
fn commitment(
    generation: Generation,
    parent: Parent<'_>,
    state: &dyn StateTree,
) -> Result<Option<Digest>, LedgerError> {
    let id = slots::state_key_id(generation);
    let entry: Option<StateKeyEntry> = read_entry(EntryKind::StateKey, &id, state, parent.content)?;
    Ok(entry.map(|entry| entry.commitment))
}

/// The status with which a block begins: generation 0 at first, the next one where it was asked for.
fn begun(before: Option<StateKeyStatus>) -> StateKeyStatus {
    match before {
        None => StateKeyStatus::default(),
        Some(before) if before.requested => StateKeyStatus {
            newest: before.newest + 1,
            previous: Some(before.newest),
            cursor: Digest::ZERO,
            requested: false,
        },
        Some(before) => before,
    }
}

/// One block's re-encryption, and the status behind it.
fn re_encrypted(
    keyring: &Keyring,
    status: StateKeyStatus,
    height: u64,
    state: &dyn StateTree,
) -> Result<(Writes, StateKeyStatus), LedgerError> {
    if status.previous.is_none() {
        return Ok((Writes::new(), status));
    }
    let sweep = keyring.sweep(state, status.cursor, height)?;
    let after = match sweep.cursor {
        Some(cursor) => StateKeyStatus { cursor, ..status },
        None => StateKeyStatus { previous: None, cursor: Digest::ZERO, ..status },
    };
    Ok((sweep.writes, after))
}

/// Keys of a call over the state behind `parent`, and what Sapphire's precompiles see in it; no keys where this node has
/// none.
///
/// # Errors
/// As [`turn`].
pub(crate) fn query_context(
    ctx: &ChainContext,
    parent: Parent<'_>,
    entropy: [u8; 32],
    state: &dyn StateTree,
) -> Result<(Option<Keyring>, SapphireContext), LedgerError> {
    let mut sapphire = SapphireContext {
        epoch: epoch_of(ctx, parent.header.timestamp),
        call_data_key: call_data_key(ctx, parent, state)?,
        query_entropy: entropy,
        ..SapphireContext::default()
    };
    let Some(keys) = parent.keys else { return Ok((None, sapphire)) };
    let status = read_status(state, parent.content)?.unwrap_or_default();
    let keyring = Keyring::open(ctx, keys, &status)?;
    keyring.check(state, parent.content)?;
    let root = keyring.root().block_randomness(&ctx.genesis_hash(), parent.header.number + 1, None);
    sapphire.randomness = Some(BlockRandomness::new(root));
    Ok((Some(keyring), sapphire))
}

/// The public key that call data is encrypted to in the epoch of `parent`, as state behind it has it; `None` before
/// block 1.
///
/// # Errors
/// [`LedgerError::View`].
pub fn call_data_key(
    ctx: &ChainContext,
    parent: Parent<'_>,
    state: &dyn StateTree,
) -> Result<Option<CallDataKey>, LedgerError> {
    let id = slots::call_data_key_id(epoch_of(ctx, parent.header.timestamp));
    let Some(entry) = read_entry::<CallDataKeyEntry>(EntryKind::CallDataKey, &id, state, parent.content)? else {
        return Ok(None);
    };
    let id = slots::state_key_id(entry.generation);
    let generation: Option<StateKeyEntry> = read_entry(EntryKind::StateKey, &id, state, parent.content)?;
    Ok(generation.map(|generation| published(&entry, generation.commitment)))
}
