//! Foundings in one process: loss, crashes between any two acts, lost disks, a founder that lies.

use std::time::UNIX_EPOCH;

use freehold_primitives::{Blob, KeyCeremony, Membership};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::{state::ATTEMPT_TIME, *};
use crate::{config::committees, keys::ShareKind};

const COUNT: usize = 4;

struct Founder {
    founding: Founding,
    state: Option<State>,
    disk: Vec<Zeroizing<Vec<u8>>>,
    made: Option<Made>,
}

struct World {
    founders: Vec<Founder>,
    flying: Vec<(Ed25519Key, usize, Vec<u8>)>,
    rng: StdRng,
    now: SystemTime,
    loss_percent: u32,
    /// Acts after which the next crash happens, if one is due.
    crash_after: Option<usize>,
}

use std::time::SystemTime;

fn draft(identities: &[IdentityKey]) -> Genesis {
    Genesis {
        chain_id: 7,
        purpose: freehold_primitives::Purpose::Production,
        timestamp_ms: 1_000,
        epoch_s: 600,
        lease_s: 600,
        validators: identities.iter().map(IdentityKey::public).collect(),
        consensus_polynomial: Blob(vec![]),
        derivation_polynomial: vec![],
        key_ceremony: KeyCeremony::Distributed,
        trust_roots: vec![],
        allocations: vec![],
        membership: Membership::default(),
    }
}

fn foundings(count: usize) -> Vec<Founding> {
    let mut identities: Vec<_> =
        (0..count as u64).map(|seed| IdentityKey::generate(&mut StdRng::seed_from_u64(seed))).collect();
    identities.sort_by_key(IdentityKey::public);
    let draft = draft(&identities);
    let address = |index: usize| SocketAddr::from(([127, 0, 0, 1], 1_000 + u16::try_from(index).unwrap()));
    let peers: Vec<_> = identities.iter().enumerate().map(|(index, key)| (key.public(), address(index))).collect();
    let founding = |(index, identity): (usize, IdentityKey)| Founding {
        identity,
        draft: draft.clone(),
        listen: address(index),
        peers: peers.clone(),
        reach: Reach::Local,
        partition: "p".to_owned(),
        finished: None,
    };
    identities.into_iter().enumerate().map(founding).collect()
}

impl World {
    fn new(count: usize, seed: u64) -> Self {
        let founder = |founding| Founder { founding, state: None, disk: Vec::new(), made: None };
        Self {
            founders: foundings(count).into_iter().map(founder).collect(),
            flying: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            now: UNIX_EPOCH,
            loss_percent: 0,
            crash_after: None,
        }
    }

    fn start(&mut self, index: usize) {
        let founder = &mut self.founders[index];
        let (state, acts) = State::begin(founder.founding.clone(), &founder.disk, &mut self.rng).unwrap();
        founder.state = Some(state);
        self.perform(index, acts);
    }

    /// Carries acts out; a crash between two of them loses the rest and the memory.
    fn perform(&mut self, index: usize, acts: Vec<Act>) {
        let from = self.founders[index].founding.identity.public();
        for act in acts {
            if let Some(left) = self.crash_after {
                self.crash_after = left.checked_sub(1);
                if left == 0 {
                    self.founders[index].state = None;
                    return;
                }
            }
            match act {
                Act::Keep(record) => self.founders[index].disk.push(record),
                Act::Begin(record) => self.founders[index].disk = vec![record],
                Act::Send(to, frame) => {
                    let to = self.founders.iter().position(|other| other.founding.identity.public() == to).unwrap();
                    self.flying.push((from, to, frame.to_vec()));
                }
                Act::Broadcast(frame) => {
                    let others = (0..self.founders.len()).filter(|other| *other != index);
                    self.flying.extend(others.map(|other| (from, other, frame.to_vec())));
                }
                Act::Founded(made) => self.founders[index].made = Some(made),
            }
        }
    }

