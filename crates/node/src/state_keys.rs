//! State root keys from the quorum: a validator that lacks a generation asks the others for their shares of it
//! (`spec/confidential-state.md` §2).
//!
//! Shares leave only for peers that the chain knows as validators, present or to come, in a live instance where the genesis
//! names an app for them, and never when this validator's newest header is old; over the authenticated link, encrypted to
//! the key of one request. Each share is checked under the polynomial that came with it, whose constant term is
//! the genesis' derivation key; a polynomial counts once as many peers say it as make the key. Keys are on disk before use.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use freehold_consensus::{Gossip, GossipChannel, GossipReceiver, GossipSender, TermKeys};
use freehold_crypto::{
    EncryptedShare, Polynomial, Share, StateKeyOrigin, StateKeys, StateRootKey, TransportSecret, encrypt_share,
};
use freehold_primitives::{Canonical, CodecError, Ed25519Key, G1Point, Generation, NetworkKey, Reader};
use rand::{rand_core::UnwrapErr, rngs::SysRng};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::{genesis::write_state_keys, key_service::HEADER_AGE_S_MAX, peers::Told, shared::Shared};

/// Channel of shares of state root keys.
pub(crate) const STATE_KEYS: GossipChannel = GossipChannel { message_bytes_max: 16 * 1024, quota_per_s: 32 };
/// How often what is missing is asked for again.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// A message about shares of state root keys.
pub(crate) enum Message {
    /// Whoever holds a share: encrypt yours of this generation's key.
    Ask { generation: Generation, transport: G1Point },
    /// Who validates now and where: for one that cannot read it from the chain yet. Nobody need believe it.
    Peers { peers: Vec<(Ed25519Key, String)> },
    /// A share, and the polynomial that it belongs to.
    Share { generation: Generation, polynomial: Vec<NetworkKey>, share: Vec<u8> },
}

impl Canonical for Message {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ask { generation, transport } => {
                out.push(1);
                generation.write(out);
                transport.write(out);
            }
            Self::Peers { peers } => {
                out.push(3);
                peers.iter().map(|(identity, _)| *identity).collect::<Vec<_>>().write(out);
                for (_, address) in peers {
                    address.write(out);
                }
            }
            Self::Share { generation, polynomial, share } => {
                out.push(2);
                generation.write(out);
                polynomial.write(out);
                freehold_primitives::write_length(out, share.len());
                out.extend_from_slice(share);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match u8::read(reader)? {
            1 => Ok(Self::Ask { generation: Canonical::read(reader)?, transport: Canonical::read(reader)? }),
            2 => Ok(Self::Share {
                generation: Canonical::read(reader)?,
                polynomial: Canonical::read(reader)?,
                share: freehold_primitives::Blob::read(reader)?.0,
            }),
            3 => {
                let identities = Vec::<Ed25519Key>::read(reader)?;
                let peers = identities.into_iter().map(|identity| Ok((identity, String::read(reader)?)));
                Ok(Self::Peers { peers: peers.collect::<Result<_, CodecError>>()? })
            }
            other => Err(CodecError::Tag(other)),
        }
    }
}

/// What the exchange works with.
pub(crate) struct StateKeyExchange {
    pub(crate) shared: Arc<Shared>,
    pub(crate) keys: Arc<StateKeys>,
    pub(crate) folder: PathBuf,
    /// What is in force: this validator's share, and whose shares make keys.
    pub(crate) terms: watch::Receiver<TermKeys>,
    /// Whom the operator names.
    pub(crate) said: Vec<Ed25519Key>,
    /// Where peers are noted that others name.
    pub(crate) told: Told,
}

/// The newest share of each peer for each generation, and the polynomial that it names.
type Collected = BTreeMap<(Generation, Ed25519Key), (Vec<NetworkKey>, EncryptedShare)>;

struct Running {
    exchange: StateKeyExchange,
    master: NetworkKey,
    sender: GossipSender,
    transport: TransportSecret,
    collected: Mutex<Collected>,
}

impl StateKeyExchange {
    /// Answers peers and asks them, until the validator ends. Nothing runs where a dealer's seed gives every key.
    pub(crate) fn start(self, gossip: Gossip) {
        let Some(master) = self.shared.chain.genesis().derivation_polynomial.first().copied() else { return };
        if self.keys.origin() != StateKeyOrigin::Quorum {
            return;
        }
        let transport = TransportSecret::generate(&mut UnwrapErr(SysRng));
        let (sender, collected) = (gossip.sender, Mutex::default());
        let running = Arc::new(Running { exchange: self, master, sender, transport, collected });
        tokio::spawn(Arc::clone(&running).ask());
        tokio::spawn(running.answer(gossip.receiver));
    }
}

