//! The server: one port for HTTP and WebSocket, every method in a table, bounds on bodies, batches and connections.
//!
//! Methods read stores and may block, so each runs off the runtime's workers. CORS is open: the node answers public data,
//! and browsers' wallets need it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use freehold_crypto::AnswerSigner;
use http::{HeaderName, HeaderValue};
use jsonrpsee::{
    Extensions, Methods, RpcModule,
    core::{RegisterMethodError, traits::IdProvider},
    server::{BatchRequestConfig, HttpResponse, ServerBuilder, ServerConfig, ServerHandle},
    types::{ErrorObjectOwned, Params, SubscriptionId},
};
use serde::Serialize;
use thiserror::Error;
use tokio::sync::Semaphore;
use tower_http::cors::{Any, CorsLayer};

use super::{
    answers, calls, debug, eth, fees, filter_methods, filters::Filters, forward::Forward, ours, parity, probes::Probes,
    proofs, simulate, subscriptions, sync,
};
use crate::{chain::Chain, intake::Intake, key_service::KeyService, metrics::Gauges, shared::Shared};

/// Largest request body: a transaction in hex, or a batch of them.
const REQUEST_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// Largest answer.
const RESPONSE_BYTES_MAX: u32 = 32 * 1024 * 1024;
/// Most requests in a batch.
const BATCH_MAX: u32 = 256;
/// Most connections at a time.
const CONNECTIONS_MAX: u32 = 512;
/// Most subscriptions of a connection, and of all together.
const CONNECTION_SUBSCRIPTIONS_MAX: u32 = 64;
const SUBSCRIPTIONS_MAX: usize = 2_048;
/// Messages that wait for a subscriber; a slower one is held up, not the node.
const SUBSCRIBER_BUFFER: u32 = 256;
/// Traces and simulations that run at once: each may take 64 MiB, its text more, and seconds.
const HEAVY_MAX: usize = 4;
/// Answers to nodes that catch up, made at once.
const TRANSFERS_MAX: usize = 2;
/// What answers say of a network that traces confidential frames.
const TRACES_HEADER: HeaderName = HeaderName::from_static("freehold-traces");
const TRACES_OPEN: HeaderValue = HeaderValue::from_static("confidential");

/// Why the server did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is taken, or not ours.
    #[error(
        "cannot serve JSON-RPC on {address}: {source}; choose another address with --rpc (port 0 takes a free one)"
    )]
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

/// What a node does beside answering from its stores.
pub(crate) enum Duty {
    /// Takes transactions for its own pool, and gives key shares.
    Validator {
        /// The way into the pool.
        intake: Intake,
        /// Its share of each granted key.
        service: Arc<KeyService>,
    },
    /// Hands on what it cannot answer itself.
    Follower(Forward),
}

/// What methods work with.
pub(crate) struct Rpc {
    pub(super) shared: Arc<Shared>,
    pub(super) duty: Duty,
    pub(super) gauges: Arc<Gauges>,
    /// What answers are signed with, on a registered executor.
    pub(super) signer: Option<Arc<AnswerSigner>>,
    filters: Arc<Mutex<Filters>>,
    pub(super) heavy: Semaphore,
    pub(super) transfers: Semaphore,
    pub(super) subscriptions: Arc<Semaphore>,
}

impl Rpc {
    pub(super) fn chain(&self) -> &Chain {
        &self.shared.chain
    }

    pub(super) fn filters(&self) -> MutexGuard<'_, Filters> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a node answers, by whichever way it is asked.
pub(crate) struct NodeMethods {
    module: RpcModule<Rpc>,
    gauges: Arc<Gauges>,
    has_dev_traces: bool,
}

impl NodeMethods {
    pub(crate) fn new(
        shared: Arc<Shared>,
        duty: Duty,
        gauges: Gauges,
        signer: Option<Arc<AnswerSigner>>,
    ) -> Result<Self, ServerError> {
        let gauges = Arc::new(gauges);
        let filters = Arc::new(Mutex::new(Filters::default()));
        tokio::spawn(watch_pool(Arc::clone(&shared), Arc::clone(&filters)));
        let has_dev_traces = shared.chain.genesis().has_dev_traces();
        let (heavy, subscriptions) = (Semaphore::new(HEAVY_MAX), Arc::new(Semaphore::new(SUBSCRIPTIONS_MAX)));
        let transfers = Semaphore::new(TRANSFERS_MAX);
        let own = Arc::clone(&gauges);
        let module = module(Rpc { shared, duty, gauges: own, signer, filters, heavy, transfers, subscriptions })?;
        Ok(Self { module, gauges, has_dev_traces })
    }

