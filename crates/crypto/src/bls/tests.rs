//! Tests of `bls`.
