//! Names of things in registries, as people write them (OCI distribution specification 1.1; Docker's short names).

use std::{fmt, net::Ipv4Addr, str::FromStr};

use freehold_primitives::Digest;

use super::error::RegistryError;

/// How an address of a registry begins where it stands beside other addresses: `oci://HOST/NAME`.
pub const SOURCE_SCHEME: &str = "oci://";
/// Longest text of a reference, longest name of a repository, and longest tag, in characters.
const TEXT_MAX: usize = 512;
const REPOSITORY_MAX: usize = 255;
const TAG_MAX: usize = 128;
/// The registry of short names, where it answers, and the folder of names of one part there.
const DOCKER: &str = "docker.io";
const DOCKER_HOST: &str = "registry-1.docker.io";
const DOCKER_FOLDER: &str = "library";

/// A repository at a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// The registry as it is written, and as passwords are kept for it: `HOST` or `HOST:PORT`.
    registry: String,
    /// The repository there.
    repository: String,
    /// The tag behind it, if there is one.
    tag: Option<String>,
}

/// A repository with what is asked for in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The repository, and a tag.
    pub name: ImageName,
    /// The digest behind `@`: it alone counts where it stands.
    pub digest: Option<Digest>,
}

impl ImageName {
    /// Reads `redis`, `redis:7`, `docker.io/library/redis`, `registry.example.org:5000/shop/web:1`.
    ///
    /// # Errors
    /// [`RegistryError::Name`].
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let wrong = || RegistryError::Name(text.chars().take(200).collect());
        if text.len() > TEXT_MAX {
            return Err(wrong());
        }
        let (registry, rest) = match text.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
            Some(_) => (DOCKER, text.to_owned()),
            None => (DOCKER, format!("{DOCKER_FOLDER}/{text}")),
        };
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository.to_owned(), Some(tag.to_owned())),
            None => (rest, None),
        };
        let is_host = |text: &str| {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
            !host.is_empty() && host.bytes().all(good) && port.is_none_or(|port| port.parse::<u16>().is_ok())
        };
        let good = is_host(registry) && is_repository(&repository) && tag.as_deref().is_none_or(is_tag);
        if good { Ok(Self { registry: registry.to_ascii_lowercase(), repository, tag }) } else { Err(wrong()) }
    }

    /// The registry, as passwords are kept for it.
    pub(super) fn registry(&self) -> &str {
        &self.registry
    }

    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, or the one that is meant where none stands.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }

    /// The repository alone.
    #[must_use]
    pub fn without_tag(&self) -> Self {
        Self { tag: None, ..self.clone() }
    }

    /// Where the registry answers: over TLS, but for one on this very machine.
    pub(super) fn origin(&self) -> String {
        let host = if self.registry == DOCKER { DOCKER_HOST } else { &self.registry };
        let name = host.split(':').next().unwrap_or_default();
        let is_here = name == "localhost" || name.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback());
        format!("{}://{host}/", if is_here { "http" } else { "https" })
    }

    /// With a digest, as a compose file names an image.
    pub fn pinned(&self, digest: &Digest) -> String {
        format!("{self}@sha256:{digest}")
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = self.tag.as_ref().map_or_else(String::new, |tag| format!(":{tag}"));
        write!(f, "{}/{}{tag}", self.registry, self.repository)
    }
}

impl FromStr for Reference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let wrong = || RegistryError::Name(text.chars().take(200).collect());
        let plain = text.strip_prefix(SOURCE_SCHEME).unwrap_or(text);
        let (name, digest) = match plain.split_once("@sha256:") {
            Some((name, digest)) => {
                let good = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                let is_hex = digest.len() == 64 && digest.bytes().all(good);
                (name, Some(digest.parse().ok().filter(|_| is_hex).ok_or_else(wrong)?))
            }
            None => (plain, None),
        };
        Ok(Self { name: ImageName::parse(name)?, digest })
    }
}

/// Parts of lower-case letters and digits, with separators between them.
fn is_repository(text: &str) -> bool {
    let is_part = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = |byte: u8| inner(byte) || matches!(byte, b'.' | b'_' | b'-');
        part.bytes().all(good) && part.bytes().next().is_some_and(inner) && part.bytes().last().is_some_and(inner)
    };
    text.len() <= REPOSITORY_MAX && !text.contains("..") && text.split('/').all(is_part)
}

fn is_tag(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && text.len() <= TAG_MAX && text.bytes().all(good) && !text.starts_with(['.', '-'])
}
