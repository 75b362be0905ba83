//! Plans, and plans that are refused; the tests of what runs are the host's, which runs them.
#![allow(clippy::unwrap_used)]

mod apps;
mod plans;
