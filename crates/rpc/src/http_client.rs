//! A small HTTP/1.1 client over TCP and UNIX sockets: streaming both ways, every wait and every length bounded.
//!
//! Idle connections are kept and used again. A request is sent a second time only when the connection gave it back
//! unsent. Redirects are not followed.

use std::{
    io,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::{
    net::{TcpStream, UnixStream},
    sync::mpsc,
    time::timeout,
};

use crate::endpoint::Endpoint;

/// Idle connections kept for one endpoint.
const IDLE_MAX: usize = 4;
/// Longest part of a refusal's body that an error keeps, in bytes.
const REFUSAL_BYTES_MAX: usize = 4 * 1024;

/// Why no good answer came.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Nobody listens there.
    #[error("nothing answers at {endpoint}: {source}")]
    Unreachable {
        /// Where.
        endpoint: Endpoint,
        /// What the system said.
        source: io::Error,
    },
    /// It took longer than allowed.
    #[error("{endpoint} took longer than {limit:?} to {what}")]
    Timeout {
        /// Where.
        endpoint: Endpoint,
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The connection broke inside the exchange.
    #[error("the connection to {endpoint} broke: {source}")]
    Broken {
        /// Where.
        endpoint: Endpoint,
        /// What the protocol engine said.
        source: hyper::Error,
    },
    /// The answer is longer than its bound.
    #[error("the answer of {endpoint} is longer than {bound} bytes")]
    TooLarge {
        /// Where.
        endpoint: Endpoint,
        /// The bound.
        bound: usize,
    },
    /// The server refused.
    #[error("{endpoint} answered {status}: {body}")]
    Refused {
        /// Where.
        endpoint: Endpoint,
        /// Status.
        status: StatusCode,
        /// Start of the body.
        body: String,
    },
    /// The answer is no JSON of the expected shape.
    #[error("the answer of {endpoint} cannot be read: {source}")]
    Malformed {
        /// Where.
        endpoint: Endpoint,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The request cannot be formed: a path or header with forbidden bytes.
    #[error("the request cannot be formed: {0}")]
    Request(#[from] http::Error),
    /// The request's body cannot be written as JSON.
    #[error("the request's body cannot be written: {0}")]
    RequestBody(serde_json::Error),
}

/// Body of a request.
pub type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is whole.
pub fn full_body(bytes: impl Into<Bytes>) -> RequestBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that is streamed from a channel; dropping the sender ends it.
pub fn stream_body(chunks: mpsc::Receiver<Result<Bytes, io::Error>>) -> RequestBody {
    ChannelBody(chunks).boxed_unsync()
}

struct ChannelBody(mpsc::Receiver<Result<Bytes, io::Error>>);

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = io::Error;
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx).map(|item| item.map(|chunk| chunk.map(Frame::data)))
    }
}

/// Bounds of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Longest wait for a connection.
    pub connect: Duration,
    /// Longest wait for the head of an answer.
    pub head: Duration,
    /// Longest pause inside a body.
    pub pause: Duration,
    /// Longest body, in bytes.
    pub body_bytes_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            head: Duration::from_secs(30),
            pause: Duration::from_secs(30),
            body_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// A client of one endpoint. Cloning shares the idle connections.
#[derive(Debug, Clone)]
pub struct HttpClient {
    endpoint: Endpoint,
    limits: HttpLimits,
    idle: Arc<Mutex<Vec<SendRequest<RequestBody>>>>,
}

impl HttpClient {
    /// A client with the default bounds.
    pub fn new(endpoint: Endpoint) -> Self {
        Self::with_limits(endpoint, HttpLimits::default())
    }

    /// A client with bounds of the caller's.
    pub fn with_limits(endpoint: Endpoint, limits: HttpLimits) -> Self {
        Self { endpoint, limits, idle: Arc::default() }
    }

    /// Where it sends to.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a request whose URI is a path; the `Host` header is set here. Any status is an answer.
    ///
    /// # Errors
    /// [`HttpError::Unreachable`], [`HttpError::Timeout`], [`HttpError::Broken`].
    pub async fn send(&self, mut request: Request<RequestBody>) -> Result<HttpResponse, HttpError> {
        let host = http::HeaderValue::from_str(&self.endpoint.authority()).map_err(http::Error::from)?;
        request.headers_mut().insert(header::HOST, host);
        let mut request = request;
        while let Some(sender) = self.take_idle() {
            match self.exchange(sender, request).await? {
                Sent::Answered(response) => return Ok(response),
                Sent::Returned(unsent) => request = unsent,
            }
        }
        let sender = self.connect().await?;
        match self.exchange(sender, request).await? {
            Sent::Answered(response) => Ok(response),
            Sent::Returned(_) => Err(self.unreachable(io::ErrorKind::ConnectionReset.into())),
        }
    }

