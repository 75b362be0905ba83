//! The ledger from outside: payloads in, blocks out. One binary, since each compiles the machine again.

mod common;
#[path = "common/registry.rs"]
mod registry;

mod apps;
mod blocks;
mod call_data;
mod collateral;
mod confidential;
mod denials;
mod executors;
mod fuzz_smoke;
mod hardware;
mod key_contexts;
mod kinds;
mod leases;
mod log;
mod market;
mod metadata;
mod protocol;
mod registration;
mod settings;
mod simulate;
mod subcalls;
mod upgrades;
mod validators;
mod verifier;
mod witness;
