//! JSON-RPC server: Ethereum's methods and ours over one HTTP and WebSocket port.

mod calls;
mod error;
mod eth;
mod fees;
mod filter_methods;
mod filters;
mod ours;
mod params;
mod proofs;
mod server;
mod subscriptions;

pub(crate) use server::RpcServer;
pub use server::ServerError;
