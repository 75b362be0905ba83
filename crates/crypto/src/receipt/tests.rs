//! Tests of `receipt`.
