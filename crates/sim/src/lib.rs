#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod adversary;
mod chain;
mod client;
mod figures;
mod keys;
mod machine;
mod monitor;
mod network;
mod node;
mod plan;
mod run;
mod seeds;

pub use figures::{FinalityError, FinalityFigures, FinalityOptions, finality};
pub use keys::TermProgress;
pub use monitor::Violation;
pub use node::Lie;
pub use plan::{Broken, Fault, Options, UnknownFault};
pub use run::{Report, run, smallest};
