//! The app's public HTTP server, on a UNIX socket that the host relays to.
//!
//! It knows the guest's local API and nothing else of Freehold: no keys, no chain. Everything it reads is bounded here.

mod aci;
mod chat;
mod error;
mod exchange;
mod queue;
mod request;

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::{Request, State},
    http::HeaderValue,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use freehold_primitives::ACI_VERSION;
use freehold_rpc::{Endpoint, EndpointError, HttpError, InstanceInfo, LocalClient};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use thiserror::Error;
use tokio::{
    net::{UnixListener, UnixStream},
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, watch},
    task::JoinSet,
};

pub use queue::QUEUE_MAX;
pub use request::{MESSAGES_MAX, STOP_BYTES_MAX, STOPS_MAX};

use crate::engine::{CONTEXT_DEFAULT, Engine, EngineError};
use error::ApiError;
use queue::Queue;

/// Largest request body after decryption, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// What encryption may add to a body: lengths and tags of its chunks.
const ENCRYPTION_OVERHEAD_MAX: usize = 96 * 1024;
/// Connections served at a time.
pub const CONNECTIONS_MAX: usize = 256;
/// Tokens between two running hashes of an answer's text.
pub const STREAM_INTERVAL_TOKENS: u32 = 32;
/// Longest that the head of a request may take.
const HEAD_WAIT: Duration = Duration::from_secs(15);
/// Longest that a body may take.
const BODY_WAIT: Duration = Duration::from_secs(30);
/// Longest that a reader of a stream may take nothing.
const STALL_WAIT: Duration = Duration::from_secs(60);
/// Longest wait for the guest at the start.
const GUEST_WAIT: Duration = Duration::from_secs(60);
/// Pause between two looks for the guest.
const GUEST_PAUSE: Duration = Duration::from_millis(100);
/// Longest wait for running answers at the end.
const DRAIN_WAIT: Duration = Duration::from_secs(5);
/// `Retry-After` of a full queue, in seconds.
const RETRY_AFTER_S: u32 = 2;

/// How the app is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Socket of the guest's local API.
    pub local_socket: PathBuf,
    /// Socket to listen on.
    pub listen_socket: PathBuf,
    /// The model file.
    pub model_path: PathBuf,
    /// Name under which it answers: a known model's, or the file's stem.
    pub model_name: String,
    /// Longest prompt and answer together, in tokens; `None` is [`CONTEXT_DEFAULT`].
    pub context: Option<usize>,
    /// Generations at a time. Each uses all threads of the kernels in turn; one is best on few cores.
    pub workers: usize,
}

/// Why the app cannot serve.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The model cannot be loaded.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A socket path is too long.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The guest did not answer.
    #[error("the guest agent did not answer within {GUEST_WAIT:?}")]
    Guest(#[source] HttpError),
    /// Another process listens on the socket.
    #[error("another process listens on {path}; stop it or choose another socket")]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be made, or threads cannot be started.
    #[error("cannot serve on {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What all handlers share.
struct Service {
    engine: Arc<Engine>,
    local: LocalClient,
    queue: Queue,
    started_unix_s: u64,
    /// `X-ACI-Keyset-Digest`, as last seen.
    keyset_digest: RwLock<HeaderValue>,
}

impl Service {
    /// The instance's description, fresh from the guest; keeps the header in step with it.
    async fn instance(&self) -> Result<InstanceInfo, HttpError> {
        let instance = self.local.instance().await?;
        *self.keyset_digest.write().unwrap_or_else(PoisonError::into_inner) = digest_header(&instance);
        Ok(instance)
    }
}

fn digest_header(instance: &InstanceInfo) -> HeaderValue {
    HeaderValue::from_str(&format!("sha256:{}", instance.keyset_digest)).expect("hex is a header value")
}

/// Loads the model and serves until SIGTERM or SIGINT; then answers under way get a few seconds to end.
///
/// # Errors
/// Any [`ServeError`].
pub fn run(config: Config) -> Pin<Box<dyn Future<Output = Result<(), ServeError>> + Send>> {
    // Boxed, so that server and engine are compiled once, with this crate, and not in every program that awaits it.
    Box::pin(serve(config))
}

async fn serve(config: Config) -> Result<(), ServeError> {
    let io_fault = |source| ServeError::Io { path: config.listen_socket.clone(), source };
    let mut terminate = signal(SignalKind::terminate()).map_err(io_fault)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io_fault)?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(stopped);
    let (path, name) = (config.model_path.clone(), config.model_name.clone());
    let context = config.context.unwrap_or(CONTEXT_DEFAULT);
    let loading = tokio::task::spawn_blocking(move || Engine::load(&path, &name, context));
    let engine = tokio::select! {
        loaded = loading => loaded.map_err(|error| io_fault(io::Error::other(error)))??,
        () = &mut stopped => return Ok(()),
    };
    let local = LocalClient::new(Endpoint::unix(&config.local_socket)?);
    let instance = tokio::select! {
        instance = wait_for_guest(&local) => instance?,
        () = &mut stopped => return Ok(()),
    };
    let engine = Arc::new(engine);
    let queue = Queue::start(&engine, config.workers).map_err(io_fault)?;
    let service = Arc::new(Service {
        engine,
        local,
        queue,
        started_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs()),
        keyset_digest: RwLock::new(digest_header(&instance)),
    });
    let listener = listen(&config.listen_socket).await?;
    tracing::info!(socket = %config.listen_socket.display(), "inference serves");
    accept(listener, router(service), stopped).await;
    // The next start removes a socket that stays behind.
    let _ = std::fs::remove_file(&config.listen_socket);
    Ok(())
}

