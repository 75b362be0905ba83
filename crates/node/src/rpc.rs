//! JSON-RPC server: Ethereum's methods and ours over one HTTP and WebSocket port.

mod answers;
mod calls;
mod debug;
mod error;
mod eth;
mod fees;
mod filter_methods;
mod filters;
mod forward;
mod ours;
mod params;
mod parity;
mod probes;
mod proofs;
mod request;
mod server;
mod simulate;
mod subscriptions;
mod sync;
mod taint;
mod traces;

pub(crate) use forward::Forward;
pub use server::ServerError;
pub(crate) use server::{Duty, NodeMethods, RpcServer};
