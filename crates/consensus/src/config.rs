//! Settings of one validator. What all must agree on stands in the genesis; the rest may differ.

use std::{net::SocketAddr, num::NonZeroU64, time::Duration};

use commonware_runtime::Quota;
use commonware_utils::NZU32;
use freehold_crypto::{
    CertificateError, SuccessionError, chain_namespace, genesis_hash, payload_digest, verify_certificate,
    verify_succession,
};
use freehold_primitives::{
    Certificate, Ed25519Key, Generation, Genesis, NetworkKey, PayloadHead, SuccessionRecord, Term,
};
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    ceremony::Committee,
    keys::{IdentityKey, KeyError, KeyShare, ShareKind, engine_key, network_key},
};

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
/// Peers for which a validator of a network with terms has room at least; it has room for twice as many as it is told at its
/// start.
pub const PEERS_ROOM_MIN: usize = 16;

/// Who may connect, and where they listen: members, players and candidates, the most important first. What is above the
/// validator's room ([`PEERS_ROOM_MIN`]) stays out.
pub type Peers = Vec<(Ed25519Key, SocketAddr)>;

/// A validator's shares of the keys that the genesis fixes.
///
/// They serve in term 0 only, and only together with the storage in which they were first used: a validator whose storage
/// is lost could vote again in views in which it had voted, so it must start without them and waits for the next resharing.
/// Once [`TermKeys::since`](crate::TermKeys::since) is above 0, erase their files: a quorum of old shares makes the key.
#[derive(Clone)]
pub struct GenesisShares {
    /// Its share of the consensus key.
    pub consensus: KeyShare,
    /// Its share of the derivation key.
    pub derivation: KeyShare,
}

/// Where a validator begins whose storage is empty; a storage that is not empty goes on where it is. Give the same at every
/// start: a crash may come before what it begins with is there.
#[derive(Clone, Default)]
pub enum Start {
    /// With the genesis payload: it takes every payload from its peers.
    #[default]
    Genesis,
    /// With a final payload of a running chain.
    At(Box<Floor>),
}

/// A final payload from which a validator follows without those before it. The first payload that the application is given
/// is this one.
#[derive(Clone)]
pub struct Floor {
    /// Its head; the payload itself comes from the peers. Where the genesis has terms it is the last of its term, for the
    /// statements of a term must be known from its beginning on.
    pub head: PayloadHead,
    /// Its own certificate.
    pub certificate: Certificate,
    /// Who holds the consensus key in the next payload's term (the ledger's committee entry of that term).
    pub consensus: Committee,
    /// Who holds the derivation key in it: the same members.
    pub derivation: Committee,
    /// Who holds the network key that waits in it (the ledger's succession entry of that term), where one does.
    pub waiting: Option<Committee>,
    /// Who holds masters beside the genesis' one in it, by generation (the ledger's entry of masters of that term): the
    /// same members.
    pub masters: Vec<(Generation, Committee)>,
    /// How the network key of that term came to be from the genesis', oldest first; empty where it is the genesis'.
    pub successions: Vec<SuccessionRecord>,
}

