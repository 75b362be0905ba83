//! Types of the local API's peers (`spec/peers.md`): the other live instances of the app, and messages to them and from them.

use freehold_primitives::{Account, Digest, Height, UnixSeconds};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{hexed::Base64Text, local::HeaderReference};

/// Longest message between peers, in bytes.
pub const PEER_MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Answer of `GET /freehold/v1/peers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeersReport {
    /// The other live instances, in rising order of their ids.
    pub peers: Vec<Peer>,
    /// Under which header they were read: the oldest of those that were needed.
    pub header: HeaderReference,
}

/// Another live instance of the app, as the chain proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its id.
    pub instance_id: Digest,
    /// Who runs it.
    pub provider: Account,
    /// Its own account.
    pub account: Account,
    /// SHA-256 of its keyset.
    pub keyset_digest: Digest,
    /// The keyset, which holds its public keys; null where the node does not show the registration that names it.
    pub keyset: Option<Value>,
    /// Digest of all registers of its newest evidence (`spec/policy.md` §5): one release and nothing else.
    pub measurement: Digest,
    /// Trust domain of that evidence: `emulated`, `intel`, …
    pub trust_domain: String,
    /// Height of its first registration.
    pub opened_at: Height,
    /// End of its lease.
    pub expires_at: UnixSeconds,
}

/// `POST /freehold/v1/peers/{id}/seal`. No `Debug`: the plaintext is the app's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealForPeer {
    /// At most [`PEER_MESSAGE_BYTES_MAX`] bytes.
    pub plaintext: Base64Text,
}

/// Answer to [`SealForPeer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedForPeer {
    /// The message, for nobody but this peer.
    pub envelope: Base64Text,
    /// Its number among those to this peer, from 0.
    pub sequence: u64,
}

/// `POST /freehold/v1/peers/open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenFromPeer {
    /// What a peer sealed for this instance.
    pub envelope: Base64Text,
}

/// Answer to [`OpenFromPeer`]. No `Debug`: the plaintext is the app's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenedFromPeer {
    /// The instance that sealed it.
    pub from: Digest,
    /// Its number among those from there, from 0.
    pub sequence: u64,
    /// When it was sealed, by certified time.
    pub sealed_at: UnixSeconds,
    /// The message.
    pub plaintext: Base64Text,
}
