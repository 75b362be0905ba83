//! Tests of `rounds`.
#![allow(clippy::unwrap_used)]
