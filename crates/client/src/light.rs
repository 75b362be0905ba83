//! A light client: the chain's answers from nodes that nobody trusts, each checked from the network key alone.
//!
//! Invariant: what a method returns stands under a certificate of the network key, or was computed on this machine from
//! what does; a node that lies is dropped for the next one and is never believed. What no proof can say is said: that
//! there is no transaction of some hash (every node was asked), and which header is the newest (the clock judges).
//! Not here: checks; those are `freehold-verify`'s, and calls are made by the chain's own rules in `freehold-ledger`.

mod blocks;
mod calls;
mod checkpoint;
mod error;
mod fees;
mod filters;
mod head;
mod logs;
mod methods;
mod params;
mod refusals;
mod server;
mod state;
mod transactions;
mod upstreams;

pub use calls::{Backing, LightCall, LightOutcome};
pub use checkpoint::{CHECKPOINT_FORMAT, CheckpointError};
pub use error::{LightError, Unsigned};
pub use filters::{LIGHT_FILTERS_MAX, LightWatch};
pub use head::{LightClient, LightConfig, Unproven};
pub use logs::{LIGHT_LOG_BLOCKS_MAX, LIGHT_LOGS_MAX};
pub use server::{LightServer, LightServerError};
pub use upstreams::ATTEMPT_MAX_DEFAULT;
