//! A genesis without a dealer: the validators-to-be make both keys among themselves before there is a chain
//! (`spec/key-generation.md` §7).
//!
//! Each runs [`found`] with the same draft of the genesis. There is no order of messages yet, so nothing is decided by
//! a part of them: every dealer's log must be clean, and a genesis is one only when all have confirmed the same. Each
//! then has its own two shares and, from the derivation key, the state root keys. Nobody ever holds a key.
//!
//! Not here: how the draft comes to be the same everywhere (files and people), and where the results are written.

mod derive;
mod probe;
mod state;
mod wire;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use commonware_cryptography::ed25519;
use commonware_p2p::{Receiver as _, Recipients, Sender as _, authenticated::lookup};
use commonware_runtime::{IoBuf, Quota};
use commonware_utils::NZU32;
use freehold_crypto::genesis_hash;
use freehold_primitives::{Digest, Ed25519Key, Generation, Genesis};
use thiserror::Error;
use tokio::sync::oneshot;
use tracing::{debug, info};
use zeroize::Zeroizing;

use crate::{
    ceremony::CeremonyError,
    config::Reach,
    keys::{IdentityKey, KeyError, KeyShare, engine_key, our_key},
    network::{self, Endpoint},
    runtime::Runtime,
    vault::{Vault, VaultError},
};

pub use probe::{founding_input, founding_seeds};
use state::{Act, State};
use wire::FRAME_BYTES_MAX;
pub(crate) use wire::{Body, Frame, Kept};

/// Generations of the state root key that are derived at the founding.
pub const FOUNDING_GENERATIONS: Generation = 4;
/// How often everybody says again what others may lack.
const TICK: Duration = Duration::from_millis(250);
/// Messages a second that a peer may send.
const QUOTA_PER_S: u32 = 512;
const CHANNEL: u64 = 0;

/// What a founding starts from.
#[derive(Clone)]
pub struct Founding {
    /// This validator's identity, which the draft names.
    pub identity: IdentityKey,
    /// The genesis without its keys: both polynomials are empty.
    pub draft: Genesis,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the others are.
    pub peers: Vec<(Ed25519Key, SocketAddr)>,
    /// Where the peers are.
    pub reach: Reach,
    /// Prefix of its partitions in the runtime's storage directory.
    pub partition: String,
    /// What it made before, where it is finished and helps others to finish.
    pub finished: Option<Founded>,
}

/// What a founding gives each validator.
#[derive(Clone)]
pub struct Founded {
    /// The genesis, the same for all.
    pub genesis: Genesis,
    /// This validator's share of the consensus key.
    pub consensus: KeyShare,
    /// This validator's share of the derivation key.
    pub derivation: KeyShare,
    /// State root keys, by generation; the same for all.
    pub state_keys: Vec<(Generation, Zeroizing<[u8; 32]>)>,
}

/// How far a founding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Number of the attempt, from 0.
    pub attempt: u64,
    /// Validators heard of, this one included.
    pub heard: usize,
    /// Validators that have confirmed the genesis, this one included once it has made it.
    pub confirmed: usize,
    /// Validators that need nothing more, this one included.
    pub done: usize,
    /// Validators in all.
    pub total: usize,
    /// The genesis' hash, once this validator has made it.
    pub genesis: Option<Digest>,
}

/// Why a founding ends without a genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FoundingError {
    /// The draft or the identity does not serve.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The draft carries keys already, or does not say that its keys come from a distributed generation.
    #[error("the draft of the genesis carries keys, or names another ceremony")]
    Draft,
    /// A validator without an address, or an address of none.
    #[error("peer {0} is no validator of the draft, or has no address, or has two")]
    Peer(Ed25519Key),
    /// A round did not begin.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// Storage failed.
    #[error("storage failed: check the free space and the rights of the folder")]
    Storage,
    /// Attempts are used up.
    #[error("the attempts are used up: agree on a new network file and begin anew")]
    Attempts,
    /// The network ended, because the port is taken for one.
    #[error("the network ended: is the listening address free, and this machine's?")]
    Network,
}

impl From<VaultError> for FoundingError {
    fn from(_: VaultError) -> Self {
        Self::Storage
    }
}

impl Founding {
    fn check(&self) -> Result<(), FoundingError> {
        let draft = &self.draft;
        let empty = draft.consensus_polynomial.0.is_empty() && draft.derivation_polynomial.is_empty();
        if !empty || draft.key_ceremony != freehold_primitives::KeyCeremony::Distributed {
            return Err(FoundingError::Draft);
        }
        let own = self.identity.public();
        crate::keys::validator_set(&draft.validators)?;
        if !draft.validators.contains(&own) {
            return Err(FoundingError::Peer(own));
        }
        for (key, _) in &self.peers {
            if !draft.validators.contains(key) || self.peers.iter().filter(|(other, _)| other == key).count() != 1 {
                return Err(FoundingError::Peer(*key));
            }
        }
        let missing = |key: &&Ed25519Key| **key != own && !self.peers.iter().any(|(peer, _)| peer == *key);
        draft.validators.iter().find(missing).map_or(Ok(()), |key| Err(FoundingError::Peer(*key)))
    }
}

