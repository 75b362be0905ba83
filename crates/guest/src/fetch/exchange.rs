//! One exchange: through the host's gate, TLS inside, a request, its response to the end.

use std::{io, path::Path};

use bytes::{Bytes, BytesMut};
use freehold_primitives::{FetchMethod, UnixSeconds};
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};
use tokio_rustls::{client::TlsStream, rustls::pki_types::ServerName};

use super::{ask::Asked, error::FetchError, tls};

/// Longest answer of the gate, in bytes.
const GATE_BYTES_MAX: usize = 4 * 1024;
/// Longest head of a response, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Largest chain of certificates, in bytes.
const CHAIN_BYTES_MAX: usize = 64 * 1024;

/// What came.
pub(super) struct Response {
    pub(super) status: u16,
    /// What is no text is left out.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    /// DER, the server's own first.
    pub(super) certificates: Vec<Vec<u8>>,
}

/// Makes the exchange. The caller bounds its time.
pub(super) async fn run(gate: &Path, asked: &Asked, judged_at: UnixSeconds) -> Result<Response, FetchError> {
    let connector = tls::connector(&asked.roots, judged_at)?;
    let name = ServerName::try_from(asked.url.host.clone());
    let name = name.map_err(|_| FetchError::Ask("the host of `url` is no name and no address"))?;
    let through = pass(gate, &asked.url.target()).await?;
    let stream = connector.connect(name, through).await.map_err(FetchError::Tls)?;
    let certificates = certificates(&stream)?;
    let response = ask(stream, asked).await?;
    let (head, body) = response.into_parts();
    let headers = head.headers.iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    Ok(Response {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body: read(body, asked.body_bytes_max).await?,
        certificates,
    })
}

/// Asks the gate for a way to a host. What it answers is believed for nothing but errors.
pub(crate) async fn pass(gate: &Path, target: &str) -> Result<UnixStream, FetchError> {
    let unreachable = |error: io::Error| FetchError::Unreachable(target.to_owned(), error.to_string());
    let mut stream = UnixStream::connect(gate).await.map_err(unreachable)?;
    let request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(unreachable)?;
    let mut head = Vec::new();
    // Byte by byte: what stands behind the head is the server's.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= GATE_BYTES_MAX {
            return Err(unreachable(io::ErrorKind::InvalidData.into()));
        }
        head.push(stream.read_u8().await.map_err(unreachable)?);
    }
    let head = String::from_utf8_lossy(&head);
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or_default();
    let refusal = head.lines().find_map(|line| line.strip_prefix("freehold-refusal: ")).unwrap_or("no reason given");
    let (target, refusal) = (target.to_owned(), refusal.to_owned());
    match status {
        "200" => Ok(stream),
        "403" => Err(FetchError::Denied(target, refusal)),
        "503" => Err(FetchError::Busy),
        _ => Err(FetchError::Unreachable(target, refusal)),
    }
}

fn certificates(stream: &TlsStream<UnixStream>) -> Result<Vec<Vec<u8>>, FetchError> {
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    if shown.is_empty() || shown.iter().map(|one| one.len()).sum::<usize>() > CHAIN_BYTES_MAX {
        return Err(FetchError::Tls(io::ErrorKind::InvalidData.into()));
    }
    Ok(shown.iter().map(|one| one.to_vec()).collect())
}

async fn ask(stream: TlsStream<UnixStream>, asked: &Asked) -> Result<http::Response<Incoming>, FetchError> {
    let handshake = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(FetchError::Broken)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection of a fetch ended");
        }
    });
    let method = match asked.method {
        FetchMethod::Get => http::Method::GET,
        FetchMethod::Post => http::Method::POST,
    };
    let mut request = Request::builder()
        .method(method)
        .uri(&asked.url.path)
        .header(header::HOST, asked.url.authority())
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close");
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    let body = Full::new(Bytes::from(asked.body.clone().unwrap_or_default()));
    let request = request.body(body).map_err(|_| FetchError::Ask("the request cannot be formed"))?;
    sender.send_request(request).await.map_err(FetchError::Broken)
}

/// The whole body: one that is cut off is an error of the exchange, so no record is made of a part.
async fn read(mut body: Incoming, bytes_max: u64) -> Result<Bytes, FetchError> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(FetchError::Broken)?.into_data() else { continue };
        if (all.len() + data.len()) as u64 > bytes_max {
            return Err(FetchError::TooLarge(bytes_max));
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}
