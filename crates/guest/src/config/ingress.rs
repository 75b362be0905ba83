//! Where TLS ends, and under which names (`spec/ingress.md`). The host says it, and none of it is trusted for more than that it
//! answers: clients hold an instance to the keys that its evidence binds.

use std::path::PathBuf;

use freehold_rpc::{Base64Text, SOCKET_PATH_BYTES_MAX};
use serde::{Deserialize, Serialize};

/// Most names.
const DOMAINS_MAX: usize = 8;
/// Longest name, in bytes: what a keyset's text may hold.
const DOMAIN_BYTES_MAX: usize = 128;
/// Most roots of an authority's own TLS.
const ROOTS_MAX: usize = 4;
/// Longest address of an authority's directory, in bytes.
const DIRECTORY_BYTES_MAX: usize = 512;

/// Where TLS ends, and under which names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngressConfig {
    /// Socket that the guest takes TLS connections on.
    pub socket: PathBuf,
    /// The app's socket, where plaintext goes.
    pub app_socket: PathBuf,
    /// Names of the DNS that lead here, in lower case.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Authority that certifies these names; without one the instance signs its certificates itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<AcmeConfig>,
}

/// A certificate authority that speaks ACME (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcmeConfig {
    /// Address of its directory, `https://…`.
    pub directory: String,
    /// Roots of its own TLS, DER; those of the web where empty.
    #[serde(default)]
    pub roots: Vec<Base64Text>,
    /// How it is shown that the names lead to the app.
    #[serde(default)]
    pub challenge: AcmeChallenge,
}

/// How an authority is shown that a name leads to the app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AcmeChallenge {
    /// By TLS (RFC 8737): the instance that ordered answers.
    #[default]
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// By plain HTTP (RFC 8555 §8.3): any instance of the app answers.
    #[serde(rename = "http-01")]
    Http01,
}

impl IngressConfig {
    /// Whether plain HTTP is answered besides TLS: an authority's questions, and a word to everybody else that TLS is spoken here.
    pub(crate) fn answers_http(&self) -> bool {
        self.acme.as_ref().is_some_and(|acme| acme.challenge == AcmeChallenge::Http01)
    }

    pub(super) fn is_sound(&self) -> bool {
        let is_name = |name: &String| {
            (1..=DOMAIN_BYTES_MAX).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
        };
        let sockets = [&self.socket, &self.app_socket];
        sockets.iter().all(|socket| socket.as_os_str().len() <= SOCKET_PATH_BYTES_MAX)
            && self.domains.len() <= DOMAINS_MAX
            && self.domains.iter().all(is_name)
            && self.acme.as_ref().is_none_or(|acme| {
                !self.domains.is_empty()
                    && acme.directory.starts_with("https://")
                    && acme.directory.len() <= DIRECTORY_BYTES_MAX
                    && acme.roots.len() <= ROOTS_MAX
            })
    }
}
