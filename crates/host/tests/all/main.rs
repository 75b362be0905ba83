//! A host from outside.

mod fuzz_smoke;
