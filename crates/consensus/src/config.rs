//! Settings of one validator. What all must agree on stands in the genesis; the rest may differ.

use std::{net::SocketAddr, num::NonZeroU64, time::Duration};

use commonware_runtime::Quota;
use commonware_utils::NZU32;
use freehold_primitives::{Ed25519Key, Genesis};
use thiserror::Error;

use crate::keys::{IdentityKey, KeyError, KeyMaterial, KeyShare};

/// Messages a second that a peer may send on each of the engine's own channels.
pub(crate) const ENGINE_QUOTA_PER_S: u32 = 1_024;
/// Most gossip channels.
pub const GOSSIP_CHANNELS_MAX: usize = 4;
/// Largest gossip message, in bytes.
pub const GOSSIP_BYTES_MAX: usize = 1024 * 1024;
/// Most messages a second and peer on a gossip channel.
pub const GOSSIP_QUOTA_MAX: u32 = 2_048;

/// The engine's timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// A leader that proposes nothing for so long loses its view.
    pub leader: Duration,
    /// A view without a certificate for so long is given up; above `leader`.
    pub certification: Duration,
    /// How often giving up is repeated.
    pub retry: Duration,
    /// A leader unheard of for so long loses its views at once; above `certification` and `retry`.
    pub skip: Duration,
    /// One request to a peer.
    pub fetch: Duration,
    /// How long the start waits for a quorum of peers before it votes.
    pub warm_up: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            leader: Duration::from_millis(1_250),
            certification: Duration::from_millis(2_500),
            retry: Duration::from_millis(2_500),
            skip: Duration::from_secs(5),
            fetch: Duration::from_secs(1),
            warm_up: Duration::from_secs(5),
        }
    }
}

impl Timers {
    const fn is_ordered(&self) -> bool {
        let zero = Duration::ZERO.as_nanos();
        self.leader.as_nanos() > zero
            && self.certification.as_nanos() > self.leader.as_nanos()
            && self.retry.as_nanos() > zero
            && self.fetch.as_nanos() > zero
            && self.skip.as_nanos() > self.certification.as_nanos()
            && self.skip.as_nanos() > self.retry.as_nanos()
    }
}

/// Where the peers of a validator are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// On this machine or in a private network: quick dialing, private addresses allowed.
    Local,
    /// On the internet.
    Public,
}

/// A channel of opaque messages beside the engine's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GossipChannel {
    /// Largest message, in bytes; at most [`GOSSIP_BYTES_MAX`].
    pub message_bytes_max: usize,
    /// Messages a second that a peer may send; at most [`GOSSIP_QUOTA_MAX`]. Set it as low as the use allows: the
    /// engine allocates peers × quota places when it starts.
    pub quota_per_s: u32,
}

/// Shortest term, in payloads for each validator: every dealer's logs need turns of proposers.
pub const TERM_BLOCKS_PER_VALIDATOR_MIN: u64 = 8;

/// How keys are reshared, and what the first term begins with.
#[derive(Clone)]
pub struct ResharingSettings {
    /// Length of a term, in payloads; at least [`TERM_BLOCKS_PER_VALIDATOR_MIN`] for each validator.
    pub term_blocks: NonZeroU64,
    /// This validator's share of the derivation key in term 0.
    pub derivation_share: KeyShare,
}

/// Settings of one validator.
#[derive(Clone)]
pub struct Validator {
    /// Its identity on the network.
    pub identity: IdentityKey,
    /// Its share of the consensus key.
    pub keys: KeyMaterial,
    /// The chain.
    pub genesis: Genesis,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the other validators are; its own entry may stand among them.
    pub peers: Vec<(Ed25519Key, SocketAddr)>,
    /// Prefix of its partitions in the runtime's storage directory: letters, digits, `-` and `_`. Two validators in
    /// one runtime need two.
    pub partition: String,
    /// Resharing in every term; `None` for one term without end. All validators need the same.
    pub resharing: Option<ResharingSettings>,
    /// Timers.
    pub timers: Timers,
    /// Where the peers are.
    pub reach: Reach,
    /// Gossip channels, numbered in this order; all validators need the same ones.
    pub gossip: Vec<GossipChannel>,
}