    /// The methods alone.
    pub(crate) fn methods(&self) -> Methods {
        self.module.clone()
    }
}

/// A running server.
pub(crate) struct RpcServer {
    address: SocketAddr,
    handle: ServerHandle,
}

impl RpcServer {
    pub(crate) async fn start(address: SocketAddr, methods: NodeMethods) -> Result<Self, ServerError> {
        let NodeMethods { module, gauges, has_dev_traces } = methods;
        let probes = Probes(gauges);
        let cors = CorsLayer::new().allow_origin(Any).allow_methods(Any).allow_headers(Any);
        let config = ServerConfig::builder()
            .max_request_body_size(REQUEST_BYTES_MAX)
            .max_response_body_size(RESPONSE_BYTES_MAX)
            .max_connections(CONNECTIONS_MAX)
            .set_batch_request_config(BatchRequestConfig::Limit(BATCH_MAX))
            .max_subscriptions_per_connection(CONNECTION_SUBSCRIPTIONS_MAX)
            .set_message_buffer_capacity(SUBSCRIBER_BUFFER)
            .set_id_provider(SubscriptionIds::default())
            .build();
        let bound = ServerBuilder::with_config(config)
            .set_http_middleware(tower::ServiceBuilder::new().layer(cors).layer(probes).map_response(
                move |mut response: HttpResponse| {
                    if has_dev_traces {
                        response.headers_mut().insert(TRACES_HEADER, TRACES_OPEN);
                    }
                    response
                },
            ))
            .build(address)
            .await;
        let bind = |source| ServerError::Bind { address, source };
        let server = bound.map_err(bind)?;
        let address = server.local_addr().map_err(bind)?;
        Ok(Self { address, handle: server.start(module) })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn stop(self) {
        let _already = self.handle.stop();
        self.handle.stopped().await;
    }
}

/// Ids of subscriptions: hex strings, as Ethereum's clients need them. They count only within their connection.
#[derive(Debug, Default)]
struct SubscriptionIds(AtomicU64);

impl IdProvider for SubscriptionIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        SubscriptionId::Str(format!("{:#x}", self.0.fetch_add(1, Ordering::Relaxed) + 1).into())
    }
}

fn module(rpc: Rpc) -> Result<RpcModule<Rpc>, RegisterMethodError> {
    let mut module = RpcModule::new(rpc);
    eth::add(&mut module)?;
    calls::add(&mut module)?;
    answers::add(&mut module)?;
    simulate::add(&mut module)?;
    debug::add(&mut module)?;
    parity::add(&mut module)?;
    fees::add(&mut module)?;
    filter_methods::add(&mut module)?;
    subscriptions::add(&mut module)?;
    ours::add(&mut module)?;
    proofs::add(&mut module)?;
    sync::add(&mut module)?;
    Ok(module)
}

/// Adds a method that reads stores.
pub(super) fn method<R: Serialize + Clone + 'static>(
    module: &mut RpcModule<Rpc>,
    name: &'static str,
    call: fn(&Rpc, Params<'_>) -> Result<R, ErrorObjectOwned>,
) -> Result<(), RegisterMethodError> {
    let wrapped = move |params: Params<'_>, rpc: Arc<Rpc>, _: Extensions| call(&rpc, params);
    module.register_blocking_method(name, wrapped).map(|_| ())
}

/// Tells filters of transactions that enter the pool.
async fn watch_pool(shared: Arc<Shared>, filters: Arc<Mutex<Filters>>) {
    let mut entered = shared.entered.subscribe();
    drop(shared);
    loop {
        match entered.recv().await {
            Ok(hash) => filters.lock().unwrap_or_else(PoisonError::into_inner).pending(hash),
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}
