//! Whether a host and port may be reached, before and after its name is resolved.

use std::net::{IpAddr, SocketAddr};

use freehold_bundle::{Egress, EgressTarget, HostName};

use super::address::is_public;
use crate::config::Reach;

/// Why nothing is dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The ask is malformed.
    Malformed,
    /// Something else than a connection is asked for.
    Method,
    /// The manifest does not name this host and port.
    NotListed,
    /// The address is not public, and the manifest does not name it as an address.
    NotPublic,
    /// The name leads nowhere, or nobody answers there.
    Unreachable,
    /// It took too long.
    Timeout,
}

impl Refusal {
    /// The word of the header `freehold-refusal`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Method => "method",
            Self::NotListed => "not_listed",
            Self::NotPublic => "not_public",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
        }
    }

    /// Whether it is the policy that refuses.
    pub(super) const fn is_policy(self) -> bool {
        matches!(self, Self::NotListed | Self::NotPublic)
    }
}

/// Which addresses may be dialled for a host that is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permit {
    /// Those that are public.
    Public,
    /// This very one, wherever it is.
    Address(IpAddr),
}

/// What a manifest says of egress.
pub(crate) fn reach(egress: &Egress) -> Reach {
    match egress {
        Egress::Deny => Reach::Nobody,
        Egress::Open => Reach::Everybody,
        Egress::Allow(targets) => Reach::Listed(targets.clone()),
    }
}

/// A reach, and these besides.
pub(crate) fn with(reach: Reach, besides: Vec<EgressTarget>) -> Reach {
    match reach {
        Reach::Everybody => Reach::Everybody,
        Reach::Nobody if besides.is_empty() => Reach::Nobody,
        Reach::Nobody => Reach::Listed(besides),
        Reach::Listed(targets) => Reach::Listed(targets.into_iter().chain(besides).collect()),
    }
}

/// Whether a host and port are let through.
pub(super) fn permit(reach: &Reach, host: &HostName, port: u16) -> Result<Permit, Refusal> {
    match (reach, host) {
        (Reach::Nobody, _) => Err(Refusal::NotListed),
        (Reach::Listed(targets), _) if !targets.iter().any(|target| target.permits(host, port)) => {
            Err(Refusal::NotListed)
        }
        // A list that names an address means it.
        (Reach::Listed(_), HostName::Address(address)) => Ok(Permit::Address(*address)),
        (Reach::Everybody, HostName::Address(address)) if !is_public(*address) => Err(Refusal::NotPublic),
        (Reach::Everybody, HostName::Address(address)) => Ok(Permit::Address(*address)),
        (Reach::Listed(_) | Reach::Everybody, HostName::Name(_)) => Ok(Permit::Public),
    }
}

/// The addresses of a name that may be dialled. One name with one private address among public ones gives the public ones.
pub(super) fn public(found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Refusal> {
    let mut any = false;
    let public: Vec<SocketAddr> = found.inspect(|_| any = true).filter(|found| is_public(found.ip())).collect();
    match (public.is_empty(), any) {
        (false, _) => Ok(public),
        (true, true) => Err(Refusal::NotPublic),
        (true, false) => Err(Refusal::Unreachable),
    }
}
