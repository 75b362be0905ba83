//! Relays: bytes between the app's users and its socket, and questions of the guest to a node.

mod api;
mod chain;

pub(crate) use api::relay_api;
pub(crate) use chain::{ChainRelay, chain_router};
