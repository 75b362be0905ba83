//! Tests of `block`.
#![allow(clippy::unwrap_used)]
