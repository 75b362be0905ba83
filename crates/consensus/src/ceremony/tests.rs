//! Rounds in one process: a lossy, reordering network and crashes from a seed, liars, and hostile bytes.

use std::collections::BTreeSet;

use commonware_cryptography::{
    Signer as _,
    bls12381::dkg::feldman_desmedt::{Dealer, SignedDealerLog},
};
use commonware_utils::NZU32;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::*;
use crate::keys::ShareKind;

mod faults;

/// A member: its machine, and the disk that outlives it.
struct Member {
    identity: IdentityKey,
    share: Option<KeyShare>,
    machine: Option<Ceremony>,
    disk: Vec<Vec<u8>>,
}

/// A round among members, with everything that is on its way.
struct World {
    plan: Plan,
    members: Vec<Member>,
    /// From, to, message.
    flying: Vec<(Ed25519Key, Ed25519Key, Vec<u8>)>,
    posted: Vec<Vec<u8>>,
    chain: Vec<Vec<u8>>,
    rng: StdRng,
    /// Pairs between which nothing passes.
    cut: BTreeSet<(Ed25519Key, Ed25519Key)>,
    /// Dealer and player between which dealings do not pass.
    deaf: BTreeSet<(Ed25519Key, Ed25519Key)>,
    loss_percent: u32,
}

fn identities(count: u64) -> Vec<IdentityKey> {
    let mut identities: Vec<_> =
        (0..count).map(|seed| IdentityKey::generate(&mut StdRng::seed_from_u64(seed))).collect();
    identities.sort_by_key(IdentityKey::public);
    identities
}

fn publics(identities: &[IdentityKey]) -> Vec<Ed25519Key> {
    identities.iter().map(IdentityKey::public).collect()
}

fn plan(kind: ShareKind, players: &[IdentityKey]) -> Plan {
    Plan { namespace: b"chain".to_vec(), kind, round: 0, previous: None, players: publics(players) }
}

impl World {
    fn new(plan: Plan, members: Vec<(IdentityKey, Option<KeyShare>)>, seed: u64) -> Self {
        let member = |(identity, share)| Member { identity, share, machine: None, disk: Vec::new() };
        let members = members.into_iter().map(member).collect();
        let mut world = Self {
            plan,
            members,
            flying: Vec::new(),
            posted: Vec::new(),
            chain: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            cut: BTreeSet::new(),
            deaf: BTreeSet::new(),
            loss_percent: 0,
        };
        (0..world.members.len()).for_each(|index| world.start(index));
        world
    }

    /// The first key of four members.
    fn first(kind: ShareKind, seed: u64) -> Self {
        let four = identities(4);
        Self::new(plan(kind, &four), four.into_iter().map(|identity| (identity, None)).collect(), seed)
    }

    /// Starts a member, or starts it again from its disk and the chain.
    fn start(&mut self, index: usize) {
        let member = &mut self.members[index];
        let kept: Vec<_> = member.disk.iter().map(|bytes| Record::from_bytes(bytes).unwrap()).collect();
        let (plan, share) = (self.plan.clone(), member.share.clone());
        let share = share.filter(|_| plan.previous.is_some());
        let (mut machine, effects) =
            Ceremony::begin(plan, &member.identity, share.as_ref(), &kept, &mut self.rng).unwrap();
        for statement in &self.chain {
            machine.ordered(statement).unwrap();
        }
        member.machine = Some(machine);
        self.apply(index, effects);
    }

    fn apply(&mut self, index: usize, effects: Vec<Effect>) {
        let from = self.members[index].identity.public();
        for effect in effects {
            match effect {
                Effect::Keep(record) => self.members[index].disk.push(record.to_bytes().to_vec()),
                Effect::Send { to, message } => self.flying.push((from, to, message.to_vec())),
                Effect::Post(statement) => self.posted.push(statement),
            }
        }
    }

    fn index(&self, key: &Ed25519Key) -> Option<usize> {
        self.members.iter().position(|member| member.identity.public() == *key)
    }

