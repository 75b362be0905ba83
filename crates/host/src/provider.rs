//! A provider's machine: it follows the rentals of its offers on the chain, runs what their renters deploy, is paid for what
//! it serves, and stops when a rental ends (`spec/provider-api.md`, `spec/market.md`).
//!
//! Invariant: only the renter that the chain names commands, each command is taken once, and what must outlive a kill is on
//! the disk before it is answered. Its own node is believed: a lying one costs the provider its own time. Not here: what an
//! app is allowed by its owner, which the chain and the guest judge.

mod attend;
mod config;
mod event;
mod fetch;
mod market;
mod policy;
mod record;
mod rounds;
mod server;
mod store;
mod tenant;
mod vm;

pub use config::ProviderConfig;
pub use event::ProviderEvent;
pub use policy::{AllowedEgress, AllowedKind, ProviderPolicy};
pub use rounds::Provider;
pub use vm::{ImageMaker, VmBackend};
