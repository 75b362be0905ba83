//! Traces of past transactions: their block is executed once more, over the state of its parent.
//!
//! Nothing of it stays. What a trace may show is the machine's rule (`freehold_evm::trace`).

use alloy_primitives::B256;
use freehold_evm::{Sight, TraceError, TracePlan, Traced};
use freehold_primitives::{G1Point, Payload};

use crate::{
    block::{Parent, Run, in_block},
    context::ChainContext,
    error::LedgerError,
    state::StateTree,
    transaction::admit,
};

/// Bytes of a block's traces, roughly counted, behind which no further transaction of it is traced.
pub(crate) const TRACED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Which transactions of a block are traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Every one.
    All,
    /// The one with this hash; those behind it are not executed.
    One(B256),
}

/// A traced transaction.
#[derive(Debug, Clone)]
pub struct TracedTransaction {
    /// Its hash.
    pub hash: B256,
    /// Its index in the block.
    pub index: u32,
    /// Gas that it paid for.
    pub gas_used: u64,
    /// Its trace.
    pub traced: Result<Traced, TraceError>,
}

impl ChainContext {
    /// How far traces on this chain see.
    pub fn sight(&self) -> Sight {
        if self.genesis().has_dev_traces() { Sight::Everything } else { Sight::Public }
    }
}

/// Executes a payload once more over the state behind `parent` and traces its transactions by `plan`, whose hash of a
/// transaction is put in for each.
///
/// # Errors
/// Any [`LedgerError`].
pub fn trace_payload(
    ctx: &ChainContext,
    parent: Parent<'_>,
    (payload, seed): (&Payload, Option<&G1Point>),
    state: &dyn StateTree,
    (selection, plan): (Selection, &TracePlan),
) -> Result<Vec<TracedTransaction>, LedgerError> {
    let plans = |hash: &B256| match selection {
        Selection::One(wanted) if wanted != *hash => None,
        Selection::All | Selection::One(_) => Some(TracePlan { tx_hash: Some(*hash), ..plan.clone() }),
    };
    let mut run = Run::tracing(&plans);
    in_block(ctx, parent, (payload, seed), state, |block| {
        for (index, raw) in (0_u32..).zip(block.transactions) {
            run.step(block, index, admit(ctx, &raw.0))?;
            if matches!(selection, Selection::One(_)) && !run.traced.is_empty() {
                break;
            }
        }
        Ok(())
    })?;
    Ok(run.traced)
}