    /// Delivers what flies, in any order, losing some; then orders what was posted and resends, `times` times.
    fn run(&mut self, times: usize) {
        for _ in 0..times {
            let mut flying = std::mem::take(&mut self.flying);
            flying.shuffle(&mut self.rng);
            for (from, to, message) in flying {
                let dealing = matches!(Direct::from_bytes(&message).unwrap().body, DirectBody::Dealing { .. });
                let lost =
                    self.rng.random_range(0..100) < self.loss_percent || (dealing && self.deaf.contains(&(from, to)));
                let Some(index) = self.index(&to).filter(|_| !lost && !self.cut.contains(&(from, to))) else {
                    continue;
                };
                let Some(machine) = self.members[index].machine.as_mut() else { continue };
                let effects = machine.receive(&from, &message).unwrap_or_default();
                self.apply(index, effects);
            }
            self.order_posted();
            for index in 0..self.members.len() {
                let effects = self.members[index].machine.as_ref().map(Ceremony::resend).unwrap_or_default();
                self.apply(index, effects);
            }
        }
    }

    fn order_posted(&mut self) {
        for statement in std::mem::take(&mut self.posted) {
            self.order(statement);
        }
    }

    fn order(&mut self, statement: Vec<u8>) {
        let machines = self.members.iter_mut().filter_map(|member| member.machine.as_mut());
        let verdicts: BTreeSet<_> = machines.map(|machine| machine.ordered(&statement).is_ok()).collect();
        assert_eq!(verdicts.len(), 1, "members disagree about a statement");
        if verdicts.contains(&true) {
            self.chain.push(statement);
        }
    }

    fn complain(&mut self) {
        for index in 0..self.members.len() {
            let effects = self.members[index].machine.as_mut().map(Ceremony::complain).unwrap_or_default();
            self.apply(index, effects);
        }
        self.order_posted();
    }

    fn close(&mut self) -> Vec<Outcome> {
        let rng = &mut self.rng;
        self.members.iter_mut().filter_map(|member| member.machine.take()).map(|machine| machine.close(rng)).collect()
    }

    /// Closes a round that must succeed, and gives the committee and everybody's share.
    fn succeed(&mut self) -> (Committee, Vec<Option<KeyShare>>) {
        let mut committees = Vec::new();
        let mut shares = Vec::new();
        let running = self.members.iter().filter(|member| member.machine.is_some());
        let keys: Vec<_> = running.map(|member| engine_key(&member.identity.public()).unwrap()).collect();
        for (key, outcome) in keys.iter().zip(self.close()) {
            let Outcome::Success { committee, share } = outcome else { panic!("the round failed") };
            if let Some(share) = &share {
                assert!(committee.holds(key, share), "a share does not fit the polynomial");
            }
            committees.push(committee);
            shares.push(share);
        }
        assert!(committees.windows(2).all(|pair| pair[0] == pair[1]), "members disagree about the committee");
        (committees.swap_remove(0), shares)
    }

    fn fail(&mut self) -> Report {
        let report = |outcome| match outcome {
            Outcome::Failure(report) => report,
            Outcome::Success { .. } => panic!("the round succeeded"),
        };
        let reports: Vec<_> = self.close().into_iter().map(report).collect();
        assert!(reports.windows(2).all(|pair| pair[0] == pair[1]), "members disagree about the report");
        reports[0].clone()
    }
}

/// A committee of four with its shares.
fn committee(kind: ShareKind, seed: u64) -> (Committee, Vec<(IdentityKey, Option<KeyShare>)>) {
    let mut world = World::first(kind, seed);
    world.run(3);
    let (committee, shares) = world.succeed();
    (committee, identities(4).into_iter().zip(shares).collect())
}

/// A resharing from a committee to `players`, who may be new.
fn reshare(
    round: u64,
    (committee, holders): &(Committee, Vec<(IdentityKey, Option<KeyShare>)>),
    players: &[IdentityKey],
    seed: u64,
) -> World {
    let plan = Plan {
        namespace: b"chain".to_vec(),
        kind: holders[0].1.as_ref().unwrap().kind(),
        round,
        previous: Some(committee.clone()),
        players: publics(players),
    };
    let held = publics(&holders.iter().map(|(identity, _)| identity.clone()).collect::<Vec<_>>());
    let new = players.iter().filter(|player| !held.contains(&player.public()));
    let members = holders.iter().cloned().chain(new.map(|player| (player.clone(), None))).collect();
    World::new(plan, members, seed)
}

#[test]
fn four_make_two_keys_that_nobody_held() {
    let (consensus, shares) = committee(ShareKind::Consensus, 1);
    let (derivation, _) = committee(ShareKind::Derivation, 1);
    assert_ne!(consensus.public_key(), derivation.public_key());
    assert_eq!(consensus.coefficients().len(), 3);
    assert_eq!(consensus.coefficients()[0], consensus.public_key());
    let scalars: BTreeSet<_> = shares.iter().map(|(_, share)| *share.as_ref().unwrap().scalar()).collect();
    assert_eq!(scalars.len(), 4);
}

