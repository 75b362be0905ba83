//! Configurations that are refused before anything starts.
#![allow(clippy::unwrap_used)]

use freehold_primitives::{KeyCeremony, Membership};
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{
    dealer::trusted_dealer,
    keys::{GenesisKeys, KeySource as _},
};

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
        keys: GenesisKeys::new(&genesis, &dealt.consensus_shares[index]).unwrap().key_material(0).unwrap(),
        genesis,
        listen: address(9_000),
        peers: validators.into_iter().zip((9_000..).map(address)).collect(),
        partition: "validator-0".into(),
        resharing: None,
        timers: Timers::default(),
        reach: Reach::Local,
        gossip: vec![GossipChannel { message_bytes_max: 10, quota_per_s: 10 }],
    }
}

fn check(expect: Result<(), ConfigError>, change: impl FnOnce(&mut Validator)) {
    let mut config = validator(0);
    change(&mut config);
    assert_eq!(config.check(), expect);
}

#[test]
fn right_configuration() {
    check(Ok(()), |_| {});
    check(Ok(()), |config| config.peers.retain(|(key, _)| *key != config.identity.public()));
}

#[test]
fn identity_of_another() {
    let other = validator(1).identity;
    check(Err(ConfigError::Identity(other.public())), |config| config.identity = other.clone());
}

#[test]
fn production_with_a_trusted_dealer() {
    check(Err(ConfigError::TrustedDealer), |config| config.genesis.purpose = freehold_primitives::Purpose::Production);
}

#[test]
fn peer_without_address() {
    let key = validator(2).identity.public();
    check(Err(ConfigError::Peer(key)), |config| config.peers.retain(|(peer, _)| *peer != key));
}

#[test]
fn peer_twice() {
    let key = validator(2).identity.public();
    check(Err(ConfigError::Peer(key)), |config| config.peers.push((key, config.listen)));
}

#[test]
fn peer_that_is_no_validator() {
    let key = Ed25519Key([3; 32]);
    check(Err(ConfigError::Peer(key)), |config| config.peers.push((key, config.listen)));
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
