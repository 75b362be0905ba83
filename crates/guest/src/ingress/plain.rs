//! Plain HTTP of the app's domains, where the manifest asks for `http-01`: an authority's question (RFC 8555 §8.3) is answered by
//! any instance of the app, and everybody else is told that TLS is spoken here. Nothing of it reaches the app.
//!
//! The answer to a question is its token and the thumbprint of the account key, which all instances have: so none needs to know
//! which of them ordered. It helps no other account: an authority compares the thumbprint with that of whoever asked it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Ingress;

/// Longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Where authorities ask.
const QUESTIONS: &str = "/.well-known/acme-challenge/";
/// Longest token, in characters; Let's Encrypt's have 43.
const TOKEN_MAX: usize = 128;

/// Reads one request and answers it. The caller bounds its time.
pub(super) async fn answer(ingress: &Ingress, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(stream.read_u8().await?);
    }
    let said = std::str::from_utf8(&head).ok().and_then(|head| reply(ingress, head));
    let said = said.unwrap_or_else(|| written("404 Not Found", "", ""));
    stream.write_all(said.as_bytes()).await?;
    stream.shutdown().await
}

/// What is said to a request of a domain; `None` where it is none.
fn reply(ingress: &Ingress, head: &str) -> Option<String> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if !matches!(method, "GET" | "HEAD") || !is_path || !words.next()?.starts_with("HTTP/1.") {
        return None;
    }
    let host = lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("host"))?.1;
    let host = host.trim().split(':').next()?.to_ascii_lowercase();
    let domain = ingress.config.domains.iter().find(|domain| **domain == host)?;
    let Some(token) = path.strip_prefix(QUESTIONS) else {
        return Some(written("301 Moved Permanently", &format!("location: https://{domain}{path}\r\n"), ""));
    };
    let is_token = (1..=TOKEN_MAX).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let thumbprint = ingress.thumbprint().filter(|_| is_token)?;
    let said = format!("{token}.{thumbprint}");
    Some(written("200 OK", "content-type: application/octet-stream\r\n", if method == "GET" { &said } else { "" }))
}

fn written(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
}