async fn wait_for_guest(local: &LocalClient) -> Result<InstanceInfo, ServeError> {
    let deadline = tokio::time::Instant::now() + GUEST_WAIT;
    loop {
        match local.instance().await {
            Ok(instance) => return Ok(instance),
            Err(error) if tokio::time::Instant::now() >= deadline => return Err(ServeError::Guest(error)),
            Err(_) => tokio::time::sleep(GUEST_PAUSE).await,
        }
    }
}

/// Binds the socket, for this user only; a socket that nobody listens on is replaced.
async fn listen(path: &Path) -> Result<UnixListener, ServeError> {
    let fault = |source| ServeError::Io { path: path.to_owned(), source };
    Endpoint::unix(path)?;
    if UnixStream::connect(path).await.is_ok() {
        return Err(ServeError::Taken { path: path.to_owned() });
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(fault)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(fault)?;
    Ok(listener)
}

fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat::handle))
        .route("/v1/models", get(aci::models))
        .route("/v1/models/{id}", get(aci::model))
        .route("/.well-known/hpke-keys", get(aci::hpke_keys))
        .route("/v1/aci/attestation", get(aci::attestation))
        .route("/v1/aci/receipts/{id}", get(aci::receipt))
        .route("/v1/freehold/receipts/{id}/inclusion", get(aci::inclusion))
        .route("/health", get(aci::health))
        .fallback(async || ApiError::not_found("Nothing is served at this path.").into_response())
        .method_not_allowed_fallback(async || {
            let mut error = ApiError::malformed("This path does not take this method.");
            error.status = axum::http::StatusCode::METHOD_NOT_ALLOWED;
            error.into_response()
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&service), mark))
        .with_state(service)
}

/// ACI's headers on every response.
async fn mark(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert("x-aci-version", HeaderValue::from_static(ACI_VERSION));
    let digest = service.keyset_digest.read().unwrap_or_else(PoisonError::into_inner).clone();
    headers.insert("x-aci-keyset-digest", digest);
    response
}

/// Serves connections until `stopped`, then lets the open ones end.
async fn accept(listener: UnixListener, router: Router, stopped: impl Future<Output = ()>) {
    tokio::pin!(stopped);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (closing, closed) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = &mut stopped => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (router, closed) = (router.clone(), closed.clone());
                connections.spawn(async move {
                    serve_connection(stream, router, closed).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(closing);
    let _ = tokio::time::timeout(DRAIN_WAIT, async { while connections.join_next().await.is_some() {} }).await;
}

async fn serve_connection(stream: UnixStream, router: Router, mut closed: watch::Receiver<()>) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT);
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        // The sender is dropped when the app stops.
        _ = closed.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