    fn step(&mut self) {
        let mut flying = std::mem::take(&mut self.flying);
        flying.shuffle(&mut self.rng);
        for (from, to, frame) in flying {
            if self.rng.random_range(0..100) < self.loss_percent {
                continue;
            }
            let Some(state) = self.founders[to].state.as_mut() else { continue };
            let acts = state.receive(&from, &frame, &mut self.rng).unwrap().unwrap_or_default();
            self.perform(to, acts);
        }
        self.now += TICK;
        for index in 0..self.founders.len() {
            let Some(state) = self.founders[index].state.as_mut() else { continue };
            let acts = state.tick(self.now, &mut self.rng).unwrap();
            self.perform(index, acts);
        }
    }

    fn run(&mut self, steps_max: usize) {
        for _ in 0..steps_max {
            self.step();
            if self.founders.iter().all(|founder| founder.state.as_ref().is_some_and(State::is_over)) {
                return;
            }
        }
    }

    /// Everybody has the same genesis and state root keys, and shares that fit.
    fn check(&self) -> Genesis {
        let made: Vec<_> = self.founders.iter().map(|founder| founder.made.as_ref().expect("not founded")).collect();
        for (index, founded) in made.iter().enumerate() {
            assert_eq!(founded.genesis, made[0].genesis);
            let (committee, _) = committees(&founded.genesis).unwrap();
            let own = founded.genesis.validators[index];
            assert!(committee.is_share_of(&own, &founded.consensus, ShareKind::Consensus));
            let polynomial = freehold_crypto::Polynomial::new(&founded.genesis.derivation_polynomial).unwrap();
            let share =
                freehold_crypto::Share::from_bytes(founded.derivation.index(), founded.derivation.scalar()).unwrap();
            assert_eq!(share.check(&polynomial), Ok(()));
            assert_eq!(founded.state_keys.len(), FOUNDING_GENERATIONS as usize);
            assert!(founded.state_keys == made[0].state_keys, "state root keys differ");
        }
        made[0].genesis.clone()
    }
}

#[test]
fn four_found_a_network_over_a_lossy_link() {
    let mut world = World::new(COUNT, 1);
    world.loss_percent = 30;
    (0..COUNT).for_each(|index| world.start(index));
    world.run(200);
    let genesis = world.check();
    assert_ne!(crate::keys::network_key(&genesis).unwrap(), genesis.derivation_polynomial[0]);
    assert_eq!(genesis.key_ceremony, KeyCeremony::Distributed);
}

#[test]
fn one_founds_alone() {
    let mut world = World::new(1, 2);
    world.start(0);
    world.run(5);
    world.check();
}

#[test]
fn nothing_is_made_until_all_are_there() {
    let mut world = World::new(COUNT, 3);
    (0..3).for_each(|index| world.start(index));
    for _ in 0..50 {
        world.step();
    }
    assert!(world.founders.iter().all(|founder| founder.made.is_none()));
    world.start(3);
    world.run(100);
    world.check();
}

#[test]
fn crashes_between_any_two_acts_cost_nothing() {
    for seed in 0..10 {
        let mut world = World::new(COUNT, seed);
        world.loss_percent = 20;
        (0..COUNT).for_each(|index| world.start(index));
        for _ in 0..12 {
            let after = world.rng.random_range(0..40);
            world.crash_after = Some(after);
            world.step();
            world.step();
            world.crash_after = None;
            for index in 0..COUNT {
                if world.founders[index].state.is_none() && world.founders[index].made.is_none() {
                    world.start(index);
                }
            }
        }
        for index in 0..COUNT {
            if world.founders[index].state.is_none() {
                world.founders[index].founding.finished =
                    world.founders[index].made.as_ref().map(|made| (**made).clone());
                world.start(index);
            }
        }
        world.run(400);
        world.check();
    }
}

#[test]
fn founder_that_lost_its_disk_costs_one_attempt() {
    let mut world = World::new(COUNT, 4);
    (0..COUNT).for_each(|index| world.start(index));
    // One round trip: dealings are acknowledged, nobody has made anything.
    world.step();
    world.founders[2].disk.clear();
    world.founders[2].state = None;
    world.flying.clear();
    world.start(2);
    for _ in 0..8 {
        world.step();
    }
    assert!(world.founders.iter().all(|founder| founder.made.is_none()), "an old dealing and a new one were mixed");
    world.now += ATTEMPT_TIME;
    world.run(100);
    world.check();
    assert!(world.founders[0].state.as_ref().unwrap().progress().attempt > 0);
}

