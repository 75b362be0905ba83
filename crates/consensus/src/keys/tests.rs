//! Tests of `keys`.
#![allow(clippy::unwrap_used)]
