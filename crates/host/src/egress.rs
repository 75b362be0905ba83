//! The gate: the one way out of an app whose manifest names whom it may reach, and of its guest's fetches.
//!
//! Whoever connects names a host and a port, by `CONNECT` (RFC 9110 §9.3.6) or SOCKS 5 (RFC 1928). Names are resolved here, once,
//! and what is dialled is an address that was checked: so a name that leads into this machine's own networks, at once or later,
//! leads nowhere. Invariant: nothing leaves before the manifest's list was asked, with the very host and port that are dialled.
//! What is kept are counts; no name is logged. The bytes behind are not read.

mod address;
mod ask;
mod gate;
mod rules;

#[cfg(test)]
mod tests;

pub(crate) use gate::{Gate, accept_tcp, accept_unix};
pub(crate) use rules::{reach, with};
