//! Masters of the derivation key on a running chain, on the deterministic runtime: another one is made beside the resharing,
//! the genesis' one and the newest are reshared, one that has ended is erased; with absentees, lost disks and crashes.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use commonware_runtime::{
    Blob as _, Clock as _, ReadOptions, Runner as _, Storage as _,
    deterministic::{Context, Runner},
};
use freehold_consensus::{Committee, Floor, MastersPlan, ShareKind, Start, TermKeys};
use freehold_crypto::{Derivation, EncryptedShare, Polynomial, Share, TransportSecret, encrypt_share};
use freehold_primitives::{AppId, Generation, Term, TermOutcome};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    common::Net,
    stage::{self, FOUR, Handles, TERM, in_force, runner, start_all},
};

const LIMIT: Duration = Duration::from_secs(200);

/// The first four of `count` identities, with terms; from these terms on these plans count.
fn network(count: u16, seed: u64, plans: &[(Term, &[Generation], Option<Generation>)]) -> Net {
    let net = stage::network(count, seed, 40);
    for (term, reshared, made) in plans {
        let plan = MastersPlan { reshared: reshared.to_vec(), made: *made };
        net.shared.lock().unwrap().masters.insert(*term, plan);
    }
    net
}

fn generations(keys: &TermKeys) -> Vec<Generation> {
    keys.masters.iter().map(|held| held.generation).collect()
}

/// An app's key under a master, from the shares that these validators hold of it.
fn release(held: &[TermKeys], generation: Generation) -> [u8; 48] {
    let of = |keys: &TermKeys| match keys.master(generation) {
        Some(master) => (master.committee.clone(), master.share.clone()),
        None => (keys.derivation.clone(), keys.derivation_share.clone()),
    };
    let committee: Committee = of(&held[0]).0;
    assert!(held.iter().all(|keys| of(keys).0 == committee), "committees differ");
    let polynomial = Polynomial::new(&committee.coefficients()).unwrap();
    let derivation = Derivation::new(polynomial.master(), &AppId::new([7; 20]), "root", generation).unwrap();
    let mut rng = StdRng::seed_from_u64(9);
    let transport = TransportSecret::generate(&mut rng);
    let shares: Vec<EncryptedShare> = held
        .iter()
        .filter_map(|keys| of(keys).1)
        .map(|share| {
            let share = Share::from_bytes(share.index(), share.scalar()).unwrap();
            encrypt_share(&share, &derivation, &transport.public(), &mut rng).unwrap()
        })
        .collect();
    *transport.recover(&polynomial, &derivation, &shares).unwrap().as_bytes()
}

/// Whether the scalar stands in what a validator keeps of its terms.
async fn keeps(context: &Context, index: usize, scalar: &[u8; 32]) -> bool {
    let partition = format!("validator-{index}-terms");
    let names = context.scan(&partition).await.unwrap();
    assert!(!names.is_empty(), "there is no vault in {partition}");
    for name in names {
        let (blob, length) = context.open(&partition, &name).await.unwrap();
        let bytes = blob.read_at(0, usize::try_from(length).unwrap(), ReadOptions::default()).await.unwrap().coalesce();
        if bytes.as_ref().windows(32).any(|window| window == scalar) {
            return true;
        }
    }
    false
}

