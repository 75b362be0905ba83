//! Validators as users and as attackers see them: whole blocks, terms, and turns.
#![allow(clippy::unwrap_used)]

mod attested;
mod chance;
mod masters;
mod net;
mod reports;
mod shares;
mod succession;
mod terms;
mod turns;