#[test]
fn finished_founders_help_one_that_stopped_before_the_last_word() {
    let mut world = World::new(COUNT, 5);
    (0..COUNT).for_each(|index| world.start(index));
    // Founder 3 makes the genesis and stops; the others have its confirmation and finish.
    while world.founders[3].state.as_ref().unwrap().progress().genesis.is_none() {
        world.step();
    }
    world.founders[3].state = None;
    for _ in 0..20 {
        world.step();
    }
    assert!(world.founders[..3].iter().all(|founder| founder.made.is_some()));
    assert!(world.founders[3].made.is_none());
    // They go away too, their working memory with them, and come back from what they wrote.
    for founder in &mut world.founders[..3] {
        founder.founding.finished = founder.made.as_ref().map(|made| (**made).clone());
        founder.disk.clear();
    }
    world.flying.clear();
    (0..COUNT).for_each(|index| world.start(index));
    world.run(50);
    world.check();
}

#[test]
fn founder_that_confirms_another_genesis_stops_everybody() {
    let mut world = World::new(COUNT, 6);
    (0..3).for_each(|index| world.start(index));
    world.start(3);
    let liar = world.founders[3].founding.identity.public();
    for _ in 0..30 {
        let attempt = world.founders[0].state.as_ref().unwrap().progress().attempt;
        let frame = wire::Frame { attempt, body: wire::Body::Confirm(Digest([9; 32])) }.to_bytes().to_vec();
        // Its true confirmations never arrive.
        world.flying.retain(|(from, _, frame)| {
            *from != liar
                || !wire::Frame::from_bytes(frame).is_some_and(|frame| matches!(frame.body, wire::Body::Confirm(_)))
        });
        for to in 0..3 {
            world.flying.push((liar, to, frame.clone()));
        }
        world.step();
    }
    assert!(world.founders[..3].iter().all(|founder| founder.made.is_none()));
}

#[test]
fn strangers_garbage_and_far_attempts_change_nothing() {
    let mut world = World::new(COUNT, 7);
    (0..COUNT).for_each(|index| world.start(index));
    let stranger = IdentityKey::generate(&mut StdRng::seed_from_u64(99)).public();
    let sender = world.founders[1].founding.identity.public();
    let here = |attempt| wire::Frame { attempt, body: wire::Body::Here }.to_bytes();
    let (near, far) = (here(0), here(500));
    let mut rng = StdRng::seed_from_u64(7);
    let state = world.founders[0].state.as_mut().unwrap();
    assert!(state.receive(&stranger, &near, &mut rng).unwrap().is_err());
    assert!(state.receive(&sender, &far, &mut rng).unwrap().is_err());
    for _ in 0..500 {
        let length = rng.random_range(0..200);
        let bytes: Vec<u8> = (0..length).map(|_| rng.random()).collect();
        assert!(state.receive(&sender, &bytes, &mut rng).unwrap().is_err());
    }
    assert_eq!(state.progress().attempt, 0);
    world.run(100);
    world.check();
}

#[test]
fn drafts_that_do_not_serve_are_refused() {
    let mut founding = foundings(COUNT).remove(0);
    assert_eq!(founding.check(), Ok(()));
    let good = founding.clone();
    founding.draft.key_ceremony = KeyCeremony::TrustedDealer;
    assert_eq!(founding.check(), Err(FoundingError::Draft));
    let mut founding = good.clone();
    founding.draft.consensus_polynomial = Blob(vec![1]);
    assert_eq!(founding.check(), Err(FoundingError::Draft));
    let mut founding = good.clone();
    let gone = founding.peers.pop().unwrap().0;
    assert_eq!(founding.check(), Err(FoundingError::Peer(gone)));
    let mut founding = good.clone();
    let twice = founding.peers[0];
    founding.peers.push(twice);
    assert_eq!(founding.check(), Err(FoundingError::Peer(twice.0)));
    let mut founding = good;
    founding.draft.validators.truncate(3);
    assert_eq!(founding.check(), Err(FoundingError::Keys(KeyError::Count(3))));
}
