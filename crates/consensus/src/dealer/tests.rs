//! Tests of `dealer`.
#![allow(clippy::unwrap_used)]
