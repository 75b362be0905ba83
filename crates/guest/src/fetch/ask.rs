//! An ask, checked: the URL in its one form, headers that change nothing of the exchange itself, everything bounded.

use freehold_crypto::fetch_roots_digest;
use freehold_primitives::{Digest, FETCH_URL_BYTES_MAX, FetchMethod};
use freehold_rpc::{
    FETCH_BODY_BYTES_MAX, FETCH_HEADER_BYTES_MAX, FETCH_HEADERS_MAX, FETCH_RESPONSE_BYTES_DEFAULT,
    FETCH_RESPONSE_BYTES_MAX, FETCH_ROOTS_MAX, FETCH_TIMEOUT_MS_DEFAULT, FETCH_TIMEOUT_MS_MAX, FetchAsk,
};
use http::{HeaderName, HeaderValue, Uri};

use super::error::FetchError;

/// Headers that belong to the exchange itself: the guest sets them, or nobody does.
const RESERVED: [&str; 14] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];
/// Port of HTTPS.
const HTTPS: u16 = 443;

/// A URL that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FetchUrl {
    /// Host, in lower case; an IPv6 address without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query, from the first `/`.
    pub(super) path: String,
}

impl FetchUrl {
    /// Reads a URL in any of its forms.
    pub(super) fn parse(text: &str) -> Result<Self, FetchError> {
        let wrong = FetchError::Ask("`url` is no URL that can be fetched: write https://HOST/PATH");
        if text.len() > FETCH_URL_BYTES_MAX {
            return Err(FetchError::Ask("`url` is longer than 2048 bytes"));
        }
        if text.contains('#') || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong);
        }
        let Ok(uri) = text.parse::<Uri>() else { return Err(wrong) };
        if uri.scheme_str() != Some("https") {
            return Err(FetchError::Ask("`url` is not of https"));
        }
        let Some(authority) = uri.authority().filter(|authority| !authority.as_str().contains('@')) else {
            return Err(wrong);
        };
        let port = match authority.as_str().rsplit_once(':') {
            // The colons of an IPv6 address stand inside its brackets.
            Some((_, digits)) if !digits.ends_with(']') => digits.parse().ok().filter(|port| *port != 0),
            _ => Some(HTTPS),
        };
        let host = authority.host().to_ascii_lowercase();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host).to_owned();
        let (Some(port), false) = (port, host.is_empty()) else { return Err(wrong) };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { host, port, path: format!("{slash}{path}") })
    }

    /// Host and port, as `CONNECT` names them.
    pub(super) fn target(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    /// Host, and its port where it is not that of HTTPS: the `Host` header.
    pub(super) fn authority(&self) -> String {
        if self.port == HTTPS { self.bracketed() } else { self.target() }
    }

    /// The URL in its one form.
    pub(super) fn text(&self) -> String {
        format!("https://{}{}", self.authority(), self.path)
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// An ask within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) url: FetchUrl,
    pub(super) method: FetchMethod,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
    /// DER; empty for those of the web.
    pub(super) roots: Vec<Vec<u8>>,
    pub(super) body_bytes_max: u64,
    pub(super) timeout_ms: u64,
}

impl Asked {
    pub(super) fn check(ask: FetchAsk) -> Result<Self, FetchError> {
        let url = FetchUrl::parse(&ask.url)?;
        if ask.body.is_some() && ask.method == FetchMethod::Get {
            return Err(FetchError::Ask("a GET has no body"));
        }
        if ask.body.as_ref().is_some_and(|body| body.0.len() > FETCH_BODY_BYTES_MAX) {
            return Err(FetchError::Ask("`body` is larger than 1 MiB"));
        }
        if ask.roots.len() > FETCH_ROOTS_MAX {
            return Err(FetchError::Ask("more than 8 roots"));
        }
        let body_bytes_max = ask.body_bytes_max.unwrap_or(FETCH_RESPONSE_BYTES_DEFAULT);
        if body_bytes_max > FETCH_RESPONSE_BYTES_MAX {
            return Err(FetchError::Ask("`body_bytes_max` is above 4 MiB"));
        }
        let timeout_ms = ask.timeout_ms.unwrap_or(FETCH_TIMEOUT_MS_DEFAULT);
        if timeout_ms == 0 || timeout_ms > FETCH_TIMEOUT_MS_MAX {
            return Err(FetchError::Ask("`timeout_ms` is not from 1 to 25000"));
        }
        Ok(Self {
            url,
            method: ask.method,
            headers: headers(ask.headers)?,
            body: ask.body.map(|body| body.0),
            roots: ask.roots.into_iter().map(|root| root.0).collect(),
            body_bytes_max,
            timeout_ms,
        })
    }

    pub(super) fn roots_digest(&self) -> Digest {
        fetch_roots_digest(&self.roots)
    }
}

fn headers(asked: Vec<(String, String)>) -> Result<Vec<(String, String)>, FetchError> {
    let bytes: usize = asked.iter().map(|(name, value)| name.len() + value.len()).sum();
    if asked.len() > FETCH_HEADERS_MAX || bytes > FETCH_HEADER_BYTES_MAX {
        return Err(FetchError::Ask("more than 32 headers, or more than 8 KiB of them"));
    }
    asked.into_iter().map(|(name, value)| header(&name, value)).collect()
}

fn header(name: &str, value: String) -> Result<(String, String), FetchError> {
    let parsed = HeaderName::from_bytes(name.as_bytes());
    let parsed = parsed.map_err(|_| FetchError::Ask("the name of a header is malformed"))?;
    if RESERVED.contains(&parsed.as_str()) {
        return Err(FetchError::Ask("a header is one that the guest sets itself"));
    }
    let is_plain = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if !is_plain || HeaderValue::from_str(&value).is_err() {
        return Err(FetchError::Ask("the value of a header is malformed"));
    }
    Ok((parsed.as_str().to_owned(), value))
}
