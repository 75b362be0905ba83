//! Who dials, who waits, and when it changes.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use commonware_cryptography::{Signer as _, ed25519::PrivateKey};

use super::*;

fn peers(count: u64) -> Vec<(ed25519::PublicKey, SocketAddr)> {
    let peer = |index: u64| {
        let port = 9_000 + u16::try_from(index).unwrap();
        (PrivateKey::from_seed(index).public_key(), SocketAddr::from(([10, 0, 0, 1], port)))
    };
    let mut peers: Vec<_> = (0..count).map(peer).collect();
    peers.sort();
    peers
}

fn dialed(addresses: &Map<ed25519::PublicKey, Address>) -> Vec<ed25519::PublicKey> {
    let dialed = |(peer, address): (&ed25519::PublicKey, &Address)| {
        // As the network asks with names forbidden and private addresses allowed.
        address.ingress().is_valid(true, false).then(|| peer.clone())
    };
    addresses.iter_pairs().filter_map(dialed).collect()
}

#[test]
fn of_each_pair_one_dials() {
    let peers = peers(7);
    let of = |own: usize| {
        let addresses = Dialing::new(peers[own].0.clone(), peers.clone().into_iter()).addresses();
        assert_eq!(addresses.len(), 7);
        dialed(&addresses)
    };
    for one in 0..7 {
        for other in one + 1..7 {
            assert!(of(one).contains(&peers[other].0) && !of(other).contains(&peers[one].0), "{one} and {other}");
        }
    }
}

#[test]
fn who_waits_dials_once_in_a_round_and_touches_no_connection() {
    let peers = peers(4);
    let mut dialing = Dialing::new(peers[3].0.clone(), peers.clone().into_iter());
    let connected = [peers[1].0.clone()];
    for _ in 0..3 {
        for step in 1..=ROUND {
            let turned = dialing.step(&connected);
            let expected = match step {
                1 if dialing.steps > ROUND => 2,
                ROUND => 2,
                _ => 0,
            };
            assert_eq!(turned.len(), expected, "step {step}");
            assert_eq!(dialed(&turned).len(), if step == ROUND { 2 } else { 0 }, "step {step}");
            assert!(turned.get_value(&peers[1].0).is_none());
        }
    }
}

#[test]
fn who_dials_goes_on_dialing() {
    let peers = peers(4);
    let mut dialing = Dialing::new(peers[0].0.clone(), peers.clone().into_iter());
    assert!((0..3 * ROUND).all(|_| dialing.step(&[]).is_empty()));
    assert_eq!(dialed(&dialing.addresses()).len(), 4);
}

#[test]
fn a_new_set_changes_nobody_who_stays() {
    let peers = peers(4);
    let mut dialing = Dialing::new(peers[3].0.clone(), peers.clone().into_iter());
    (0..ROUND).for_each(|_| drop(dialing.step(&[])));
    let before = dialing.addresses();
    assert_eq!(dialed(&before).len(), 4);
    dialing.set(peers[1..].iter().cloned());
    let after = dialing.addresses();
    assert_eq!(after.len(), 3);
    for peer in &peers[1..] {
        assert_eq!(after.get_value(&peer.0), before.get_value(&peer.0));
    }
}
