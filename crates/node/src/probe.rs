//! What a peer can send beside consensus, read as a node reads it: for fuzz targets, not for use.

use freehold_primitives::Canonical;

use crate::{
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
