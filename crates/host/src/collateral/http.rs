//! Asking a vendor's service, or a registry: one request at a time over HTTPS or HTTP, every wait and every length bounded.
//!
//! Invariant: no answer comes from another host than the one that was named: redirects are followed only within one
//! origin, and few. What an answer says is judged elsewhere, by its signatures; the transport only keeps others from
//! withholding it.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::{Body, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};

/// Longest answer of a service, in bytes: above the bound of any part of a document.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Longest wait for a whole answer, connecting included.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Most redirects that one question follows.
const REDIRECTS_MAX: usize = 3;
/// Longest head of an answer that is read, in bytes: issuer chains travel in headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Longest pause that a service may ask for: a day.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(86_400);

/// Why a service gave no usable answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The text is no URL that can be asked.
    #[error("`{0}` is no address of a service: write https://HOST/… or http://HOST/…")]
    Url(String),
    /// A certificate to trust cannot be read.
    #[error("the certificates to trust for services cannot be used: {0}")]
    Authority(String),
    /// Nobody answers there.
    #[error("{url} cannot be reached: {source}")]
    Unreachable {
        /// What was asked.
        url: VendorUrl,
        /// What the system or the TLS engine said.
        source: std::io::Error,
    },
    /// The exchange broke.
    #[error("the exchange with {url} broke: {source}")]
    Broken {
        /// What was asked.
        url: VendorUrl,
        /// What the protocol engine said.
        source: hyper::Error,
    },
    /// It took longer than allowed.
    #[error("{url} did not answer within {limit:?}")]
    Timeout {
        /// What was asked.
        url: VendorUrl,
        /// The bound.
        limit: Duration,
    },
    /// The answer is longer than its bound.
    #[error("the answer of {url} is longer than {bound} bytes")]
    TooLarge {
        /// What was asked.
        url: VendorUrl,
        /// The bound.
        bound: usize,
    },
    /// It sends on to another host, or too often.
    #[error("{url} sends on to {to}, which is not followed")]
    Redirected {
        /// What was asked.
        url: VendorUrl,
        /// Where it sends to.
        to: String,
    },
    /// It has too much to do and says when to come back.
    #[error("{url} answered {status}; it asks to come back after {retry_after:?}")]
    Busy {
        /// What was asked.
        url: VendorUrl,
        /// Status.
        status: StatusCode,
        /// The pause it asks for, bounded by a day.
        retry_after: Duration,
    },
    /// It refused.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked.
        url: VendorUrl,
        /// Status.
        status: StatusCode,
    },
    /// The service did not answer, or was busy, earlier in this round.
    #[error("{url} is not asked in this round: its service gave no answer, or asked for a pause")]
    Skipped {
        /// What was not asked.
        url: VendorUrl,
    },
    /// The answer is not of the form that the service documents.
    #[error("the answer of {url} has no usable {part}")]
    Malformed {
        /// What was asked.
        url: VendorUrl,
        /// What is missing or garbled.
        part: &'static str,
    },
}

/// Address of a service or of one of its answers: `https://…` or `http://…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VendorUrl {
    is_https: bool,
    /// Host and port, as the `Host` header writes them.
    authority: String,
    /// Path and query, from the first `/`.
    path: String,
}

impl FromStr for VendorUrl {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Self, FetchError> {
        let wrong = || FetchError::Url(text.chars().take(200).collect());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().map(|authority| authority.as_str().to_ascii_lowercase());
        // Names and passwords have no place in an address that is logged.
        let authority = authority.filter(|authority| !authority.contains('@') && !authority.is_empty());
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { is_https, authority: authority.ok_or_else(wrong)?, path })
    }
}

impl fmt::Display for VendorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

impl VendorUrl {
    /// The address of something below this one. `path` opens with `/`.
    pub(crate) fn below(&self, path: &str) -> Self {
        Self { path: format!("{}{path}", self.path.trim_end_matches('/')), ..self.clone() }
    }

    /// The address of the service itself.
    pub(crate) fn origin(&self) -> Self {
        Self { path: "/".to_owned(), ..self.clone() }
    }

    fn host_and_port(&self) -> (String, u16) {
        let default = if self.is_https { 443 } else { 80 };
        let uri: Option<http::uri::Authority> = self.authority.parse().ok();
        let host = uri.as_ref().map_or(self.authority.as_str(), |authority| authority.host());
        let port = uri.as_ref().and_then(|authority| authority.port_u16()).unwrap_or(default);
        (host.trim_start_matches('[').trim_end_matches(']').to_owned(), port)
    }

    /// Whether it is asked over TLS.
    pub(crate) const fn is_https(&self) -> bool {
        self.is_https
    }

    /// The address with further fields of a query, whose values are encoded already.
    pub(crate) fn asking(&self, fields: &[(&str, String)]) -> Self {
        let mut path = self.path.clone();
        for (name, value) in fields {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(name);
            path.push('=');
            path.push_str(value);
        }
        Self { path, ..self.clone() }
    }

    /// Where an answer sends on to, if that is the same origin.
    pub(crate) fn redirected(&self, location: &str) -> Option<Self> {
        let target = if location.starts_with('/') && !location.starts_with("//") {
            let path: http::uri::PathAndQuery = location.parse().ok()?;
            Self { path: path.as_str().to_owned(), ..self.clone() }
        } else {
            location.parse().ok()?
        };
        (self.origin() == target.origin()).then_some(target)
    }
}

/// A good answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) url: VendorUrl,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn malformed(&self, part: &'static str) -> FetchError {
        FetchError::Malformed { url: self.url.clone(), part }
    }
}

/// A client of vendors' services.
#[derive(Clone)]
pub(crate) struct VendorClient {
    tls: TlsConnector,
    wait: Duration,
}

