//! The light client against a real network, and against servers that lie about one.
#![allow(clippy::unwrap_used)]

mod cases;
mod chain;
mod executor;
mod failover;
mod honest;
mod lies;
mod mutate;
mod server;
mod tape;