#[test]
fn one_validator_makes_a_key_alone() {
    let one = identities(1);
    let mut world = World::new(plan(ShareKind::Consensus, &one), vec![(one[0].clone(), None)], 1);
    world.run(1);
    let (committee, shares) = world.succeed();
    assert_eq!(committee.coefficients().len(), 1);
    assert!(shares[0].is_some());
}

#[test]
fn committee_survives_both_encodings() {
    let (made, _) = committee(ShareKind::Derivation, 3);
    assert!(Committee::new(&made.keys(), &made.polynomial()).unwrap() == made);
    assert!(Committee::from_coefficients(&made.keys(), &made.coefficients()).unwrap() == made);
    assert_eq!(
        Committee::from_coefficients(&made.keys(), &made.coefficients()[..2]).err(),
        Some(KeyError::Polynomial),
        "a polynomial below the quorum"
    );
}

#[test]
fn resharing_keeps_the_key_and_changes_every_share() {
    let before = committee(ShareKind::Derivation, 4);
    let mut world = reshare(1, &before, &identities(4), 5);
    world.run(3);
    let (after, shares) = world.succeed();
    assert_eq!(after.public_key(), before.0.public_key());
    assert!(after != before.0);
    for ((identity, old), new) in before.1.iter().zip(&shares) {
        let key = engine_key(&identity.public()).unwrap();
        assert!(!after.holds(&key, old.as_ref().unwrap()), "an old share fits the new polynomial");
        assert!(!before.0.holds(&key, new.as_ref().unwrap()), "a new share fits the old polynomial");
    }
}

#[test]
fn members_change_and_the_key_stays() {
    let before = committee(ShareKind::Consensus, 6);
    // One of four leaves, another joins: the leaver deals for the last time.
    let five = identities(5);
    let left = five.iter().position(|identity| before.1.iter().any(|(held, _)| held.public() == identity.public()));
    let players: Vec<_> =
        five.iter().enumerate().filter(|(index, _)| Some(*index) != left).map(|(_, id)| id.clone()).collect();
    let mut world = reshare(1, &before, &players, 7);
    world.run(3);
    let (after, shares) = world.succeed();
    assert_eq!(after.public_key(), before.0.public_key());
    assert_eq!(after.keys(), publics(&players));
    assert_eq!(shares.iter().filter(|share| share.is_some()).count(), 4);
    // And four become seven.
    let holders = world.members.into_iter().zip(shares).filter(|(_, share)| share.is_some());
    let next = (after, holders.map(|(member, share)| (member.identity, share)).collect());
    let seven: Vec<_> = {
        let mut seven = players;
        seven.extend((10..13).map(|seed| IdentityKey::generate(&mut StdRng::seed_from_u64(seed))));
        seven.sort_by_key(IdentityKey::public);
        seven
    };
    let mut world = reshare(2, &next, &seven, 8);
    world.run(3);
    let (grown, _) = world.succeed();
    assert_eq!(grown.public_key(), before.0.public_key());
    assert_eq!(grown.coefficients().len(), 5);
}

#[test]
fn loss_and_crashes_at_any_moment_cost_nothing() {
    for seed in 0..12 {
        let before = committee(ShareKind::Consensus, seed);
        let mut world = reshare(1, &before, &identities(4), seed);
        world.loss_percent = 40;
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..30 {
            world.run(1);
            let victim = rng.random_range(0..4);
            world.start(victim);
        }
        assert_eq!(world.chain.len(), 4, "seed {seed}: a log is missing or doubled");
        let (after, shares) = world.succeed();
        assert_eq!(after.public_key(), before.0.public_key(), "seed {seed}");
        assert!(shares.iter().all(Option::is_some), "seed {seed}: a share is lost");
    }
}

#[test]
fn bounds_hold_for_the_largest_committee() {
    let log = SignedDealerLog::<MinSig, ed25519::PublicKey>::max_encode_size(NZU32!(64));
    assert!(log + 1 + 32 + 1 + 4 <= STATEMENT_BYTES_MAX, "{log}");
    let public = DealerPubMsg::<MinSig>::max_encode_size(VALIDATORS_COUNT_MAX);
    assert!(1 + 32 + 1 + 4 + public + 32 <= DIRECT_BYTES_MAX, "{public}");
}
