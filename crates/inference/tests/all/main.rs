//! The app of models from outside. One binary, since each compiles the app again.
#![allow(clippy::print_stderr, clippy::unwrap_used)]

mod clients;
mod files;
mod golden;
mod pull;
mod server;
mod support;
