//! TLS that ends inside an instance: names that lead to it, and how a client has the key of a connection bound to the instance's
//! evidence (`spec/ingress.md`).

use freehold_crypto::hash;
use freehold_primitives::{AppId, Digest, EVIDENCE_BYTES_MAX};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hexed::BareHex;

/// ALPN name of a connection that asks for evidence.
pub const CHANNEL_ALPN: &[u8] = b"freehold-channel/1";
/// `format` of the answer.
pub const CHANNEL_FORMAT: &str = "freehold.channel/1";
/// Largest answer, in bytes.
pub const CHANNEL_ANSWER_BYTES_MAX: usize = 2 * EVIDENCE_BYTES_MAX + 32 * 1024;
/// What names of instances end in: never a name of the public DNS (reserved by ICANN for private use).
const SUFFIX: &str = "freehold.internal";
/// Bytes of an instance's id that stand in its name.
const INSTANCE_BYTES: usize = 8;

/// What an instance answers on [`CHANNEL_ALPN`]. Nothing in it is believed before it was verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelAnswer {
    /// [`CHANNEL_FORMAT`].
    pub format: String,
    /// The keyset, ACI's JSON (`spec/keyset.md` §2).
    pub keyset: Value,
    /// Quote over the keyset and [`channel_nonce`].
    pub quote: BareHex,
    /// The account at a certificate authority whose certificates this instance orders, a URL: for CAA records (RFC 8657).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme_account: Option<String>,
}

/// The nonce of the quote: the caller's 32 bytes, and SHA-256 of the SubjectPublicKeyInfo (DER) that the instance shows on this
/// very connection.
pub fn channel_nonce(random: &[u8; 32], spki_sha256: &Digest) -> Digest {
    hash("freehold tls channel", &[random, &spki_sha256.0])
}

/// The name of one instance.
pub fn instance_server_name(app: &AppId, instance: &Digest) -> String {
    format!("{}.{app}.{SUFFIX}", hex::encode(&instance.0[..INSTANCE_BYTES]))
}

/// The name of whichever instance of an app a machine has.
pub fn app_server_name(app: &AppId) -> String {
    format!("{app}.{SUFFIX}")
}

/// The app that a name leads to by its labels, and the beginning of the instance's id where it names one. What stands behind them
/// is the machine's own domain, whichever that is.
pub fn named_app(name: &str) -> Option<(AppId, Option<[u8; INSTANCE_BYTES]>)> {
    let mut labels = name.split('.');
    let first = labels.next()?;
    if let Ok(app) = first.parse() {
        return Some((app, None));
    }
    let app = labels.next()?.parse().ok()?;
    let is_lower = first.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let instance = hex::decode(first).ok().filter(|_| is_lower)?;
    Some((app, Some(instance.try_into().ok()?)))
}

#[cfg(test)]
mod tests;
