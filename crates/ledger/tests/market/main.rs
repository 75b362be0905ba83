//! The market of the genesis and the quorum library, as their real code runs on the real ledger.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/registry.rs"]
mod registry;

mod chance;
mod faults;
mod money;
mod quorum;
mod serving;
mod support;
mod terms;
