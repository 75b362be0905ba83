//! What is asked at the gate: the head of a `CONNECT`, or a SOCKS 5 negotiation; read byte by byte, bounded, strictly.
//!
//! One ask for each connection. What could be read in two ways (a body, another host in `Host`, bare line ends, folded lines)
//! is refused, so that no two readers see different targets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use freehold_bundle::HostName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::rules::Refusal;

/// Longest head of a `CONNECT`, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// First byte of SOCKS 5.
const SOCKS: u8 = 5;

/// Which way of asking, and so of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    Http,
    Socks,
}

/// Where somebody wants to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: HostName,
    pub(super) port: u16,
}

/// A stream that asks.
pub(super) trait Asking: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Asking for T {}

/// Reads an ask to its end and not a byte further. `None` where the other side is gone.
pub(super) async fn read(stream: &mut impl Asking) -> Option<(Speech, Result<Target, Refusal>)> {
    let first = stream.read_u8().await.ok()?;
    if first == SOCKS {
        return Some((Speech::Socks, socks(stream).await?));
    }
    let mut head = vec![first];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Some((Speech::Http, Err(Refusal::Malformed)));
        }
        head.push(stream.read_u8().await.ok()?);
    }
    Some((Speech::Http, connect(&head)))
}

/// Answers an ask: the way is open, or why it is not.
pub(super) async fn answer(stream: &mut impl Asking, speech: Speech, outcome: Result<(), Refusal>) -> bool {
    let bytes = match speech {
        Speech::Http => http_answer(outcome).into_bytes(),
        Speech::Socks => vec![SOCKS, socks_code(outcome), 0, 1, 0, 0, 0, 0, 0, 0],
    };
    stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok()
}

fn http_answer(outcome: Result<(), Refusal>) -> String {
    let status = match outcome {
        Ok(()) => return "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
        Err(Refusal::Malformed) => "400 Bad Request",
        Err(Refusal::Method) => "405 Method Not Allowed\r\nallow: CONNECT",
        Err(Refusal::NotListed | Refusal::NotPublic) => "403 Forbidden",
        Err(Refusal::Unreachable) => "502 Bad Gateway",
        Err(Refusal::Timeout) => "504 Gateway Timeout",
    };
    let word = outcome.err().map_or("", Refusal::as_str);
    format!("HTTP/1.1 {status}\r\nfreehold-refusal: {word}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

/// Reply fields of RFC 1928 §6.
const fn socks_code(outcome: Result<(), Refusal>) -> u8 {
    match outcome {
        Ok(()) => 0,
        Err(Refusal::Malformed) => 1,
        Err(Refusal::NotListed | Refusal::NotPublic) => 2,
        Err(Refusal::Unreachable) => 4,
        Err(Refusal::Timeout) => 6,
        Err(Refusal::Method) => 7,
    }
}

fn connect(head: &[u8]) -> Result<Target, Refusal> {
    let head = std::str::from_utf8(head).map_err(|_| Refusal::Malformed)?;
    let head = head.strip_suffix("\r\n\r\n").ok_or(Refusal::Malformed)?;
    let mut lines = head.split("\r\n");
    let request = lines.next().unwrap_or_default();
    let words: Vec<&str> = request.split(' ').collect();
    let &[method, authority, version] = words.as_slice() else { return Err(Refusal::Malformed) };
    if version != "HTTP/1.1" && version != "HTTP/1.0" {
        return Err(Refusal::Malformed);
    }
    if method != "CONNECT" {
        return Err(Refusal::Method);
    }
    let target = authority_of(authority).ok_or(Refusal::Malformed)?;
    for line in lines {
        header(line, &target)?;
    }
    Ok(target)
}

/// A line of the head. Of its headers only those count that could make it another ask.
fn header(line: &str, target: &Target) -> Result<(), Refusal> {
    let is_text = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    let (name, value) = line.split_once(':').ok_or(Refusal::Malformed)?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_name || !value.bytes().all(is_text) {
        return Err(Refusal::Malformed);
    }
    if name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding") {
        return Err(Refusal::Malformed);
    }
    if name.eq_ignore_ascii_case("host") {
        let value = value.trim();
        // Some clients leave the port out.
        let same_host = HostName::parse(value.trim_start_matches('[').trim_end_matches(']'));
        let is_same = authority_of(value).is_some_and(|host| host == *target)
            || same_host.is_some_and(|host| host == target.host);
        if !is_same {
            return Err(Refusal::Malformed);
        }
    }
    Ok(())
}

/// `HOST:PORT`, an IPv6 address in brackets.
fn authority_of(text: &str) -> Option<Target> {
    let (host, digits) = text.rsplit_once(':')?;
    let port = digits.parse().ok().filter(|port| *port != 0 && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(address) => HostName::Address(IpAddr::V6(address.parse().ok()?)),
        None => HostName::parse(host).filter(|host| !matches!(host, HostName::Address(IpAddr::V6(_))))?,
    };
    Some(Target { host, port })
}

/// A negotiation without authentication, then a request. `None` where the other side is gone.
async fn socks(stream: &mut impl Asking) -> Option<Result<Target, Refusal>> {
    let mut methods = vec![0; usize::from(stream.read_u8().await.ok()?)];
    stream.read_exact(&mut methods).await.ok()?;
    if !methods.contains(&0) {
        // No method that is offered is acceptable (RFC 1928 §3).
        let _ = stream.write_all(&[SOCKS, 0xff]).await;
        return None;
    }
    stream.write_all(&[SOCKS, 0]).await.ok()?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await.ok()?;
    let [version, command, reserved, kind] = request;
    let host = match kind {
        1 => Some(HostName::Address(Ipv4Addr::from_bits(stream.read_u32().await.ok()?).into())),
        3 => {
            let mut name = vec![0; usize::from(stream.read_u8().await.ok()?)];
            stream.read_exact(&mut name).await.ok()?;
            std::str::from_utf8(&name).ok().and_then(HostName::parse)
        }
        4 => Some(HostName::Address(Ipv6Addr::from_bits(stream.read_u128().await.ok()?).into())),
        _ => return Some(Err(Refusal::Malformed)),
    };
    let port = stream.read_u16().await.ok()?;
    Some(match (version, command, reserved, host) {
        (SOCKS, 1, 0, Some(host)) if port != 0 => Ok(Target { host, port }),
        (SOCKS, 2..=3, ..) => Err(Refusal::Method),
        _ => Err(Refusal::Malformed),
    })
}
