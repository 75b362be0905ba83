//! What proposers sign: one payload a round whatever crashes, and two only with two disks, which everybody can prove.
#![allow(clippy::unwrap_used)]

use std::{sync::atomic::Ordering, time::Duration};

use commonware_runtime::{
    Clock as _, Runner as _,
    deterministic::{Context, Runner},
};
use freehold_crypto::{payload_digest, proposal_message, verify_ed25519};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    common::Net,
    stage::{addresses, runner},
};

const LIMIT: Duration = Duration::from_secs(120);

fn network(seed: u64) -> Net {
    let net = Net::new(4, seed, addresses(4));
    net.knobs.iter().for_each(|knobs| knobs.pace_ms.store(10, Ordering::Relaxed));
    net
}

#[test]
fn power_cuts_make_nobody_sign_two_payloads_of_one_round() {
    for seed in 0..3 {
        let net = network(seed);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut current = runner(seed);
        for cut in 0..8 {
            // Another size each time: what is proposed again after a cut is another payload.
            net.knobs.iter().for_each(|knobs| knobs.bytes.store(cut + 1, Ordering::Relaxed));
            let moment = Duration::from_millis(rng.random_range(1_600..2_400));
            let ((), checkpoint) = current.start_and_recover(async |context: Context| {
                let mut handles = Vec::new();
                for index in 0..4 {
                    handles.push(net.start(&context, index).await);
                }
                context.sleep(moment).await;
                std::mem::forget(handles);
            });
            net.check_order();
            net.check_signed_once();
            current = Runner::from(checkpoint);
        }
        assert!(net.height(0) > 8, "seed {seed}: too little happened between the cuts");
    }
}

#[test]
fn a_restart_costs_views_and_no_timeouts() {
    let net = network(5);
    let (began, checkpoint) = runner(5).start_and_recover(async |context: Context| {
        let mut handles = Vec::new();
        for index in 0..4 {
            handles.push(net.start(&context, index).await);
        }
        net.reach(&context, &[0, 1, 2, 3], 20, LIMIT).await;
        std::mem::forget(handles);
        context.current()
    });
    let before = (0..4).map(|index| net.height(index)).max().unwrap();
    let ended = Runner::from(checkpoint).start(async |context: Context| {
        let mut handles = Vec::new();
        for index in 0..4 {
            handles.push(net.start(&context, index).await);
        }
        net.reach(&context, &[0, 1, 2, 3], before + 5, LIMIT).await;
        context.current()
    });
    // The warm-up alone may take 1.5 s; sixteen views that time out would take 6.4 s more.
    let took = ended.duration_since(began).unwrap();
    assert!(took < Duration::from_secs(4), "{took:?} until the chain went on");
}

#[test]
fn a_proposer_with_two_disks_splits_nothing_and_is_caught() {
    let (net, twin) = (network(6), network(6));
    runner(6).start(async |context: Context| {
        let mut handles = Vec::new();
        for index in 0..4 {
            handles.push(net.start(&context, index).await);
        }
        // The one that all others wait for, so that each takes whichever of the two comes first.
        let mut settings = net.validator(0);
        settings.partition = "twin".to_owned();
        settings.listen.set_port(20_900);
        twin.knobs[0].bytes.store(64, Ordering::Relaxed);
        let _twin = twin.start_with(&context, 0, settings).await;
        net.reach(&context, &[1, 2, 3], 60, LIMIT).await;
    });
    net.check_order();
    let shared = net.shared.lock().unwrap();
    let twice = shared.signed.values().filter(|digests| digests.len() > 1).count();
    assert!(twice > 0, "the twins never signed in one round");
    // Validators found proofs of it that anybody can check.
    assert!(!shared.doubles.is_empty(), "{twice} rounds with two payloads, and nobody noticed");
    for found in &shared.doubles {
        let (one, other) = (&found.one, &found.other);
        assert_eq!((one.head.term, one.head.view), (other.head.term, other.head.view));
        assert_ne!(one.head, other.head);
        for signed in [one, other] {
            assert_eq!(signed.head.proposer, 0);
            let message = proposal_message(&payload_digest(&signed.head));
            verify_ed25519(&net.genesis.validators[0], &message, &signed.signature.0).unwrap();
        }
    }
}
