//! Tests of the collateral bot against a local server that speaks the vendors' paths: recorded real documents, emulated
//! ones, and hostile answers. The vendors' own services are never contacted.
#![allow(clippy::unwrap_used)]

mod bring;
mod choice;
mod http;
mod outlook;
mod server;
mod vendor;
