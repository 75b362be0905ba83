//! The market of the genesis, the quorum library and that of fetch records, as their real code runs on the real ledger.
#![allow(clippy::unwrap_used)]

mod chance;
mod faults;
mod fetched;
mod money;
mod quorum;
mod serving;
mod support;
mod terms;