/// Why a validator does not start.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Its keys do not fit the genesis.
    #[error("keys do not fit the genesis")]
    Keys(#[from] KeyError),
    /// Its identity does not stand at its share's index in the genesis.
    #[error("identity {0} does not stand at its share's index in the genesis")]
    Identity(Ed25519Key),
    /// The polynomial of the keys is not the one of the genesis.
    #[error("keys belong to another genesis")]
    Genesis,
    /// A production genesis whose shares one process dealt.
    #[error("a production genesis must come from a distributed key generation")]
    TrustedDealer,
    /// A validator without an address, or an address of none.
    #[error("peer {0} is no validator of the genesis, or has no address, or has two")]
    Peer(Ed25519Key),
    /// The partition prefix has other characters than letters, digits, `-` and `_`, or is empty or above 64.
    #[error("the partition prefix must be 1 to 64 letters, digits, '-' or '_'")]
    Partition,
    /// The term is too short for its validators.
    #[error("a term must have {TERM_BLOCKS_PER_VALIDATOR_MIN} payloads for each validator")]
    Term,
    /// The timers are not in their order.
    #[error("timers must hold: 0 < leader < certification < skip, 0 < retry < skip, 0 < fetch")]
    Timers,
    /// A gossip channel above its bounds.
    #[error("gossip channels above their bounds")]
    Gossip,
}

impl Validator {
    /// Checks what can be checked before anything starts.
    ///
    /// # Errors
    /// Any [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let genesis = &self.genesis;
        if genesis.is_production() && genesis.key_ceremony == freehold_primitives::KeyCeremony::TrustedDealer {
            return Err(ConfigError::TrustedDealer);
        }
        if crate::keys::network_key(genesis)? != self.keys.network_key()
            || genesis.validators.len() != self.keys.validators.len()
        {
            return Err(ConfigError::Genesis);
        }
        let identity = self.identity.public();
        if genesis.validators.get(self.keys.index() as usize) != Some(&identity) {
            return Err(ConfigError::Identity(identity));
        }
        self.check_peers(identity)?;
        let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !matches!(self.partition.len(), 1..=64) || !self.partition.bytes().all(named) {
            return Err(ConfigError::Partition);
        }
        let term_min = TERM_BLOCKS_PER_VALIDATOR_MIN * genesis.validators.len() as u64;
        if self.resharing.as_ref().is_some_and(|settings| settings.term_blocks.get() < term_min) {
            return Err(ConfigError::Term);
        }
        if !self.timers.is_ordered() {
            return Err(ConfigError::Timers);
        }
        let bounded = |channel: &GossipChannel| {
            (1..=GOSSIP_BYTES_MAX).contains(&channel.message_bytes_max)
                && (1..=GOSSIP_QUOTA_MAX).contains(&channel.quota_per_s)
        };
        if self.gossip.len() > GOSSIP_CHANNELS_MAX || !self.gossip.iter().all(bounded) {
            return Err(ConfigError::Gossip);
        }
        Ok(())
    }

    fn check_peers(&self, identity: Ed25519Key) -> Result<(), ConfigError> {
        let validators = &self.genesis.validators;
        for (key, _) in &self.peers {
            let times = self.peers.iter().filter(|(other, _)| other == key).count();
            if times != 1 || !validators.contains(key) {
                return Err(ConfigError::Peer(*key));
            }
        }
        let without = |key: &&Ed25519Key| **key != identity && !self.peers.iter().any(|(peer, _)| peer == *key);
        validators.iter().find(without).map_or(Ok(()), |key| Err(ConfigError::Peer(*key)))
    }
}

/// Quota of the engine's own channels.
pub(crate) fn engine_quota() -> Quota {
    Quota::per_second(NZU32!(ENGINE_QUOTA_PER_S))
}

#[cfg(test)]
mod tests;
