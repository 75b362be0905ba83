//! Whom an app may reach (`spec/manifest.md` §3): hosts by name, all hosts below a name, or one address; each with a port.
//!
//! A name matches as a name: nothing is resolved here, and an address that a name leads to matches no name.

use core::fmt;
use std::net::IpAddr;

/// Longest name of a host (RFC 1035 §2.3.4), and of one of its labels.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// Whom an app may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Egress {
    /// Nobody.
    #[default]
    Deny,
    /// These.
    Allow(Vec<EgressTarget>),
    /// Everybody.
    Open,
}

/// A host as somebody names it: by an address, or by a name in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostName {
    /// An address.
    Address(IpAddr),
    /// A name.
    Name(String),
}

impl HostName {
    /// Reads `name`, `1.2.3.4`, or an IPv6 address without brackets. Forms of addresses that only some systems read (`127.1`,
    /// `0x7f000001`) are neither.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Address(address));
        }
        let name = text.to_ascii_lowercase();
        is_name(&name).then_some(Self::Name(name))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Host(HostName),
    /// Every name that ends in `.` and this one.
    Below(String),
}

/// One entry of the list: a host, or all below a name, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressTarget {
    pattern: Pattern,
    port: u16,
}

impl EgressTarget {
    /// Reads `HOST:PORT`, `*.NAME:PORT`, `1.2.3.4:PORT` or `[ADDRESS]:PORT`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, digits) = text.rsplit_once(':')?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let port = digits.parse().ok().filter(|port| *port != 0 && is_number)?;
        if let Some(name) = host.strip_prefix("*.") {
            // All names of a whole top-level domain are no list.
            let name = name.to_ascii_lowercase();
            let pattern = (is_name(&name) && name.contains('.')).then_some(Pattern::Below(name))?;
            return Some(Self { pattern, port });
        }
        let host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(address) => HostName::Address(IpAddr::V6(address.parse().ok()?)),
            None => HostName::parse(host).filter(|host| !matches!(host, HostName::Address(IpAddr::V6(_))))?,
        };
        Some(Self { pattern: Pattern::Host(host), port })
    }

    /// One host at one port.
    pub const fn host(host: HostName, port: u16) -> Self {
        Self { pattern: Pattern::Host(host), port }
    }

    /// Whether it lets a host and port through.
    pub fn permits(&self, host: &HostName, port: u16) -> bool {
        let fits = match (&self.pattern, host) {
            (Pattern::Host(own), host) => own == host,
            (Pattern::Below(own), HostName::Name(name)) => {
                name.strip_suffix(own.as_str()).is_some_and(|before| before.len() > 1 && before.ends_with('.'))
            }
            (Pattern::Below(_), HostName::Address(_)) => false,
        };
        fits && port == self.port
    }
}

impl fmt::Display for EgressTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pattern {
            Pattern::Host(HostName::Address(IpAddr::V6(address))) => write!(f, "[{address}]:{}", self.port),
            Pattern::Host(HostName::Address(address)) => write!(f, "{address}:{}", self.port),
            Pattern::Host(HostName::Name(name)) => write!(f, "{name}:{}", self.port),
            Pattern::Below(name) => write!(f, "*.{name}:{}", self.port),
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_BYTES_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
    };
    // A last label that begins with a digit makes a number of it for some systems (WHATWG URL, "ends in a number").
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label) && !last.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests;
