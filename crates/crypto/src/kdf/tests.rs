//! Tests of `kdf`.