#[test]
fn a_master_is_made_and_reshared_while_members_and_the_network_key_change() {
    let net = network(5, 1, &[(1, &[], Some(1)), (2, &[1], None)]);
    net.shared.lock().unwrap().asked.insert(1);
    net.set_players(2, &[0, 1, 2, 4]);
    let first = freehold_consensus::network_key(&net.genesis).unwrap();
    runner(1).start(async |context: Context| {
        let handles = start_all(&net, &context).await;
        net.reach(&context, &FOUR, TERM + 4, LIMIT).await;
        assert!(in_force(&handles, 0).masters.is_empty(), "a master is in force before its round is over");
        net.reach(&context, &FOUR, 2 * TERM + 4, LIMIT).await;
        let made: Vec<_> = FOUR.iter().map(|index| in_force(&handles, *index)).collect();
        assert!(made.iter().all(|keys| generations(keys) == [1] && keys.masters[0].share.is_some()));
        assert_eq!(made[0].masters[0].share.as_ref().unwrap().kind(), ShareKind::Master(1));
        let key = made[0].masters[0].committee.public_key();
        assert!(key != net.genesis.derivation_polynomial[0] && key != first);
        let (old, new) = (release(&made, 0), release(&made, 1));
        assert_ne!(old, new);
        // Terms later other members hold both, and derive the same keys.
        net.reach(&context, &[0, 1, 2, 4], 5 * TERM + 4, LIMIT).await;
        let later: Vec<_> = [0, 1, 2, 4].iter().map(|index| in_force(&handles, *index)).collect();
        for keys in &later {
            assert_eq!((keys.since, keys.derivation.public_key()), (5, net.genesis.derivation_polynomial[0]));
            assert_eq!(keys.masters[0].committee.public_key(), key);
            assert_ne!(keys.consensus.public_key(), first, "the network key was not succeeded beside it");
        }
        assert!(later[0].masters[0].committee != made[0].masters[0].committee, "the master was not reshared");
        assert_eq!((release(&later, 0), release(&later[1..], 1)), (old, new));
    });
    net.check_order();
    let turns = net.turns();
    assert!(turns.values().all(|turn| turn.outcome == TermOutcome::Reshared));
    assert!(turns.iter().all(|(term, turn)| turn.masters.len() == usize::from(*term >= 2)), "{turns:?}");
}

#[test]
fn shares_of_a_master_that_has_ended_are_erased_at_the_turn() {
    let net = network(4, 2, &[(1, &[], Some(1)), (2, &[1], Some(2)), (3, &[2], None)]);
    runner(2).start(async |context: Context| {
        let handles = start_all(&net, &context).await;
        net.reach(&context, &FOUR, 3 * TERM + 4, LIMIT).await;
        let both: Vec<_> = FOUR.iter().map(|index| in_force(&handles, *index)).collect();
        assert!(both.iter().all(|keys| generations(keys) == [1, 2]));
        let new = release(&both, 2);
        assert_ne!(new, release(&both, 1));
        // In this term nobody reshares the first of them: with its end the shares are gone.
        net.reach(&context, &FOUR, 4 * TERM + 4, LIMIT).await;
        let after: Vec<_> = FOUR.iter().map(|index| in_force(&handles, *index)).collect();
        assert!(after.iter().all(|keys| generations(keys) == [2]));
        assert_eq!(release(&after, 2), new);
        for handle in handles {
            handle.unwrap().stop().await;
        }
        for (index, (before, now)) in both.iter().zip(&after).enumerate() {
            let scalar = now.masters[0].share.as_ref().unwrap().scalar();
            assert!(keeps(&context, index, scalar).await, "the test looks for shares in the wrong place");
            for master in &before.masters {
                let scalar = master.share.as_ref().unwrap().scalar();
                assert!(!keeps(&context, index, scalar).await, "validator {index} keeps a share that is over");
            }
        }
    });
    net.check_order();
}

#[test]
fn an_absent_player_costs_terms_and_the_round_for_a_master_is_repeated() {
    let mut net = network(4, 3, &[(1, &[], Some(1))]);
    let net = runner(3).start(async move |context: Context| {
        let mut handles = start_all(&net, &context).await;
        net.reach(&context, &FOUR, 4, LIMIT).await;
        handles[3].take().unwrap().stop().await;
        net.reach(&context, &[0, 1, 2], 3 * TERM + 2, LIMIT).await;
        assert!(in_force(&handles, 0).masters.is_empty(), "a master was made without one of its players");
        net.readdress(3);
        handles[3] = Some(net.start(&context, 3).await);
        net.reach(&context, &FOUR, 6 * TERM + 4, LIMIT).await;
        let keys: Vec<_> = FOUR.iter().map(|index| in_force(&handles, *index)).collect();
        assert!(keys.iter().all(|held| generations(held) == [1] && held.masters[0].share.is_some()));
        release(&keys, 1);
        net
    });
    net.check_order();
    assert_eq!(net.turns()[&3].outcome, TermOutcome::Kept);
}

