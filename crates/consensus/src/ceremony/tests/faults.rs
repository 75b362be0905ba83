//! Liars, absentees, replays, lost disks and hostile bytes.

use super::*;

/// A message or statement that another `World` made, for replay.
fn messages_of(world: &World) -> Vec<(Ed25519Key, Ed25519Key, Vec<u8>)> {
    world.flying.clone()
}

#[test]
fn silent_player_blocks_the_round_and_reveals_nothing() {
    let before = committee(ShareKind::Derivation, 1);
    let four = identities(4);
    let mut world = reshare(1, &before, &four, 2);
    let silent = four[3].public();
    world.members[3].machine = None;
    world.run(4);
    assert!(world.chain.is_empty(), "a dealer posted a log without every acknowledgement");
    world.complain();
    let report = world.fail();
    assert_eq!(report.silent, vec![silent]);
    assert_eq!(report.disputes.len(), 3);
    assert!(report.disputes.iter().all(|(_, player)| *player == silent));
    // The old shares are in force; the next round has a candidate in the silent member's seat.
    let candidate = IdentityKey::generate(&mut StdRng::seed_from_u64(77));
    let mut players: Vec<_> = four.into_iter().filter(|member| member.public() != silent).chain([candidate]).collect();
    players.sort_by_key(IdentityKey::public);
    let mut world = reshare(2, &before, &players, 3);
    world.members.retain(|member| member.identity.public() != silent);
    world.run(4);
    let (after, shares) = world.succeed();
    assert_eq!(after.public_key(), before.0.public_key());
    assert_eq!(shares.iter().filter(|share| share.is_some()).count(), 4);
}

#[test]
fn pair_that_cannot_talk_is_named_and_one_lost_dealing_blocks_nothing() {
    let before = committee(ShareKind::Consensus, 2);
    let four = identities(4);
    let (first, second) = (four[0].public(), four[1].public());
    let mut world = reshare(1, &before, &four, 3);
    world.cut.insert((first, second));
    world.run(4);
    world.complain();
    let report = world.fail();
    assert_eq!(report, Report { silent: vec![], disputes: vec![(first, second), (second, first)] });

    let mut world = reshare(2, &before, &four, 3);
    world.deaf.insert((first, second));
    world.run(4);
    world.complain();
    assert_eq!(world.chain.len(), 4, "three logs and a complaint");
    let (_, shares) = world.succeed();
    assert!(shares.iter().all(Option::is_some));
}

#[test]
fn late_acknowledgement_after_a_complaint_still_makes_a_log() {
    let mut world = World::first(ShareKind::Consensus, 4);
    let (first, second) = (world.members[0].identity.public(), world.members[1].identity.public());
    world.cut.insert((first, second));
    world.run(3);
    world.complain();
    world.cut.clear();
    world.run(4);
    assert_eq!(world.members[0].machine.as_ref().unwrap().clean_dealers(), 4);
    world.succeed();
}

/// A dealer of the first key that deals by hand, and the world of the other three.
struct Liar {
    dealer: Dealer<MinSig, ed25519::PrivateKey>,
    public: Bytes,
    private: BTreeMap<Ed25519Key, Vec<u8>>,
    key: Ed25519Key,
    world: World,
}

fn liar(seed: u64) -> Liar {
    let mut world = World::first(ShareKind::Consensus, seed);
    let round = world.plan.clone().round().unwrap();
    let identity = world.members.remove(0).identity;
    world.flying.clear();
    let signer = identity.engine().clone();
    let (dealer, public, private) =
        Dealer::start::<N3f1>(StdRng::seed_from_u64(seed), round.info, signer, None).unwrap();
    let private = private.iter().map(|(to, scalar)| (our_key(to), scalar.encode().to_vec())).collect();
    Liar { dealer, public: public.encode(), private, key: identity.public(), world }
}

impl Liar {
    fn dealing(&self, public: &Bytes, private: &[u8]) -> Vec<u8> {
        let private = Zeroizing::new(private.to_vec());
        let plan = self.world.members[0].machine.as_ref().unwrap().digest();
        Direct { plan, body: DirectBody::Dealing { public: public.to_vec(), private } }.to_bytes().to_vec()
    }

    fn say(&mut self, index: usize, message: &[u8]) -> Result<Vec<Effect>, Refusal> {
        self.world.members[index].machine.as_mut().unwrap().receive(&self.key, message)
    }
}

#[test]
fn wrong_share_is_refused_and_the_liar_heard_eight_times() {
    let mut liar = liar(5);
    let wrong = liar.dealing(&liar.public, &[7; 32]);
    for _ in 0..BAD_DEALINGS_MAX {
        assert_eq!(liar.say(0, &wrong).err(), Some(Refusal::Dealing));
    }
    let to = liar.world.members[0].identity.public();
    let right = liar.dealing(&liar.public, &liar.private[&to].clone());
    assert_eq!(liar.say(0, &right).err(), Some(Refusal::Dealing), "it has lied too often");
    let to = liar.world.members[1].identity.public();
    let right = liar.dealing(&liar.public, &liar.private[&to].clone());
    assert_eq!(liar.say(1, &right).unwrap().len(), 2, "a record, then an acknowledgement");
}

