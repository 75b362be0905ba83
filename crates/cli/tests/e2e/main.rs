//! End-to-end tests: the real binary, unmodified third-party clients, kills and bad input.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod answer;
mod apps;
mod authority;
mod backends;
mod collateral;
mod containers;
mod contracts;
mod damage;
mod denial;
mod deploy;
mod egress;
mod examples;
mod executor;
mod follower;
mod founding;
mod full_disk;
mod ingress;
mod instance;
mod light;
mod market;
mod masters;
mod membership;
mod network;
mod operations;
mod processes;
mod safekeeping;
mod sapphire;
mod succession;
mod support;
mod upgrades;
mod validators;
mod vm;
