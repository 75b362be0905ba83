//! HTTP of an ACME client over the app's own way out: the host's gate, TLS inside, one connection for each request.

use std::{io, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use freehold_primitives::UnixSeconds;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::fetch::{connector, pass};

/// Longest exchange.
const EXCHANGE_WAIT: Duration = Duration::from_secs(30);
/// Largest body of an answer, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Port of HTTPS.
const HTTPS: u16 = 443;

/// Reads certified time.
pub(super) type Now = Arc<dyn Fn() -> Option<UnixSeconds> + Send + Sync>;

/// The way to an authority.
#[derive(Clone)]
pub(super) struct GateClient {
    /// Socket of the host's gate.
    pub(super) gate: PathBuf,
    /// Roots of the authority's own TLS, DER; those of the web where empty.
    pub(super) roots: Arc<Vec<Vec<u8>>>,
    pub(super) now: Now,
}

impl HttpClient for GateClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let answer = timeout(EXCHANGE_WAIT, client.exchange(request)).await;
            let answer = answer.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
            answer.map(BytesResponse::from).map_err(Error::Other)
        })
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl GateClient {
    async fn exchange(&self, request: Request<BodyWrapper<Bytes>>) -> Result<Response<Full<Bytes>>, Failure> {
        let (mut parts, body) = request.into_parts();
        let uri = parts.uri.clone();
        let (Some("https"), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err("the authority names an address that is no https".into());
        };
        let port = uri.port_u16().unwrap_or(HTTPS);
        let judged_at = (self.now)().ok_or("the time is not known yet")?;
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let through = pass(&self.gate, &format!("{host}:{port}")).await?;
        let stream = connector(&self.roots, judged_at)?.connect(ServerName::try_from(name)?, through).await?;
        let handshake = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the authority ended");
            }
        });
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        parts.headers.insert(header::HOST, authority.parse()?);
        parts.headers.insert(header::CONNECTION, "close".parse()?);
        parts.uri = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
        let body = body.collect().await?.to_bytes();
        let answer = sender.send_request(Request::from_parts(parts, Full::new(body))).await?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await?.to_bytes();
        Ok(Response::from_parts(parts, Full::new(body)))
    }
}