#[test]
fn a_validator_that_lost_its_disk_or_begins_in_the_middle_has_a_share_of_every_master() {
    let mut net = network(5, 4, &[(1, &[], Some(1)), (2, &[1], None)]);
    net.set_players(4, &[0, 1, 2, 4]);
    runner(4).start(async move |context: Context| {
        let mut handles: Handles = (0..5).map(|_| None).collect();
        for index in FOUR {
            handles[index] = Some(net.start(&context, index).await);
        }
        net.reach(&context, &FOUR, 3 * TERM + 4, LIMIT).await;
        let before: Vec<_> = FOUR.iter().map(|index| in_force(&handles, *index)).collect();
        let new = release(&before, 1);
        // One loses its disk; another one begins with the last payload of a term.
        handles[1].take().unwrap().stop().await;
        net.readdress(1);
        let mut settings = net.validator(1);
        (settings.partition, settings.shares) = ("wiped-1".to_owned(), None);
        handles[1] = Some(net.start_with(&context, 1, settings).await);
        let floor = floor(&handles, &before[0]).await;
        let mut settings = net.validator(4);
        settings.start = Start::At(Box::new(floor.clone()));
        handles[4] = Some(net.start_with(&context, 4, settings).await);
        // Committees of other members, or a master without a generation, are none to begin with.
        let mut other = net.validator(4);
        other.partition = "other".to_owned();
        for masters in [vec![(0, floor.masters[0].1.clone())], vec![(240, floor.masters[0].1.clone())]] {
            other.start = Start::At(Box::new(Floor { masters, ..floor.clone() }));
            assert!(other.check().is_err());
        }
        net.reach(&context, &[0, 1, 2, 4], 7 * TERM + 4, LIMIT).await;
        let after: Vec<_> = [1, 2, 4].iter().map(|index| in_force(&handles, *index)).collect();
        assert!(after.iter().all(|keys| keys.masters[0].share.is_some()), "a share is lost");
        assert_eq!(release(&after, 1), new);
    });
}

/// Where a validator may begin in a term, as the ledger proves it.
async fn floor(handles: &Handles, keys: &TermKeys) -> Floor {
    let history = handles[0].as_ref().unwrap().history();
    let last = keys.term * TERM - 1;
    Floor {
        head: history.payload(last).await.unwrap().head,
        certificate: history.certificate(last).await.unwrap(),
        consensus: keys.consensus.clone(),
        derivation: keys.derivation.clone(),
        masters: keys.masters.iter().map(|held| (held.generation, held.committee.clone())).collect(),
        waiting: None,
        successions: vec![],
    }
}

#[test]
fn power_cuts_while_masters_are_made_and_end_lose_nothing() {
    for seed in 0..2 {
        let net = network(4, seed, &[(1, &[], Some(1)), (2, &[1], None)]);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut current = runner(seed);
        for _ in 0..5 {
            let moment = Duration::from_millis(rng.random_range(700..2_500));
            let ((), checkpoint) = current.start_and_recover(async |context: Context| {
                let handles = start_all(&net, &context).await;
                context.sleep(moment).await;
                std::mem::forget(handles);
            });
            net.check_order();
            current = Runner::from(checkpoint);
        }
        current.start(async |context: Context| {
            let handles = start_all(&net, &context).await;
            let before = FOUR.iter().map(|index| net.height(*index)).max().unwrap();
            net.reach(&context, &FOUR, (before / TERM + 2).max(4) * TERM + 4, LIMIT).await;
            let keys: Vec<_> = FOUR.iter().map(|index| in_force(&handles, *index)).collect();
            assert!(keys.iter().all(|held| generations(held) == generations(&keys[0])));
            if !keys[0].masters.is_empty() {
                assert!(keys.iter().all(|held| held.masters[0].share.is_some()), "a share is lost");
                release(&keys, 1);
            }
        });
        net.check_order();
    }
}