impl Running {
    async fn ask(self: Arc<Self>) {
        loop {
            for generation in self.missing() {
                let message = Message::Ask { generation, transport: self.transport.public() };
                let _dropped = self.sender.broadcast(message.to_canonical());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Generations that this executor should hold: all that were ever in use, and those that may be soon.
    fn wanted(&self) -> std::ops::RangeInclusive<Generation> {
        let chain = &self.exchange.shared.chain;
        let status = chain.state_key_status(self.exchange.shared.tip().height()).ok().flatten();
        status.unwrap_or_default().held()
    }

    fn missing(&self) -> Vec<Generation> {
        self.wanted().filter(|generation| self.exchange.keys.get(*generation).is_none()).collect()
    }

    async fn answer(self: Arc<Self>, mut receiver: GossipReceiver) {
        while let Some((peer, bytes)) = receiver.recv().await {
            let Ok(message) = Message::from_canonical(&bytes) else {
                debug!(%peer, "message about state keys of no known form dropped");
                continue;
            };
            let running = Arc::clone(&self);
            let work = move || match message {
                Message::Ask { generation, transport } => running.serve(&peer, generation, &transport),
                Message::Peers { peers } => running.note(peer, &peers),
                Message::Share { generation, polynomial, share } => {
                    running.take((generation, peer), polynomial, &share)
                }
            };
            let _panicked = tokio::task::spawn_blocking(work).await;
        }
    }

    /// Takes a peer's word on who else validates only while this validator needs it, and only from one that the chain, the
    /// genesis or the operator names: whoever is known by such a word alone brings in nobody.
    fn note(&self, peer: Ed25519Key, peers: &[(Ed25519Key, String)]) {
        let chain = &self.exchange.shared.chain;
        let is_named = self.exchange.said.contains(&peer)
            || chain.genesis().validators.contains(&peer)
            || chain.peers().is_ok_and(|named| named.iter().any(|(named, _)| *named == peer));
        if is_named && !self.missing().is_empty() {
            self.exchange.told.note(peer, peers);
        }
    }

    fn serve(&self, peer: &Ed25519Key, generation: Generation, transport: &G1Point) {
        if generation == 0
            && let Ok(peers) = self.exchange.shared.chain.peers()
        {
            let _dropped = self.sender.send(peer, Message::Peers { peers }.to_canonical());
        }
        let (polynomial, share) = {
            let keys = self.exchange.terms.borrow();
            let Some(share) = keys.derivation_share.clone() else { return };
            (keys.derivation.coefficients(), share)
        };
        let shared = &self.exchange.shared;
        let age_s = shared.clock.now_s().saturating_sub(shared.tip().header.timestamp);
        let may_hold = age_s <= HEADER_AGE_S_MAX && shared.chain.may_hold_state_keys(peer).unwrap_or(false);
        if !may_hold || !self.wanted().contains(&generation) {
            debug!(%peer, generation, "no share of a state key served");
            return;
        }
        let encrypted = || {
            let share = Share::from_bytes(share.index(), share.scalar()).ok()?;
            let derivation = StateRootKey::derivation(&self.master, generation).ok()?;
            encrypt_share(&share, &derivation, transport, &mut UnwrapErr(SysRng)).ok()
        };
        let Some(encrypted) = encrypted() else { return };
        let message = Message::Share { generation, polynomial, share: encrypted.to_bytes().to_vec() };
        let _dropped = self.sender.send(peer, message.to_canonical());
    }

    fn take(&self, (generation, peer): (Generation, Ed25519Key), coefficients: Vec<NetworkKey>, share: &[u8]) {
        if !self.missing().contains(&generation) || coefficients.first() != Some(&self.master) {
            return;
        }
        let Ok(share) = EncryptedShare::from_bytes(share) else { return };
        let Ok(polynomial) = Polynomial::new(&coefficients) else { return };
        let mut collected = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        collected.insert((generation, peer), (coefficients.clone(), share));
        let same = collected.iter().filter(|((of, _), (said, _))| *of == generation && *said == coefficients);
        let shares: Vec<_> = same.map(|(_, (_, share))| *share).collect();
        if shares.len() < polynomial.threshold() {
            return;
        }
        let recovered = StateRootKey::derivation(&self.master, generation)
            .and_then(|derivation| self.transport.recover(&polynomial, &derivation, &shares));
        match recovered {
            Ok(key) => {
                collected.retain(|(of, _), _| *of != generation);
                drop(collected);
                self.keep(StateRootKey::derived(generation, &key));
            }
            Err(error) => debug!(generation, %error, "shares of a state key do not make it yet"),
        }
    }

    /// On disk first: a key that is used must come back.
    fn keep(&self, key: StateRootKey) {
        let generation = key.generation();
        let held = (0..generation).chain(generation + 1..=*self.wanted().end());
        let others: Vec<_> = held.filter_map(|generation| self.exchange.keys.get(generation)).collect();
        let all: Vec<&StateRootKey> = others.iter().chain([&key]).collect();
        match write_state_keys(&self.exchange.folder, &all) {
            Ok(()) => {
                info!(generation, "the quorum gave this validator a state root key");
                self.exchange.keys.add(key);
            }
            Err(error) => warn!(%error, "a state root key could not be kept"),
        }
    }
}
