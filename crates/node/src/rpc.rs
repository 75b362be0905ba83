//! JSON-RPC server: Ethereum's methods and ours over one HTTP and WebSocket port.

mod calls;
mod debug;
mod error;
mod eth;
mod fees;
mod filter_methods;
mod filters;
mod ours;
mod params;
mod parity;
mod probes;
mod proofs;
mod request;
mod server;
mod simulate;
mod subscriptions;
mod taint;
mod traces;

pub(crate) use server::RpcServer;
pub use server::ServerError;