#[test]
fn second_dealing_is_refused_and_the_first_acknowledged_again() {
    let (mut first, second) = (liar(6), liar(7));
    let to = first.world.members[0].identity.public();
    let (one, other) = (
        first.dealing(&first.public, &first.private[&to].clone()),
        first.dealing(&second.public, &second.private[&to].clone()),
    );
    let answer = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|effect| match effect {
            Effect::Send { message, .. } => Some(message.to_vec()),
            _ => None,
        })
    };
    let acknowledged = answer(first.say(0, &one).unwrap());
    assert_eq!(first.say(0, &other).err(), Some(Refusal::Equivocation));
    assert_eq!(answer(first.say(0, &one).unwrap()), acknowledged);
}

#[test]
fn log_that_reveals_does_not_count() {
    let mut liar = liar(8);
    // It deals to two of three others and to itself, and posts a log that reveals the third's share.
    let plan = liar.world.members[0].machine.as_ref().unwrap().digest();
    for index in 0..2 {
        let to = liar.world.members[index].identity.public();
        let message = liar.dealing(&liar.public, &liar.private[&to].clone());
        let effects = liar.say(index, &message).unwrap();
        let Some(Effect::Send { message, .. }) = effects.into_iter().nth(1) else { panic!("no acknowledgement") };
        let DirectBody::Acknowledgement { signature } = Direct::from_bytes(&message).unwrap().body else { panic!() };
        let acknowledgement = PlayerAck::decode(Copying(&signature)).unwrap();
        liar.dealer.receive_player_ack(engine_key(&to).unwrap(), acknowledgement).unwrap();
    }
    let log = liar.dealer.finalize::<N3f1>().encode().to_vec();
    let statement = Statement { plan, body: StatementBody::Log(log) }.to_canonical();
    liar.world.order(statement);
    assert_eq!(liar.world.chain.len(), 1, "it is ordered");
    assert_eq!(liar.world.members[0].machine.as_ref().unwrap().clean_dealers(), 0, "and does not count");
    let report = liar.world.fail();
    assert!(report.silent.contains(&liar.key), "it has no clean log and did not complain");
}

#[test]
fn messages_of_another_round_key_or_chain_are_refused() {
    let mut world = World::first(ShareKind::Consensus, 9);
    let other_key = World::first(ShareKind::Derivation, 9);
    let mut other_chain = plan(ShareKind::Consensus, &identities(4));
    other_chain.namespace = b"other".to_vec();
    let mut other_round = plan(ShareKind::Consensus, &identities(4));
    other_round.round = 1;
    let others = |plan| World::new(plan, identities(4).into_iter().map(|id| (id, None)).collect(), 9);
    for foreign in [other_key, others(other_chain), others(other_round)] {
        let mut tried = 0;
        for (from, to, message) in messages_of(&foreign) {
            let index = world.index(&to).unwrap();
            let refusal = world.members[index].machine.as_mut().unwrap().receive(&from, &message).err();
            assert_eq!(refusal, Some(Refusal::Round));
            tried += 1;
        }
        assert_eq!(tried, 12);
        let mut foreign = foreign;
        foreign.run(3);
        for statement in &foreign.chain {
            assert_eq!(world.members[0].machine.as_mut().unwrap().ordered(statement).err(), Some(Refusal::Round));
        }
        assert_eq!(foreign.chain.len(), 4);
        let kept: Vec<_> = foreign.members[0].disk.iter().map(|bytes| Record::from_bytes(bytes).unwrap()).collect();
        let identity = world.members[0].identity.clone();
        let begun = Ceremony::begin(world.plan.clone(), &identity, None, &kept, &mut StdRng::seed_from_u64(0));
        assert_eq!(begun.err().map(|error| error.to_string()), Some(CeremonyError::Record.to_string()));
    }
}

#[test]
fn dealing_in_anothers_name_is_refused() {
    let mut world = World::first(ShareKind::Consensus, 10);
    let (from, to, message) = world.flying[0].clone();
    let index = world.index(&to).unwrap();
    let stranger = IdentityKey::generate(&mut StdRng::seed_from_u64(99)).public();
    let machine = world.members[index].machine.as_mut().unwrap();
    assert_eq!(machine.receive(&stranger, &message).err(), Some(Refusal::Sender));
    assert!(machine.receive(&from, &message).is_ok());
}

