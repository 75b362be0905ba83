//! Forgetting payloads in the consensus engine's archive: the block store holds what is executed, and others take from the
//! archive only what they lack of the recent past.
//!
//! Invariant: the payloads of two terms stay, and all that is not executed; consensus sees to the rest.

use std::sync::Arc;

use freehold_consensus::History;

use super::{MemberConfig, catch_up::kept_min};
use crate::shared::Shared;

/// Newest final payloads that a validator keeps for the others unless it is told otherwise: four hours and a half of empty
/// blocks. The archive holds a file open for each 64 of them.
pub const PAYLOADS_KEPT: u64 = 16_384;
/// Blocks between two looks.
const STRIDE: u64 = 64;

/// How many newest payloads a validator keeps.
pub(super) fn window(config: &MemberConfig) -> u64 {
    config.keep_payloads.unwrap_or(PAYLOADS_KEPT).max(kept_min(&config.genesis))
}

/// Forgets what leaves the window, as blocks are executed.
pub(super) async fn prune(shared: Arc<Shared>, history: History, window: u64) {
    let mut tip = shared.tip.subscribe();
    drop(shared);
    let mut next = 0;
    while let Ok(height) = tip.wait_for(|tip| tip.height() >= next).await.map(|tip| tip.height()) {
        if let Some(below) = height.checked_sub(window).filter(|below| *below > 0) {
            history.forget_below(below);
        }
        next = height + STRIDE;
    }
}
