//! How clients reach an app over TLS that ends inside (`spec/manifest.md` §3): names, and where their certificates come from.
//!
//! Nothing is resolved or asked here. Whose a name is, the name's DNS says, and the authority that gives the certificate.

use super::egress::{EgressTarget, HostName};
use crate::{
    error::{Fault, ManifestError},
    section::Item,
};

/// Most names of an app.
pub const DOMAINS_MAX: usize = 8;
/// Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Longest address of a directory, in bytes.
const DIRECTORY_BYTES_MAX: usize = 512;
/// Most roots, and the longest, in characters of base64.
const ROOTS_MAX: usize = 4;
const ROOT_CHARACTERS_MAX: usize = 8 * 1024;
/// Names below this one are the platform's own.
const OWN_SUFFIX: &str = ".freehold.internal";
/// Port of HTTPS.
const HTTPS: u16 = 443;

/// How clients reach an app over TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ingress {
    /// Names that lead to it, in lower case, each once.
    pub domains: Vec<String>,
    /// Where certificates of these names come from; signed by the instance itself where nothing is said.
    pub acme: Option<AcmeDirectory>,
}

/// A certificate authority that speaks ACME (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeDirectory {
    /// Address of its directory, `https://…`.
    pub url: String,
    /// Roots of its own TLS, DER in base64; those of the web where empty.
    pub roots: Vec<String>,
    /// How it is shown that the names lead to the app.
    pub challenge: AcmeChallenge,
}

/// How an authority is shown that a name leads to the app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// By the TLS port (RFC 8737): the question must reach the very instance that ordered, so a name leads to one machine.
    #[default]
    TlsAlpn01,
    /// By plain HTTP (RFC 8555 §8.3): every instance of the app can answer, so a name may lead to several machines.
    Http01,
}

impl AcmeChallenge {
    /// The challenge's own word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
        }
    }
}

impl Ingress {
    /// Whom the guest, and not the app, must reach for the app's certificates: the authority, and where several machines stand behind a
    /// name, that name, at which another one may show the certificate already.
    pub fn reaches(&self) -> Vec<EgressTarget> {
        let Some(acme) = &self.acme else { return Vec::new() };
        let authority = host_of(&acme.url).map(|(host, port)| EgressTarget::host(host, port));
        let names = self.domains.iter().filter(|_| acme.challenge == AcmeChallenge::Http01);
        let names = names.map(|name| EgressTarget::host(HostName::Name(name.clone()), HTTPS));
        authority.into_iter().chain(names).collect()
    }
}

pub(super) fn read(item: &Item<'_>) -> Result<Ingress, ManifestError> {
    let mut section = item.section()?;
    let is_acme = match section.get("tls") {
        None => false,
        Some(item) => item.word(&[("self-signed", false), ("acme", true)], "self-signed or acme")?,
    };
    let domains = match section.get("domains") {
        None => Vec::new(),
        Some(item) => domains(&item)?,
    };
    let acme_item = section.get("acme");
    section.end()?;
    if !is_acme {
        return match acme_item {
            None => Ok(Ingress { domains, acme: None }),
            Some(item) => Err(item.refuse(Fault::Unsupported("`acme` has no effect without `tls: acme`"))),
        };
    }
    if domains.is_empty() {
        return Err(item.refuse(Fault::Unsupported("`tls: acme` without `domains`: name those that lead to the app")));
    }
    let acme = match &acme_item {
        None => AcmeDirectory { url: DIRECTORY.to_owned(), roots: Vec::new(), challenge: AcmeChallenge::default() },
        Some(item) => directory(item)?,
    };
    Ok(Ingress { domains, acme: Some(acme) })
}

fn domains(item: &Item<'_>) -> Result<Vec<String>, ManifestError> {
    let items = item.list()?;
    if items.len() > DOMAINS_MAX {
        return Err(item.refuse(Fault::TooMany(DOMAINS_MAX)));
    }
    let mut domains: Vec<String> = Vec::new();
    for item in items {
        let domain = match HostName::parse(&item.text()?) {
            Some(HostName::Name(name))
                if name.contains('.') && !name.contains('_') && !name.ends_with(OWN_SUFFIX) && name.len() <= 128 =>
            {
                name
            }
            _ => return Err(item.form("a name of the DNS, such as app.example.org, without `*`")),
        };
        if domains.contains(&domain) {
            return Err(item.form("each name once"));
        }
        domains.push(domain);
    }
    Ok(domains)
}

fn directory(item: &Item<'_>) -> Result<AcmeDirectory, ManifestError> {
    let mut section = item.section()?;
    let url = match section.get("directory") {
        None => DIRECTORY.to_owned(),
        Some(item) => {
            let url = item.text()?;
            let is_sound = url.len() <= DIRECTORY_BYTES_MAX && host_of(&url).is_some();
            is_sound.then_some(url).ok_or_else(|| item.form("an address such as https://acme.example/directory"))?
        }
    };
    let roots = match section.get("roots") {
        None => Vec::new(),
        Some(item) => {
            let items = item.list()?;
            if items.len() > ROOTS_MAX {
                return Err(item.refuse(Fault::TooMany(ROOTS_MAX)));
            }
            items.iter().map(root).collect::<Result<_, _>>()?
        }
    };
    let challenge = match section.get("challenge") {
        None => AcmeChallenge::default(),
        Some(item) => {
            let words = [AcmeChallenge::TlsAlpn01, AcmeChallenge::Http01].map(|kind| (kind.as_str(), kind));
            item.word(&words, "tls-alpn-01 or http-01")?
        }
    };
    section.end()?;
    Ok(AcmeDirectory { url, roots, challenge })
}

fn root(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    if text.len() > ROOT_CHARACTERS_MAX
        || text.is_empty()
        || !text.len().is_multiple_of(4)
        || !text.bytes().all(is_base64)
    {
        return Err(item.form("a certificate, DER in base64"));
    }
    Ok(text)
}

/// Host and port of an `https` address.
fn host_of(url: &str) -> Option<(HostName, u16)> {
    let rest = url.strip_prefix("https://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    if let Some(inner) = authority.strip_prefix('[') {
        let (address, behind) = inner.split_once(']')?;
        let host = HostName::Address(std::net::IpAddr::V6(address.parse().ok()?));
        return Some((host, port_of(behind)?));
    }
    let (host, behind) = match authority.find(':') {
        Some(at) => authority.split_at(at),
        None => (authority, ""),
    };
    Some((HostName::parse(host)?, port_of(behind)?))
}

fn port_of(behind: &str) -> Option<u16> {
    if behind.is_empty() {
        return Some(HTTPS);
    }
    behind.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests;
