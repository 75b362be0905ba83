//! What a peer can send beside consensus, read as a node reads it, and one step of a validator's start alone: for fuzz targets
//! and tests, not for use.

use freehold_primitives::Canonical;

use crate::{
    member::{MemberConfig, MemberError, Reason, Taken, try_state},
    state_keys::Message,
    wire::{ShareMessage, Transactions},
};

/// The bytes of each transaction in a message of the gossip, and the message written again.
pub fn transactions_input(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, Vec<u8>)> {
    let message = Transactions::from_canonical(bytes).ok()?;
    let again = message.to_canonical();
    Some((message.0.into_iter().map(|raw| raw.0).collect(), again))
}

/// A message about shares of granted keys, written again.
pub fn key_share_input(bytes: &[u8]) -> Option<Vec<u8>> {
    again::<ShareMessage>(bytes)
}

/// A message about shares of state root keys, written again.
pub fn state_key_input(bytes: &[u8]) -> Option<Vec<u8>> {
    again::<Message>(bytes)
}

/// A message about catching up, written again.
pub fn catch_up_input(bytes: &[u8]) -> Option<Vec<u8>> {
    again::<crate::exchange::Message>(bytes)
}

fn again<T: Canonical>(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(T::from_canonical(bytes).ok()?.to_canonical())
}

/// Takes the state as a validator without blocks does, until it is `stopped`; whether it ended first.
///
/// # Errors
/// What stands in the way, also where the validator would go on with what it has.
pub fn take_validator_state(
    config: &MemberConfig,
    stopped: &mut tokio::sync::oneshot::Receiver<()>,
) -> Result<bool, MemberError> {
    try_state(config, Reason::Empty, stopped).map(|taken| taken == Taken::Go)
}
