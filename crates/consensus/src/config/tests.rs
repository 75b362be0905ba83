//! Configurations that are refused before anything starts.
#![allow(clippy::unwrap_used)]

use freehold_primitives::{Digest, G1Point, KeyCeremony, Membership};
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::dealer::trusted_dealer;

fn validator(index: usize) -> Validator {
    let mut rng = StdRng::seed_from_u64(3);
    let mut identities: Vec<_> = (0..4).map(|_| IdentityKey::generate(&mut rng)).collect();
    identities.sort_by_key(IdentityKey::public);
    let validators: Vec<_> = identities.iter().map(IdentityKey::public).collect();
    let dealt = trusted_dealer(&mut rng, &validators).unwrap();
    let genesis = Genesis {
        chain_id: 7,
        purpose: freehold_primitives::Purpose::Development,
        timestamp_ms: 0,
        epoch_s: 600,
        lease_s: 600,
        validators: validators.clone(),
        consensus_polynomial: dealt.consensus_polynomial.clone(),
        derivation_polynomial: dealt.derivation_polynomial.clone(),
        key_ceremony: KeyCeremony::TrustedDealer,
        trust_roots: vec![],
        allocations: vec![],
        membership: Membership::default(),
    };
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Validator {
        identity: identities[index].clone(),
        shares: Some(GenesisShares {
            consensus: dealt.consensus_shares[index].clone(),
            derivation: dealt.derivation_shares[index].clone(),
        }),
        genesis,
        listen: address(9_000),
        peers: watch::channel(validators.into_iter().zip((9_000..).map(address)).collect()).1,
        partition: "validator-0".into(),
        start: Start::Genesis,
        timers: Timers::default(),
        reach: Reach::Local,
        gossip: vec![GossipChannel { message_bytes_max: 10, quota_per_s: 10 }],
    }
}

fn change_peers(config: &mut Validator, change: impl FnOnce(&mut Peers)) {
    let mut peers = config.peers.borrow().clone();
    change(&mut peers);
    config.peers = watch::channel(peers).1;
}

fn check(expect: Result<(), ConfigError>, change: impl FnOnce(&mut Validator)) {
    let mut config = validator(0);
    change(&mut config);
    assert_eq!(config.check(), expect);
}

#[test]
fn right_configuration() {
    check(Ok(()), |_| {});
    check(Ok(()), |config| {
        let own = config.identity.public();
        change_peers(config, |peers| peers.retain(|(key, _)| *key != own));
    });
    check(Ok(()), |config| config.shares = None);
}

#[test]
fn identity_outside_the_genesis_follows() {
    let stranger = IdentityKey::from_bytes(&[7; 32]);
    check(Ok(()), |config| (config.identity, config.shares) = (stranger.clone(), None));
    check(Err(ConfigError::Shares(stranger.public())), |config| config.identity = stranger.clone());
}

#[test]
fn shares_of_another() {
    let other = validator(1);
    check(Err(ConfigError::Shares(other.identity.public())), |config| config.identity = other.identity.clone());
    let own = validator(0).identity.public();
    check(Err(ConfigError::Shares(own)), |config| {
        let shares = config.shares.as_mut().unwrap();
        std::mem::swap(&mut shares.consensus, &mut shares.derivation);
    });
}

#[test]
fn term_too_short() {
    check(Err(ConfigError::Term), |config| config.genesis.membership.term_blocks = 31);
    check(Ok(()), |config| config.genesis.membership.term_blocks = 32);
}

#[test]
fn beginning_without_a_certificate() {
    let mut config = validator(0);
    let head = crate::block::genesis_payload(&config.genesis).head;
    let certificate = Certificate {
        term: 0,
        view: 1,
        parent_view: 0,
        payload: Digest([1; 32]),
        signature: G1Point([0; 48]),
        seed: G1Point([0; 48]),
    };
    let (consensus, derivation) = committees(&config.genesis).unwrap();
    config.start = Start::At(Box::new(Floor {
        head,
        certificate,
        consensus,
        derivation,
        waiting: None,
        masters: vec![],
        successions: vec![],
    }));
    assert!(matches!(config.check(), Err(ConfigError::Certificate(_))));
}

#[test]
fn production_with_a_trusted_dealer() {
    check(Err(ConfigError::TrustedDealer), |config| config.genesis.purpose = freehold_primitives::Purpose::Production);
}

#[test]
fn peer_without_address() {
    let key = validator(2).identity.public();
    let remove = |config: &mut Validator| change_peers(config, |peers| peers.retain(|(peer, _)| *peer != key));
    check(Err(ConfigError::Peer(key)), remove);
    // With terms there may be other validators by now.
    check(Ok(()), |config| {
        config.genesis.membership.term_blocks = 32;
        remove(config);
    });
}

#[test]
fn peer_twice() {
    let key = validator(2).identity.public();
    check(Err(ConfigError::Peer(key)), |config| {
        let listen = config.listen;
        change_peers(config, |peers| peers.push((key, listen)));
    });
}

#[test]
fn peer_that_is_no_validator() {
    let key = IdentityKey::from_bytes(&[7; 32]).public();
    let add = |config: &mut Validator| {
        let listen = config.listen;
        change_peers(config, |peers| peers.push((key, listen)));
    };
    check(Err(ConfigError::Peer(key)), add);
    check(Ok(()), |config| {
        config.genesis.membership.term_blocks = 32;
        add(config);
    });
}

#[test]
fn peer_that_is_no_key() {
    // y = 2 is on no point of the curve.
    let mut key = Ed25519Key([0; 32]);
    key.0[0] = 2;
    check(Err(ConfigError::Peer(key)), |config| {
        config.genesis.membership.term_blocks = 32;
        let listen = config.listen;
        change_peers(config, |peers| peers.push((key, listen)));
    });
}

#[test]
fn partition_outside_the_directory() {
    for name in ["", "../up", "a/b", "a.b"] {
        check(Err(ConfigError::Partition), |config| config.partition = name.into());
    }
    check(Err(ConfigError::Partition), |config| config.partition = "a".repeat(65));
}

#[test]
fn timers_out_of_order() {
    check(Err(ConfigError::Timers), |config| config.timers.certification = config.timers.leader);
    check(Err(ConfigError::Timers), |config| config.timers.skip = config.timers.retry);
    check(Err(ConfigError::Timers), |config| config.timers.leader = Duration::ZERO);
    check(Err(ConfigError::Timers), |config| config.timers.fetch = Duration::ZERO);
}

#[test]
fn gossip_above_its_bounds() {
    check(Err(ConfigError::Gossip), |config| config.gossip = vec![config.gossip[0]; GOSSIP_CHANNELS_MAX + 1]);
    check(Err(ConfigError::Gossip), |config| config.gossip[0].message_bytes_max = GOSSIP_BYTES_MAX + 1);
    check(Err(ConfigError::Gossip), |config| config.gossip[0].quota_per_s = 0);
}
