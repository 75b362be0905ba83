//! Whom a validator connects to: members, players and candidates as the chain names them, at the addresses it names.
//!
//! What the operator says of a peer's address goes before what the chain says, and the genesis' validators serve until the
//! chain is there to be asked.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use freehold_consensus::{Peers, VALIDATORS_MAX};
use freehold_primitives::Ed25519Key;
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::shared::Shared;

/// How often the chain is asked at most.
const LOOK: Duration = Duration::from_secs(1);

/// Peers that others name, by who names them: of use while the chain cannot be asked. Nobody's word displaces another's.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<BTreeMap<Ed25519Key, Peers>>>);

impl Told {
    /// Notes what a peer says.
    pub(crate) fn note(&self, by: Ed25519Key, peers: &[(Ed25519Key, String)]) {
        let read = peers.iter().filter_map(|(identity, address)| Some((*identity, address.parse().ok()?)));
        let read = read.take(VALIDATORS_MAX).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(by, read);
    }

    fn all(&self) -> Peers {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().copied().collect()
    }
}

/// The peers now, and whenever they change.
pub(crate) fn tell_peers(
    shared: Arc<Shared>,
    said: Vec<(Ed25519Key, SocketAddr)>,
    told: Told,
) -> watch::Receiver<Peers> {
    let (sender, receiver) = watch::channel(peers(&shared, &said, &[]));
    if shared.chain.genesis().membership.term_blocks > 0 {
        tokio::spawn(follow(shared, said, told, sender));
    }
    receiver
}

async fn follow(shared: Arc<Shared>, said: Vec<(Ed25519Key, SocketAddr)>, told: Told, sender: watch::Sender<Peers>) {
    while !sender.is_closed() {
        let now = peers(&shared, &said, &told.all());
        sender.send_if_modified(|before| {
            let changed = *before != now;
            if changed {
                debug!(peers = now.len(), "the chain names other peers");
                *before = now;
            }
            changed
        });
        tokio::time::sleep(LOOK).await;
    }
}

fn peers(shared: &Shared, said: &[(Ed25519Key, SocketAddr)], told: &[(Ed25519Key, SocketAddr)]) -> Peers {
    let named = shared.chain.peers().unwrap_or_else(|error| {
        warn!(%error, "the chain's peers could not be read");
        Vec::new()
    });
    let genesis = shared.chain.genesis();
    let seats = genesis.validators.iter().zip(&genesis.membership.seats);
    let first = seats.map(|(identity, seat)| (*identity, seat.address.clone()));
    let known: Vec<_> = if named.is_empty() { first.collect() } else { named };
    let address = |identity: &Ed25519Key, named: &str| {
        let said = said.iter().find(|(key, _)| key == identity).map(|(_, address)| *address);
        said.or_else(|| named.parse().ok())
    };
    let mut peers: Peers =
        known.iter().filter_map(|(identity, named)| Some((*identity, address(identity, named)?))).collect();
    // While this validator catches up, the chain names peers of long ago.
    for (identity, address) in said.iter().chain(told) {
        if peers.iter().all(|(known, _)| known != identity) {
            peers.push((*identity, *address));
        }
    }
    peers
}
