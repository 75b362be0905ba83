//! Tests of `ehbp`.