/// A founding that runs. Dropping it stops it; it can be taken up again.
pub struct FoundingHandle {
    task: commonware_runtime::Handle<Result<(), FoundingError>>,
    founded: Option<oneshot::Receiver<Founded>>,
}

impl FoundingHandle {
    /// Waits until this validator has everything. It goes on to help the others.
    ///
    /// # Errors
    /// [`FoundingError`].
    pub async fn founded(&mut self) -> Result<Founded, FoundingError> {
        match self.founded.take() {
            Some(founded) => match founded.await {
                Ok(founded) => Ok(founded),
                Err(_) => self.finished().await.and(Err(FoundingError::Network)),
            },
            None => Err(FoundingError::Network),
        }
    }

    /// Waits until all validators have everything, then erases what was kept on the way.
    ///
    /// # Errors
    /// [`FoundingError`].
    pub async fn finished(&mut self) -> Result<(), FoundingError> {
        (&mut self.task).await.unwrap_or(Err(FoundingError::Network))
    }
}

impl Drop for FoundingHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a founding as a child of `context`; `progress` is told whenever it moves.
///
/// # Errors
/// [`FoundingError::Draft`], [`FoundingError::Keys`], [`FoundingError::Peer`].
pub fn found<E: Runtime>(
    context: &E,
    founding: Founding,
    progress: impl Fn(Progress) + Send + 'static,
) -> Result<FoundingHandle, FoundingError> {
    founding.check()?;
    let (sender, founded) = oneshot::channel();
    let task = context.child("founding").spawn(move |context| run(context, founding, progress, sender));
    Ok(FoundingHandle { task, founded: Some(founded) })
}

async fn run<E: Runtime>(
    mut context: E,
    founding: Founding,
    progress: impl Fn(Progress) + Send + 'static,
    founded: oneshot::Sender<Founded>,
) -> Result<(), FoundingError> {
    let (mut vault, kept) = Vault::open(context.child("vault"), format!("{}-founding", founding.partition)).await?;
    let (mut state, acts) = State::begin(founding.clone(), &kept, &mut context)?;
    let namespace = [b"freehold founding ", genesis_hash(&founding.draft).as_bytes().as_slice()].concat();
    let endpoint = Endpoint {
        identity: &founding.identity,
        listen: founding.listen,
        peers: &founding.peers,
        room: founding.peers.len() + 1,
        reach: founding.reach,
        message_bytes_max: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX),
    };
    let (mut network, _oracle) = network::join(&context, &endpoint, &namespace, None);
    let (sender, mut receiver) = network.register(CHANNEL, Quota::per_second(NZU32!(QUOTA_PER_S)));
    let mut network = network.start();
    let mut hands = Hands { sender, founded: Some(founded), vault: Some(&mut vault) };
    hands.perform(acts).await?;
    let mut told = None;
    let mut next_tick = context.current() + TICK;
    while !state.is_over() {
        let now = state.progress();
        if told.replace(now) != Some(now) {
            progress(now);
        }
        let acts = tokio::select! {
            biased;
            _ = &mut network => return Err(FoundingError::Network),
            () = context.sleep_until(next_tick) => {
                next_tick = context.current() + TICK;
                state.tick(context.current(), &mut context)?
            }
            received = receiver.recv() => {
                let (peer, bytes) = received.map_err(|_| FoundingError::Network)?;
                let acts = state.receive(&our_key(&peer), bytes.as_ref(), &mut context)?;
                acts.unwrap_or_else(|refusal| {
                    debug!(%peer, %refusal, "founding message refused");
                    Vec::new()
                })
            }
        };
        hands.perform(acts).await?;
    }
    progress(state.progress());
    // The others may still lack the last word.
    hands.perform(state.farewell()).await?;
    drop(hands);
    context.sleep(TICK * 4).await;
    network.abort();
    vault.destroy().await?;
    Ok(())
}

/// What carries acts out.
struct Hands<'a, E: Runtime> {
    sender: lookup::Sender<ed25519::PublicKey, E>,
    founded: Option<oneshot::Sender<Founded>>,
    vault: Option<&'a mut Vault<E>>,
}

impl<E: Runtime> Hands<'_, E> {
    async fn perform(&mut self, acts: Vec<Act>) -> Result<(), FoundingError> {
        for act in acts {
            let vault = self.vault.as_mut().ok_or(FoundingError::Storage)?;
            match act {
                Act::Keep(record) => vault.keep(&record).await?,
                Act::Begin(record) => vault.begin(&record).await?,
                Act::Send(to, frame) => {
                    if let Some(to) = engine_key(&to) {
                        self.sender.send(Recipients::One(to), IoBuf::from(frame.to_vec()), false);
                    }
                }
                Act::Broadcast(frame) => {
                    self.sender.send(Recipients::All, IoBuf::from(frame.to_vec()), false);
                }
                Act::Founded(made) => {
                    info!(genesis = %genesis_hash(&made.genesis), "genesis is made");
                    if let Some(founded) = self.founded.take() {
                        let _gone = founded.send(Founded::clone(&made));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The result, shared between the state and whoever is told.
type Made = Arc<Founded>;

#[cfg(test)]
mod tests;
