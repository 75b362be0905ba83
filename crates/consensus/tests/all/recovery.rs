//! The recovery drill (`docs/recovery.md`): disks are lost in turn, one a term, and an app's key is released through all of
//! it; with two disks lost at once the same key still stands on the two that are left, and no longer comes.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use commonware_runtime::{Clock as _, Runner as _, deterministic::Context};
use freehold_consensus::{TermKeys, ValidatorHandle};
use freehold_crypto::{Derivation, EncryptedShare, Polynomial, Share, ThresholdError, TransportSecret, encrypt_share};
use freehold_primitives::AppId;
use rand::{SeedableRng as _, rngs::StdRng};

use crate::{
    common::Net,
    stage::{self, TERM, runner, start_all},
};

const LIMIT: Duration = Duration::from_secs(120);

fn in_force(handle: &ValidatorHandle) -> TermKeys {
    handle.term_keys().borrow().clone()
}

/// An app's key from the shares of these validators, as the key service releases it: each share for one transport key,
/// opened under the polynomial of their term.
fn release(handles: &[&ValidatorHandle]) -> Result<[u8; 48], ThresholdError> {
    let all: Vec<TermKeys> = handles.iter().map(|handle| in_force(handle)).collect();
    let polynomial = Polynomial::new(&all[0].derivation.coefficients())?;
    let derivation = Derivation::new(polynomial.master(), &AppId::new([7; 20]), "root", 0)?;
    let mut rng = StdRng::seed_from_u64(9);
    let transport = TransportSecret::generate(&mut rng);
    let shares: Vec<EncryptedShare> = all
        .iter()
        .filter_map(|keys| keys.derivation_share.as_ref())
        .map(|share| {
            let share = Share::from_bytes(share.index(), share.scalar()).unwrap();
            encrypt_share(&share, &derivation, &transport.public(), &mut rng).unwrap()
        })
        .collect();
    transport.recover(&polynomial, &derivation, &shares).map(|key| *key.as_bytes())
}

/// Stops a validator and starts it on an empty disk, without its shares of the genesis.
async fn wipe(net: &mut Net, context: &Context, handles: &mut [Option<ValidatorHandle>], index: usize) {
    let height = net.height(index);
    handles[index].take().unwrap().stop().await;
    net.readdress(index);
    let mut settings = net.validator(index);
    (settings.partition, settings.shares) = (format!("wiped-{index}-{height}"), None);
    handles[index] = Some(net.start_with(context, index, settings).await);
}

#[test]
fn every_disk_is_lost_in_turn_and_the_app_keeps_its_key() {
    let mut net = stage::network(4, 11, 50);
    runner(11).start(async move |context: Context| {
        let mut handles = start_all(&net, &context).await;
        net.reach(&context, &[0, 1, 2, 3], 4, LIMIT).await;
        let first = release(&handles.iter().flatten().collect::<Vec<_>>()).unwrap();
        for index in 0..4 {
            wipe(&mut net, &context, &mut handles, index).await;
            let lost = in_force(handles[index].as_ref().unwrap());
            assert!(lost.derivation_share.is_none(), "its share came back from nowhere");
            // The other three release the key meanwhile.
            let others: Vec<_> = (0..4).filter(|other| *other != index).collect();
            let rest: Vec<_> = others.iter().map(|other| handles[*other].as_ref().unwrap()).collect();
            assert_eq!(release(&rest).unwrap(), first, "without validator {index}");
            // It has a share again once a round that it could take part in has closed.
            let from = others.iter().map(|other| net.height(*other)).max().unwrap() / TERM;
            let mut term = from + 1;
            while in_force(handles[index].as_ref().unwrap()).derivation_share.is_none() {
                assert!(term <= from + 4, "validator {index} has no share after four terms");
                net.reach(&context, &[0, 1, 2, 3], term * TERM + 4, LIMIT).await;
                term += 1;
            }
            net.reach(&context, &[0, 1, 2, 3], term * TERM + 4, LIMIT).await;
        }
        let all: Vec<_> = handles.iter().flatten().collect();
        assert!(all.iter().all(|handle| in_force(handle).derivation_share.is_some()));
        for left_out in 0..4 {
            let three: Vec<_> = (0..4).filter(|index| *index != left_out).map(|index| all[index]).collect();
            assert_eq!(release(&three).unwrap(), first, "the quorum without {left_out} makes another key");
        }
    });
}

#[test]
fn two_disks_at_once_are_more_than_may_be_lost() {
    let mut net = stage::network(4, 12, 50);
    runner(12).start(async move |context: Context| {
        let mut handles = start_all(&net, &context).await;
        net.reach(&context, &[0, 1, 2, 3], 4, LIMIT).await;
        wipe(&mut net, &context, &mut handles, 2).await;
        wipe(&mut net, &context, &mut handles, 3).await;
        let rest: Vec<_> = handles[..2].iter().flatten().collect();
        assert_eq!(release(&rest), Err(ThresholdError::TooFew { count: 2, threshold: 3 }));
        // Nothing is signed any more either: the chain stands, and no round can give shares back.
        let stands = net.height(0);
        context.sleep(Duration::from_secs(20)).await;
        assert!(net.height(0) <= stands + 3, "a chain without a quorum of shares goes on");
        assert!(handles.iter().flatten().filter(|handle| in_force(handle).derivation_share.is_some()).count() == 2);
    });
}