impl VendorClient {
    /// A client that trusts the public web's authorities, and those in `authorities` (PEM) where a private service has
    /// its own.
    pub(crate) fn new(authorities: Option<&[u8]>) -> Result<Self, FetchError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(text) = authorities {
            let blocks = pem::parse_many(text).map_err(|error| FetchError::Authority(error.to_string()))?;
            if blocks.is_empty() {
                return Err(FetchError::Authority("no certificate in PEM".to_owned()));
            }
            for block in blocks {
                let added = roots.add(CertificateDer::from(block.into_contents()));
                added.map_err(|error| FetchError::Authority(error.to_string()))?;
            }
        }
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("ring offers the default versions").with_root_certificates(roots);
        Ok(Self { tls: TlsConnector::from(Arc::new(config.with_no_client_auth())), wait: ANSWER_WAIT })
    }

    /// The same client with another bound on the wait.
    #[cfg(test)]
    pub(crate) const fn waiting(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The answer to a GET; only status 200 is good.
    pub(crate) async fn get(&self, url: &VendorUrl) -> Result<Answer, FetchError> {
        match timeout(self.wait, self.follow(url)).await {
            Ok(answer) => answer,
            Err(_) => Err(FetchError::Timeout { url: url.clone(), limit: self.wait }),
        }
    }

    /// Passes the answer to a GET on, piece by piece, as long as `take` says so. The first piece comes within the bound on
    /// waiting, and so does each that follows; the caller bounds the whole. No redirect is followed.
    pub(crate) async fn stream(&self, url: &VendorUrl, mut take: impl FnMut(&[u8]) -> bool) -> Result<(), FetchError> {
        let late = |_| FetchError::Timeout { url: url.clone(), limit: self.wait };
        let response = timeout(self.wait, self.exchange(url)).await.map_err(late)??;
        if response.status() != StatusCode::OK {
            return Err(refusal(url, response.status(), response.headers()));
        }
        let mut body = response.into_body();
        while let Some(frame) = timeout(self.wait, body.frame()).await.map_err(late)? {
            let frame = frame.map_err(|source| FetchError::Broken { url: url.clone(), source })?;
            if let Ok(data) = frame.into_data()
                && !take(&data)
            {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn follow(&self, url: &VendorUrl) -> Result<Answer, FetchError> {
        let mut at = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.exchange(&at).await?;
            let head: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
            if head > HEAD_BYTES_MAX {
                return Err(FetchError::TooLarge { url: url.clone(), bound: HEAD_BYTES_MAX });
            }
            let status = response.status();
            if status.is_redirection() {
                let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
                let refused = || FetchError::Redirected { url: url.clone(), to: to.chars().take(200).collect() };
                at = at.redirected(to).ok_or_else(refused)?;
                continue;
            }
            if status == StatusCode::OK {
                return read(url, response).await;
            }
            return Err(refusal(url, status, response.headers()));
        }
        Err(FetchError::Redirected { url: url.clone(), to: at.to_string() })
    }

    async fn exchange(&self, url: &VendorUrl) -> Result<http::Response<Incoming>, FetchError> {
        let request = Request::get("/").body(Empty::<Bytes>::new()).map_err(|_| FetchError::Url(url.to_string()))?;
        self.send(url, request).await
    }

    /// Sends a request to an address, whatever path it has, and gives the head of the answer. The caller bounds the wait, and
    /// follows where it sends on.
    pub(crate) async fn send<B>(
        &self,
        url: &VendorUrl,
        request: Request<B>,
    ) -> Result<http::Response<Incoming>, FetchError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let unreachable = |source| FetchError::Unreachable { url: url.clone(), source };
        let (host, port) = url.host_and_port();
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(unreachable)?;
        if !url.is_https {
            return ask(url, stream, request).await;
        }
        let name = ServerName::try_from(host).map_err(|_| FetchError::Url(url.to_string()))?;
        ask(url, self.tls.connect(name, stream).await.map_err(unreachable)?, request).await
    }
}

async fn ask<S, B>(url: &VendorUrl, stream: S, request: Request<B>) -> Result<http::Response<Incoming>, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let broken = |source| FetchError::Broken { url: url.clone(), source };
    let wrong = || FetchError::Url(url.to_string());
    let handshake = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(broken)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to a service ended");
        }
    });
    let (mut head, body) = request.into_parts();
    head.uri = url.path.parse().map_err(|_| wrong())?;
    let host = HeaderValue::from_str(&url.authority).map_err(|_| wrong())?;
    head.headers.insert(header::HOST, host);
    let agent = concat!("freehold/", env!("CARGO_PKG_VERSION"));
    head.headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    sender.send_request(Request::from_parts(head, body)).await.map_err(broken)
}

async fn read(url: &VendorUrl, response: http::Response<Incoming>) -> Result<Answer, FetchError> {
    let (head, mut body) = response.into_parts();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| FetchError::Broken { url: url.clone(), source })?;
        let Ok(data) = frame.into_data() else { continue };
        if all.len() + data.len() > ANSWER_BYTES_MAX {
            return Err(FetchError::TooLarge { url: url.clone(), bound: ANSWER_BYTES_MAX });
        }
        all.extend_from_slice(&data);
    }
    Ok(Answer { url: url.clone(), headers: head.headers, body: all.freeze() })
}

/// What a status other than 200 means. Without a number of seconds there is no pause to keep to.
fn refusal(url: &VendorUrl, status: StatusCode, headers: &HeaderMap) -> FetchError {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    match seconds.map(Duration::from_secs) {
        Some(pause) if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
            FetchError::Busy { url: url.clone(), status, retry_after: pause.min(RETRY_AFTER_MAX) }
        }
        _ => FetchError::Status { url: url.clone(), status },
    }
}
