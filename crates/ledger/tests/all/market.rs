//! The market of the genesis and the quorum library, as their real code runs on the real ledger.
#![allow(clippy::unwrap_used)]

mod chance;
mod faults;
mod money;
mod quorum;
mod serving;
mod support;
mod terms;
