//! Which grants are live, by this validator's newest executed block.

use std::sync::Arc;

use freehold_primitives::{Digest, entries::GrantEntry};

use super::{HEADER_AGE_S_MAX, ShareError};
use crate::shared::Shared;

/// Says which grants are live; asked before every share that leaves.
pub(super) trait Grants {
    /// The grant, where it is live now.
    fn live(&self, grant: &Digest) -> Result<GrantEntry, ShareError>;
}

/// Grants as this validator's chain has them.
pub(super) struct ChainGrants(pub(super) Arc<Shared>);

impl Grants for ChainGrants {
    fn live(&self, grant: &Digest) -> Result<GrantEntry, ShareError> {
        let tip = self.0.tip();
        if self.0.clock.now_s().saturating_sub(tip.header.timestamp) > HEADER_AGE_S_MAX {
            return Err(ShareError::Stale);
        }
        let chain = &self.0.chain;
        let entry = chain.grant(grant).map_err(|_| ShareError::State)?.ok_or(ShareError::Unknown)?;
        if entry.closed_at.is_some() || entry.until <= tip.header.timestamp {
            return Err(ShareError::Closed);
        }
        // Neither a denial by the chain nor a rotation closes a grant: both are looked up here, each time.
        let context = chain.key_context(&entry.app_id, &entry.context).map_err(|_| ShareError::State)?;
        if context.is_some_and(|context| !context.serves(entry.generation, tip.header.timestamp)) {
            return Err(ShareError::Retired);
        }
        let denied = chain.is_denied(&entry.instance_id).map_err(|_| ShareError::State)?;
        if denied.ok_or(ShareError::Unknown)? { Err(ShareError::Denied) } else { Ok(entry) }
    }
}
