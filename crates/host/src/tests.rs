//! Tests of measuring, of the sandbox's arguments, and of the relays.
#![allow(clippy::unwrap_used)]
