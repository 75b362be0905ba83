//! Base fee.
