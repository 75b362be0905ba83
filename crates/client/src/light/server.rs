//! The local proxy: a JSON-RPC port on this machine, whose answers are proven. Unmodified Ethereum clients talk to it.

use std::{net::SocketAddr, sync::Arc};

use jsonrpsee::{
    core::RegisterMethodError,
    server::{BatchRequestConfig, ServerBuilder, ServerConfig, ServerHandle},
};
use thiserror::Error;
use tower_http::cors::{Any, CorsLayer};

use super::{head::LightClient, methods};

/// Largest request body: a transaction in hex, or a batch of them.
const REQUEST_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// Largest answer.
const RESPONSE_BYTES_MAX: u32 = 32 * 1024 * 1024;
/// Most requests in a batch.
const BATCH_MAX: u32 = 256;
/// Most connections at a time.
const CONNECTIONS_MAX: u32 = 64;

/// Why the proxy did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LightServerError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}; choose another address with --listen (port 0 takes a free one)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Two methods with one name.
    #[error("a method is registered twice")]
    Methods(#[from] RegisterMethodError),
}

/// A running proxy.
pub struct LightServer {
    address: SocketAddr,
    handle: ServerHandle,
}

impl LightServer {
    /// Serves a client's answers on an address.
    ///
    /// # Errors
    /// Every [`LightServerError`].
    pub async fn start(client: Arc<LightClient>, address: SocketAddr) -> Result<Self, LightServerError> {
        let module = methods::module(client)?;
        // Public data and signed transactions only; browsers' wallets need it.
        let cors = CorsLayer::new().allow_origin(Any).allow_methods(Any).allow_headers(Any);
        let config = ServerConfig::builder()
            .max_request_body_size(REQUEST_BYTES_MAX)
            .max_response_body_size(RESPONSE_BYTES_MAX)
            .max_connections(CONNECTIONS_MAX)
            .set_batch_request_config(BatchRequestConfig::Limit(BATCH_MAX))
            .build();
        let bound = ServerBuilder::with_config(config)
            .set_http_middleware(tower::ServiceBuilder::new().layer(cors))
            .build(address)
            .await;
        let bind = |source| LightServerError::Bind { address, source };
        let server = bound.map_err(bind)?;
        let address = server.local_addr().map_err(bind)?;
        Ok(Self { address, handle: server.start(module) })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it.
    pub async fn stop(self) {
        let _already = self.handle.stop();
        self.handle.stopped().await;
    }
}
