//! Sapphire's precompiles and `SUBCALL` (`spec/sapphire.md`), at Sapphire's own addresses.

mod context;

pub use context::{BlockRandomness, CallDataKey, SapphireContext};
