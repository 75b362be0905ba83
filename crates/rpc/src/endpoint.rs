//! Where a server listens: `http://host:port` or `unix:/path`.
//!
//! Plain HTTP only: what crosses a machine's border here is sealed or proven by other means.

use std::{fmt, path::PathBuf, str::FromStr};

use thiserror::Error;

/// Longest path of a UNIX socket, in bytes: the kernel's bound is 107, and ours leaves room.
pub const SOCKET_PATH_BYTES_MAX: usize = 100;

/// Why a text names no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Neither `http://host:port` nor `unix:/path`.
    #[error("`{0}` is no endpoint: write http://HOST:PORT or unix:/PATH")]
    Form(String),
    /// The path of the socket is too long for the kernel.
    #[error("the socket path `{0}` is longer than {SOCKET_PATH_BYTES_MAX} bytes: choose a shorter directory")]
    PathTooLong(PathBuf),
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `http://host:port`.
    Tcp {
        /// Host name or address; an IPv6 address stands in brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/path`.
    Unix(PathBuf),
}

impl Endpoint {
    /// The `Host` header that requests carry.
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }

    /// An endpoint on a UNIX socket.
    ///
    /// # Errors
    /// [`EndpointError::PathTooLong`].
    pub fn unix(path: impl Into<PathBuf>) -> Result<Self, EndpointError> {
        let path = path.into();
        if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            return Err(EndpointError::PathTooLong(path));
        }
        Ok(Self::Unix(path))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = || EndpointError::Form(text.chars().take(200).collect());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() { Self::unix(path) } else { Err(wrong()) };
        }
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "80"));
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        let six =
            bracketed && host[1..host.len() - 1].bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
        if host.is_empty() || !(plain || six) {
            return Err(wrong());
        }
        let port = port.parse().map_err(|_| wrong())?;
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}
