//! A guest from outside, against a chain in this process. One binary, since each compiles the guest again.
#![allow(clippy::print_stderr, clippy::unwrap_used)]

mod acme;
mod agent;
mod api;
mod dstack_client;
mod events;
mod fetch;
mod ingress;
mod leases;
mod ours_client;
mod peers;
mod rofl_client;
mod settings;
mod spending;
mod support;