#[test]
fn forged_and_malformed_complaints_are_refused() {
    let world = World::first(ShareKind::Consensus, 11);
    let machine = world.members[0].machine.as_ref().unwrap();
    let (plan, accuser) = (machine.digest(), &world.members[1].identity);
    let players = publics(&identities(4));
    let missing = |who: &[Ed25519Key]| Statement::complaint(plan, accuser, who.to_vec()).to_canonical();
    assert!(machine.check(&missing(&[players[0]])).is_ok());
    let stranger = IdentityKey::generate(&mut StdRng::seed_from_u64(99));
    let cases = [
        missing(&[]),
        missing(&[accuser.public()]),
        missing(&[stranger.public()]),
        missing(&[players[2], players[0]]),
        missing(&[players[0], players[0]]),
        Statement::complaint(plan, &stranger, vec![players[0]]).to_canonical(),
    ];
    for (number, case) in cases.iter().enumerate() {
        assert_eq!(machine.check(case).err(), Some(Refusal::Statement), "case {number}");
    }
    let mut forged = missing(&[players[0]]);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(machine.check(&forged).err(), Some(Refusal::Statement));
}

#[test]
fn member_that_lost_its_disk_after_acknowledging_has_no_share_and_harms_nobody() {
    let before = committee(ShareKind::Derivation, 12);
    let mut world = reshare(1, &before, &identities(4), 13);
    world.run(3);
    assert_eq!(world.chain.len(), 4);
    world.members[2].disk.clear();
    world.start(2);
    let (after, shares) = world.succeed();
    assert_eq!(after.public_key(), before.0.public_key());
    assert!(shares[2].is_none());
    assert_eq!(shares.iter().filter(|share| share.is_some()).count(), 3);
    // The next resharing gives it a share again: the other three deal.
    let holders: Vec<_> = identities(4).into_iter().zip(shares).collect();
    let plan = Plan {
        namespace: b"chain".to_vec(),
        kind: ShareKind::Derivation,
        round: 2,
        previous: Some(after.clone()),
        players: publics(&identities(4)),
    };
    let lost = Ceremony::begin(plan.clone(), &holders[2].0, None, &[], &mut StdRng::seed_from_u64(1));
    assert!(lost.is_ok(), "a member of the old committee without a share is a player only");
    let mut world = World::new(plan, holders, 14);
    world.run(3);
    assert_eq!(world.chain.len(), 3);
    let (healed, shares) = world.succeed();
    assert_eq!(healed.public_key(), before.0.public_key());
    assert!(shares.iter().all(Option::is_some));
}

#[test]
fn share_of_the_other_key_or_of_another_committee_is_refused() {
    let consensus = committee(ShareKind::Consensus, 15);
    let derivation = committee(ShareKind::Derivation, 15);
    let plan = Plan {
        namespace: b"chain".to_vec(),
        kind: ShareKind::Consensus,
        round: 1,
        previous: Some(consensus.0.clone()),
        players: publics(&identities(4)),
    };
    let mut rng = StdRng::seed_from_u64(1);
    let mut begin = |share: Option<&KeyShare>| {
        Ceremony::begin(plan.clone(), &consensus.1[0].0, share, &[], &mut rng).err().map(|error| error.to_string())
    };
    let refused = Some(CeremonyError::Share.to_string());
    assert_eq!(begin(derivation.1[0].1.as_ref()), refused);
    assert_eq!(begin(consensus.1[1].1.as_ref()), refused, "another member's share");
    assert_eq!(begin(consensus.1[0].1.as_ref()), None);
}

#[test]
fn hostile_bytes_change_nothing() {
    let mut world = World::first(ShareKind::Consensus, 16);
    let samples: Vec<_> = world.flying.iter().map(|(_, _, message)| message.clone()).collect();
    world.run(3);
    let statements = world.chain.clone();
    let mut rng = StdRng::seed_from_u64(16);
    let from = world.members[1].identity.public();
    let mut refused = 0;
    for sample in samples.iter().chain(&statements).cycle().take(600) {
        let mut bytes = sample.clone();
        match rng.random_range(0..3) {
            0 => bytes.truncate(rng.random_range(0..bytes.len())),
            1 => bytes.extend((0..rng.random_range(1..64)).map(|_| rng.random::<u8>())),
            _ => {
                let at = rng.random_range(0..bytes.len());
                bytes[at] ^= 1 << rng.random_range(0..8);
            }
        }
        let machine = world.members[0].machine.as_mut().unwrap();
        refused += usize::from(machine.receive(&from, &bytes).is_err());
        refused += usize::from(machine.check(&bytes).is_err());
        assert!(Record::from_bytes(&bytes).is_err() || bytes.len() > 33);
    }
    assert!(refused > 1_000, "{refused} of 1,200 were refused");
    world.succeed();
}

#[test]
fn identity_keys_of_the_engine_and_ours_agree() {
    let identity = &identities(1)[0];
    assert_eq!(our_key(&identity.engine().public_key()), identity.public());
}
