//! Tests of `check`.
#![allow(clippy::unwrap_used)]