    /// `GET` of a path, answered with JSON.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, HttpError> {
        let request = Request::get(path).body(full_body(Bytes::new()))?;
        self.send(request).await?.success().await?.json().await
    }

    /// `POST` of JSON to a path, answered with JSON.
    ///
    /// # Errors
    /// Any [`HttpError`].
    pub async fn post_json<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, HttpError> {
        let body = serde_json::to_vec(body).map_err(HttpError::RequestBody)?;
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json").body(full_body(body))?;
        self.send(request).await?.success().await?.json().await
    }

    fn unreachable(&self, source: io::Error) -> HttpError {
        HttpError::Unreachable { endpoint: self.endpoint.clone(), source }
    }

    fn late(&self, what: &'static str, limit: Duration) -> HttpError {
        HttpError::Timeout { endpoint: self.endpoint.clone(), what, limit }
    }

    fn take_idle(&self) -> Option<SendRequest<RequestBody>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|sender| !sender.is_closed());
        let place = idle.iter().position(SendRequest::is_ready)?;
        Some(idle.swap_remove(place))
    }

    fn keep(&self, sender: SendRequest<RequestBody>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX && !sender.is_closed() {
            idle.push(sender);
        }
    }

    async fn connect(&self) -> Result<SendRequest<RequestBody>, HttpError> {
        let limit = self.limits.connect;
        let opened = timeout(limit, async {
            match &self.endpoint {
                Endpoint::Tcp { host, port } => {
                    let host = host.trim_start_matches('[').trim_end_matches(']');
                    let stream = TcpStream::connect((host, *port)).await.map_err(Opening::System)?;
                    stream.set_nodelay(true).map_err(Opening::System)?;
                    handshake(TokioIo::new(stream)).await
                }
                Endpoint::Unix(path) => handshake(TokioIo::new(connect_unix(path).await?)).await,
            }
        });
        match opened.await {
            Ok(Ok(sender)) => Ok(sender),
            Ok(Err(Opening::System(source))) => Err(self.unreachable(source)),
            Ok(Err(Opening::Protocol(source))) => Err(HttpError::Broken { endpoint: self.endpoint.clone(), source }),
            Err(_) => Err(self.late("accept a connection", limit)),
        }
    }

    async fn exchange(
        &self,
        mut sender: SendRequest<RequestBody>,
        request: Request<RequestBody>,
    ) -> Result<Sent, HttpError> {
        let limit = self.limits.head;
        match timeout(limit, sender.try_send_request(request)).await {
            Err(_) => Err(self.late("answer", limit)),
            Ok(Ok(response)) => {
                self.keep(sender);
                let (head, body) = response.into_parts();
                Ok(Sent::Answered(HttpResponse {
                    status: head.status,
                    headers: head.headers,
                    body: HttpBody { body, read: 0, endpoint: self.endpoint.clone(), limits: self.limits },
                }))
            }
            Ok(Err(mut failed)) => match failed.take_message() {
                Some(unsent) => Ok(Sent::Returned(unsent)),
                None => Err(HttpError::Broken { endpoint: self.endpoint.clone(), source: failed.into_error() }),
            },
        }
    }
}

enum Sent {
    Answered(HttpResponse),
    Returned(Request<RequestBody>),
}

enum Opening {
    System(io::Error),
    Protocol(hyper::Error),
}

async fn connect_unix(path: &Path) -> Result<UnixStream, Opening> {
    UnixStream::connect(path).await.map_err(Opening::System)
}

async fn handshake<T>(io: TokioIo<T>) -> Result<SendRequest<RequestBody>, Opening>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(io).await.map_err(Opening::Protocol)?;
    // The task ends with the connection; what goes wrong in it, the exchange under way reports.
    tokio::spawn(async move { connection.await.is_ok() });
    Ok(sender)
}

/// Head of an answer, and its body to be read.
#[derive(Debug)]
pub struct HttpResponse {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: HttpBody,
}

impl HttpResponse {
    /// The answer, if its status is 2xx.
    ///
    /// # Errors
    /// [`HttpError::Refused`] with the start of the body.
    pub async fn success(self) -> Result<Self, HttpError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let (endpoint, status) = (self.body.endpoint.clone(), self.status);
        let mut text = self.body.bytes().await.unwrap_or_default();
        text.truncate(REFUSAL_BYTES_MAX);
        Err(HttpError::Refused { endpoint, status, body: String::from_utf8_lossy(&text).into_owned() })
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`HttpError::Timeout`], [`HttpError::Broken`], [`HttpError::TooLarge`].
    pub async fn bytes(self) -> Result<Bytes, HttpError> {
        self.body.bytes().await
    }

    /// The whole body, as JSON.
    ///
    /// # Errors
    /// As [`Self::bytes`], and [`HttpError::Malformed`].
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, HttpError> {
        let endpoint = self.body.endpoint.clone();
        let bytes = self.body.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|source| HttpError::Malformed { endpoint, source })
    }
}

/// Body of an answer, read in pieces.
#[derive(Debug)]
pub struct HttpBody {
    body: Incoming,
    read: usize,
    endpoint: Endpoint,
    limits: HttpLimits,
}

impl HttpBody {
    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`HttpError::Timeout`], [`HttpError::Broken`], [`HttpError::TooLarge`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let frame = timeout(self.limits.pause, self.body.frame()).await.map_err(|_| HttpError::Timeout {
                endpoint: self.endpoint.clone(),
                what: "send the next piece",
                limit: self.limits.pause,
            })?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|source| HttpError::Broken { endpoint: self.endpoint.clone(), source })?;
            // Trailers carry nothing for us.
            let Ok(data) = frame.into_data() else { continue };
            self.read = self.read.saturating_add(data.len());
            if self.read > self.limits.body_bytes_max {
                let bound = self.limits.body_bytes_max;
                return Err(HttpError::TooLarge { endpoint: self.endpoint.clone(), bound });
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    /// The rest of the body.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn bytes(mut self) -> Result<Bytes, HttpError> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }
}