/// Settings of one validator.
#[derive(Clone)]
pub struct Validator {
    /// Its identity on the network; it need not stand in the genesis.
    pub identity: IdentityKey,
    /// Its shares of the genesis' keys. Without, it follows, and signs once a resharing gave it shares.
    pub shares: Option<GenesisShares>,
    /// The chain.
    pub genesis: Genesis,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Who may connect; its own entry may stand among them. Every new value takes effect at once. Without terms the first
    /// value counts and names all validators.
    pub peers: watch::Receiver<Peers>,
    /// Prefix of its partitions in the runtime's storage directory: letters, digits, `-` and `_`. Two validators in
    /// one runtime need two.
    pub partition: String,
    /// Where it begins.
    pub start: Start,
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
    /// The shares are not those of this identity under the genesis' keys.
    #[error("the shares are not those of identity {0} in this genesis")]
    Shares(Ed25519Key),
    /// The certificate of the payload it shall begin with does not verify.
    #[error("the certificate of the payload to begin with does not verify")]
    Certificate(#[source] CertificateError),
    /// A record of how the network key of the payload to begin with came to be does not hold.
    #[error("a succession record of the network key does not hold")]
    Succession(#[source] SuccessionError),
    /// The payload it shall begin with is not the certified one, not the last of its term, or its committees do not hold the
    /// genesis' keys.
    #[error("the payload to begin with does not serve")]
    Floor,
    /// A production genesis whose shares one process dealt.
    #[error("a production genesis must come from a distributed key generation")]
    TrustedDealer,
    /// A peer that is no Ed25519 key, or stands twice; without terms also a validator without an address, or an address of
    /// none.
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
        let (consensus, derivation) = committees(genesis)?;
        let identity = self.identity.public();
        if let Some(shares) = &self.shares {
            let held = consensus.is_share_of(&identity, &shares.consensus, ShareKind::Consensus)
                && derivation.is_share_of(&identity, &shares.derivation, ShareKind::Derivation);
            if !held {
                return Err(ConfigError::Shares(identity));
            }
        }
        if let Start::At(floor) = &self.start {
            self.check_floor(floor)?;
        }
        self.check_peers(identity)?;
        let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !matches!(self.partition.len(), 1..=64) || !self.partition.bytes().all(named) {
            return Err(ConfigError::Partition);
        }
        let term_min = TERM_BLOCKS_PER_VALIDATOR_MIN * genesis.validators.len() as u64;
        if self.term_blocks().is_some_and(|term_blocks| term_blocks.get() < term_min) {
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

    fn check_floor(&self, floor: &Floor) -> Result<(), ConfigError> {
        let genesis = &self.genesis;
        let namespace = chain_namespace(genesis.chain_id, &genesis_hash(genesis));
        let successions = self.successions(floor)?;
        let first = network_key(genesis)?;
        let at = |term| successions.iter().rev().find(|(from, _)| *from <= term).map_or(first, |(_, key)| *key);
        let certified_by = at(floor.certificate.term);
        verify_certificate(&certified_by, &namespace, &floor.certificate).map_err(ConfigError::Certificate)?;
        let certified = payload_digest(&floor.head) == floor.certificate.payload && floor.head.height > 0;
        let ends = self.term_blocks().is_none_or(|length| (floor.head.height + 1).is_multiple_of(length.get()));
        let next = self.term_blocks().map_or(0, |length| (floor.head.height + 1) / length.get());
        let (_, derivation) = committees(genesis)?;
        let held = floor.consensus.public_key() == at(next)
            && floor.derivation.public_key() == derivation.public_key()
            && floor.consensus.keys() == floor.derivation.keys()
            && floor.waiting.as_ref().is_none_or(|waiting| waiting.keys() == floor.consensus.keys())
            && floor.masters.is_sorted_by(|(left, _), (right, _)| left < right)
            && floor.masters.iter().all(|(generation, master)| {
                *generation > 0
                    && ShareKind::of_master(*generation).is_some()
                    && master.keys() == floor.consensus.keys()
            });
        if certified && ends && held { Ok(()) } else { Err(ConfigError::Floor) }
    }

    /// The network keys after the genesis', up to the term after a floor.
    pub(crate) fn successions(&self, floor: &Floor) -> Result<Vec<(Term, NetworkKey)>, ConfigError> {
        let genesis_hash = genesis_hash(&self.genesis);
        let (mut key, mut keys) = (network_key(&self.genesis)?, Vec::new());
        for record in &floor.successions {
            let next = verify_succession(&key, (self.genesis.chain_id, &genesis_hash), record);
            let next = next.map_err(ConfigError::Succession)?;
            let rises = keys.last().is_none_or(|(from, _)| *from < next.from_term);
            if !rises || next.from_term > floor.head.term.saturating_add(1) {
                return Err(ConfigError::Floor);
            }
            key = next.network_key;
            keys.push((next.from_term, key));
        }
        Ok(keys)
    }

    fn check_peers(&self, identity: Ed25519Key) -> Result<(), ConfigError> {
        let (peers, validators) = (self.peers.borrow().clone(), &self.genesis.validators);
        let fixed = self.term_blocks().is_none();
        for (key, _) in &peers {
            let times = peers.iter().filter(|(other, _)| other == key).count();
            if times != 1 || engine_key(key).is_none() || (fixed && *key != identity && !validators.contains(key)) {
                return Err(ConfigError::Peer(*key));
            }
        }
        let without = |key: &&Ed25519Key| **key != identity && !peers.iter().any(|(peer, _)| peer == *key);
        match validators.iter().find(without) {
            Some(key) if fixed => Err(ConfigError::Peer(*key)),
            _ => Ok(()),
        }
    }

    /// Length of a term, where there are terms.
    pub(crate) fn term_blocks(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.genesis.membership.term_blocks)
    }
}

/// Who holds both keys in term 0.
pub(crate) fn committees(genesis: &Genesis) -> Result<(Committee, Committee), KeyError> {
    let consensus = Committee::new(&genesis.validators, &genesis.consensus_polynomial.0)?;
    Ok((consensus, Committee::from_coefficients(&genesis.validators, &genesis.derivation_polynomial)?))
}

/// Quota of the engine's own channels.
pub(crate) fn engine_quota() -> Quota {
    Quota::per_second(NZU32!(ENGINE_QUOTA_PER_S))
}

#[cfg(test)]
mod tests;
