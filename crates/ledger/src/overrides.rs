//! What a call outside of any block says about the block and the state that it runs in.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use freehold_evm::{BlockContext, Layers, OverrideRefusal, StateOverrides, StateView};
use freehold_primitives::{BlockMoment, Digest};

/// What the block is said to be; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockOverrides {
    /// Height.
    pub height: Option<u64>,
    /// Header time, unix seconds.
    pub time_unix_s: Option<u64>,
    /// Gas limit.
    pub gas_limit: Option<u64>,
    /// Who receives priority fees.
    pub beneficiary: Option<Address>,
    /// What `PREVRANDAO` answers.
    pub prev_randao: Option<B256>,
    /// Base fee per gas.
    pub base_fee: Option<u64>,
    /// What EIP-4788's contract keeps; of simulated blocks alone.
    pub payload_root: Option<B256>,
    /// What `BLOCKHASH` answers.
    pub block_hashes: BTreeMap<u64, B256>,
}

impl BlockOverrides {
    /// The block as it is said to be.
    pub(crate) fn on(&self, block: BlockContext) -> BlockContext {
        BlockContext {
            height: self.height.unwrap_or(block.height),
            time_unix_s: self.time_unix_s.unwrap_or(block.time_unix_s),
            parent_time_unix_s: self.time_unix_s.unwrap_or(block.parent_time_unix_s),
            gas_limit: self.gas_limit.unwrap_or(block.gas_limit),
            beneficiary: self.beneficiary.unwrap_or(block.beneficiary),
            prev_randao: self.prev_randao.unwrap_or(block.prev_randao),
            base_fee: self.base_fee.unwrap_or(block.base_fee),
            ..block
        }
    }

    /// Records the hashes of blocks.
    pub(crate) fn record(&self, layers: &mut Layers<'_>) {
        for (height, hash) in &self.block_hashes {
            layers.record(BlockMoment { height: *height, block_hash: Digest(hash.0), time_unix_s: 0 });
        }
    }
}

/// What state and block are said to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Accounts.
    pub state: StateOverrides,
    /// The block.
    pub block: BlockOverrides,
}

impl Overrides {
    /// State with these overrides on it; `None` where there are none, so that the call sees the chain itself.
    pub(crate) fn layers<'a>(&self, view: &'a dyn StateView) -> Result<Option<Layers<'a>>, OverrideRefusal> {
        if *self == Self::default() {
            return Ok(None);
        }
        let mut layers = Layers::new(view);
        layers.put(&self.state)?;
        self.block.record(&mut layers);
        Ok(Some(layers))
    }
}
