//! Which rounds may be signed in, and what a restart leaves of it.
#![allow(clippy::unwrap_used)]

use commonware_runtime::{
    Runner as _, Supervisor as _,
    deterministic::{Config as RunnerConfig, Runner},
};

use super::*;

const ONE: Digest = Digest([1; 32]);
const OTHER: Digest = Digest([2; 32]);

#[test]
fn one_payload_a_round() {
    let mut rounds = Rounds::new(None);
    assert_eq!(rounds.ask((0, 5), ONE), Answer::Reserve((0, 5 + VIEWS_RESERVED - 1)));
    assert_eq!(rounds.ask((0, 5), ONE), Answer::Grant);
    assert_eq!(rounds.ask((0, 5), OTHER), Answer::Refuse);
    assert_eq!(rounds.ask((0, 4), OTHER), Answer::Refuse);
    assert_eq!(rounds.ask((0, 6), OTHER), Answer::Grant);
    assert_eq!(rounds.ask((0, 5), ONE), Answer::Refuse);
}

#[test]
fn reserves_for_some_views_and_for_each_term() {
    let mut rounds = Rounds::new(None);
    assert_eq!(rounds.ask((0, 1), ONE), Answer::Reserve((0, VIEWS_RESERVED)));
    assert_eq!(rounds.ask((0, VIEWS_RESERVED), ONE), Answer::Grant);
    let next = VIEWS_RESERVED + 1;
    assert_eq!(rounds.ask((0, next), ONE), Answer::Reserve((0, next + VIEWS_RESERVED - 1)));
    assert_eq!(rounds.ask((1, 1), ONE), Answer::Reserve((1, VIEWS_RESERVED)));
    assert_eq!(rounds.ask((0, 10_000), ONE), Answer::Refuse);
}

#[test]
fn what_was_reserved_is_given_up_after_a_restart() {
    let mut rounds = Rounds::new(Some((2, 40)));
    for round in [(1, 1_000), (2, 1), (2, 40)] {
        assert_eq!(rounds.ask(round, ONE), Answer::Refuse, "{round:?}");
    }
    assert_eq!(rounds.ask((2, 41), ONE), Answer::Reserve((2, 40 + VIEWS_RESERVED)));
}

#[test]
fn a_reservation_survives_a_power_cut() {
    let runner = Runner::new(RunnerConfig::new().with_seed(1));
    let (answers, checkpoint) =
        runner.start_and_recover(async |context: commonware_runtime::deterministic::Context| {
            let (watermark, permits) = Watermark::open(context.child("watermark"), "signed".to_owned()).await.unwrap();
            let task = futures::FutureExt::fuse(watermark.run());
            futures::pin_mut!(task);
            let asks = async {
                let mut answers = Vec::new();
                for (view, payload) in [(3, ONE), (3, OTHER), (4, OTHER)] {
                    answers.push(permits.may_sign((0, view), payload).await);
                }
                answers
            };
            futures::pin_mut!(asks);
            match futures::future::select(task, asks).await {
                futures::future::Either::Right((answers, _)) => answers,
                futures::future::Either::Left(_) => Vec::new(),
            }
        });
    assert_eq!(answers, [true, false, true]);
    Runner::from(checkpoint).start(async |context: commonware_runtime::deterministic::Context| {
        let (watermark, _) = Watermark::open(context.child("watermark"), "signed".to_owned()).await.unwrap();
        assert_eq!(watermark.rounds, Rounds::new(Some((0, 3 + VIEWS_RESERVED - 1))));
    });
}
