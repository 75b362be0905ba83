//! Channels of opaque, bounded messages beside the engine's own: transactions, key-share messages.
//!
//! Delivery is best effort: a message to a peer that is away, or above its quota, is dropped. Who sent a message is
//! certain: the link is authenticated and encrypted.

use bytes::Bytes;
use commonware_cryptography::ed25519;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::IoBuf;
use freehold_primitives::Ed25519Key;
use thiserror::Error;
use tokio::sync::mpsc;
use tracing::debug;

use crate::keys::{engine_key, our_key};

/// Messages waiting in each direction.
pub const GOSSIP_QUEUED_MAX: usize = 1_024;

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GossipError {
    /// The message is above the channel's bound.
    #[error("a message of {length} bytes is above the channel's bound of {bound}")]
    TooLong {
        /// Bytes of the message.
        length: usize,
        /// Bound of the channel.
        bound: usize,
    },
    /// The queue is full; try again later.
    #[error("the queue is full")]
    Full,
    /// The validator has stopped.
    #[error("the validator has stopped")]
    Closed,
    /// The peer is no Ed25519 key.
    #[error("the peer is no Ed25519 key")]
    Peer,
}

type Outgoing = (Recipients<ed25519::PublicKey>, Bytes);

/// Sends on a gossip channel; cheap to clone.
#[derive(Clone)]
pub struct GossipSender {
    queue: mpsc::Sender<Outgoing>,
    bound: usize,
}

impl GossipSender {
    /// Sends to every connected peer.
    ///
    /// # Errors
    /// [`GossipError::TooLong`], [`GossipError::Full`], [`GossipError::Closed`].
    pub fn broadcast(&self, message: impl Into<Bytes>) -> Result<(), GossipError> {
        self.put(Recipients::All, message.into())
    }

    /// Sends to one peer.
    ///
    /// # Errors
    /// Any [`GossipError`].
    pub fn send(&self, peer: &Ed25519Key, message: impl Into<Bytes>) -> Result<(), GossipError> {
        let peer = engine_key(peer).ok_or(GossipError::Peer)?;
        self.put(Recipients::One(peer), message.into())
    }

    fn put(&self, recipients: Recipients<ed25519::PublicKey>, message: Bytes) -> Result<(), GossipError> {
        let (length, bound) = (message.len(), self.bound);
        if length > bound {
            return Err(GossipError::TooLong { length, bound });
        }
        self.queue.try_send((recipients, message)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => GossipError::Full,
            mpsc::error::TrySendError::Closed(_) => GossipError::Closed,
        })
    }
}

/// Receives on a gossip channel.
pub struct GossipReceiver {
    queue: mpsc::Receiver<(Ed25519Key, Bytes)>,
}

impl GossipReceiver {
    /// The next message and who sent it; `None` once the validator has stopped.
    pub async fn recv(&mut self) -> Option<(Ed25519Key, Bytes)> {
        self.queue.recv().await
    }
}

/// Both ends of a gossip channel.
pub struct Gossip {
    /// To send.
    pub sender: GossipSender,
    /// To receive.
    pub receiver: GossipReceiver,
}

/// The engine's ends of the queues of a channel.
pub(crate) struct Pump {
    outgoing: mpsc::Receiver<Outgoing>,
    incoming: mpsc::Sender<(Ed25519Key, Bytes)>,
    bound: usize,
}

/// A channel and its pump.
pub(crate) fn channel(bound: usize) -> (Gossip, Pump) {
    let (out_tx, outgoing) = mpsc::channel(GOSSIP_QUEUED_MAX);
    let (incoming, in_rx) = mpsc::channel(GOSSIP_QUEUED_MAX);
    let gossip = Gossip { sender: GossipSender { queue: out_tx, bound }, receiver: GossipReceiver { queue: in_rx } };
    (gossip, Pump { outgoing, incoming, bound })
}

impl Pump {
    /// Moves messages between the queues and the network until either end closes.
    pub(crate) async fn run(
        self,
        sender: impl Sender<PublicKey = ed25519::PublicKey>,
        receiver: impl Receiver<PublicKey = ed25519::PublicKey>,
    ) {
        let Self { outgoing, incoming, bound } = self;
        futures::join!(push(outgoing, sender), pull(incoming, receiver, bound));
    }
}

async fn push(mut outgoing: mpsc::Receiver<Outgoing>, mut sender: impl Sender<PublicKey = ed25519::PublicKey>) {
    while let Some((recipients, message)) = outgoing.recv().await {
        sender.send(recipients, IoBuf::from(message), false);
    }
}

async fn pull(
    incoming: mpsc::Sender<(Ed25519Key, Bytes)>,
    mut receiver: impl Receiver<PublicKey = ed25519::PublicKey>,
    bound: usize,
) {
    while let Ok((peer, message)) = receiver.recv().await {
        if message.len() > bound {
            debug!(%peer, length = message.len(), "gossip message above its bound dropped");
            continue;
        }
        let message = Bytes::copy_from_slice(message.as_ref());
        match incoming.try_send((our_key(&peer), message)) {
            // A reader that is gone or behind loses messages, never the network.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => debug!(%peer, "gossip message dropped, reader is behind"),
        }
    }
}
