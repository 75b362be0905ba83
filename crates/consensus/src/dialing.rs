//! Who dials whom: of two validators the one with the smaller identity, so that they do not dial each other at one moment.
//!
//! The network beneath refuses a connection from a peer that it is dialing itself. Two that dial each other refuse each
//! other, try again after the same pause, and over a link that is slower than the pause never meet. So one waits for the
//! other; only where that leads to nothing, because the other has no right address of it, it dials too, for one step in
//! each [`ROUND`]. Connections that stand are never touched.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use commonware_cryptography::ed25519;
use commonware_p2p::{Address, Ingress};
use commonware_utils::{hostname, ordered::Map};

/// How often it is looked who is connected.
pub(crate) const STEP: Duration = Duration::from_secs(1);
/// Steps of a round; in the last of them everybody dials who is not connected.
const ROUND: u64 = 4;

/// Who dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// This validator does.
    Dials,
    /// It waits for the peer to.
    Waits,
}

/// The peers of a validator, and which of them it dials.
pub(crate) struct Dialing {
    own: ed25519::PublicKey,
    peers: BTreeMap<ed25519::PublicKey, (SocketAddr, Manner)>,
    steps: u64,
}

impl Dialing {
    /// The peers of `own`, who may stand among them.
    pub(crate) fn new(own: ed25519::PublicKey, peers: impl Iterator<Item = (ed25519::PublicKey, SocketAddr)>) -> Self {
        let mut dialing = Self { own, peers: BTreeMap::new(), steps: 0 };
        dialing.set(peers);
        dialing
    }

    /// Takes new peers; who stays is dialed as before.
    pub(crate) fn set(&mut self, peers: impl Iterator<Item = (ed25519::PublicKey, SocketAddr)>) {
        let mut before = std::mem::take(&mut self.peers);
        for (peer, address) in peers {
            let first = if peer < self.own { Manner::Waits } else { Manner::Dials };
            let manner = before.remove(&peer).map_or(first, |(_, manner)| manner);
            self.peers.insert(peer, (address, manner));
        }
    }

    /// All peers as the network takes them.
    pub(crate) fn addresses(&self) -> Map<ed25519::PublicKey, Address> {
        Map::from_iter_dedup(self.peers.iter().map(|(peer, at)| (peer.clone(), address(*at))))
    }

    /// Another step has passed: the peers that are dialed otherwise from now on.
    pub(crate) fn step(&mut self, connected: &[ed25519::PublicKey]) -> Map<ed25519::PublicKey, Address> {
        self.steps += 1;
        let now = if self.steps.is_multiple_of(ROUND) { Manner::Dials } else { Manner::Waits };
        let own = &self.own;
        let turned = self.peers.iter_mut().filter_map(|(peer, (at, manner))| {
            if peer >= own || *manner == now || connected.contains(peer) {
                return None;
            }
            *manner = now;
            Some((peer.clone(), address((*at, now))))
        });
        Map::from_iter_dedup(turned)
    }
}

/// The network dials no name (its setting `allow_dns` is off), and takes connections of who has one.
fn address((at, manner): (SocketAddr, Manner)) -> Address {
    match manner {
        Manner::Dials => Address::Symmetric(at),
        Manner::Waits => {
            Address::Asymmetric { ingress: Ingress::Dns { host: hostname!("waits"), port: at.port() }, egress: at }
        }
    }
}

#[cfg(test)]
mod tests;
