//! Validators as users and as attackers see them: whole blocks, terms, and turns.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/registry.rs"]
mod registry;

mod attested;
mod chance;
mod net;
mod reports;
mod terms;
mod turns;
