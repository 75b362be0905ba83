//! Whatever people do, and in whatever order: the market holds exactly what it owes.

use alloy_primitives::U256;
use freehold_ledger::MARKET;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    common::{address, key},
    market::support::{BOND, IMarket, Market, NATIVE, PRICE, RENTER, STRANGER, coins, id_of, terms},
    registry::{Draft, IApps, OWNER, PROVIDER},
};

const STEPS: usize = 120;
const PEOPLE: [u8; 3] = [PROVIDER, RENTER, STRANGER];

/// Credits, bonds, and what is in escrow, against what the market has.
fn check(market: &Market, draft_time: u64, seed: u64) {
    let mut owed: U256 = PEOPLE.iter().map(|seed| market.credit(*seed, NATIVE)).sum();
    owed += coins(market.bond().0);
    let (mut locked, mut served) = (0, 0);
    for id in 1..=market.view(MARKET, IMarket::rentalCountCall {}) {
        let rental = market.rental(id);
        served += rental.secondsPaid;
        locked += if rental.bonded { BOND } else { 0 };
        assert!(rental.secondsPaid <= rental.endsAt - rental.startsAt, "seed {seed}: paid beyond the escrow");
        if rental.endedAt == 0 {
            owed += coins(u128::from(rental.endsAt - rental.startsAt - rental.secondsPaid) * PRICE);
        }
    }
    assert_eq!(market.holds(), owed, "seed {seed}: the market holds what it owes");
    assert_eq!(market.bond().1, locked, "seed {seed}: what is locked is at stake");
    assert_eq!(market.reputation().secondsServed, served, "seed {seed}");
    assert!(served <= draft_time, "seed {seed}: {served} s paid of {draft_time} s that instances can have lived");
}

#[test]
fn no_coin_is_made_or_lost_and_no_second_paid_twice() {
    for seed in 1..=3 {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut market = Market::new();
        market.offer(IMarket::Terms { bond: BOND, exclusive: seed == 2, ..terms() }).unwrap();
        let mut drafts: Vec<Draft> = Vec::new();
        // Registrations and renewals give each instance 300 s at most: more seconds than these can never be paid.
        let (mut live, mut next, mut done) = (0, 0x21, 0);
        for _ in 0..STEPS {
            // Mostly the newest of each, so that steps meet what still lives; at times any, or none.
            let count = market.view(MARKET, IMarket::rentalCountCall {});
            let any = chance.random_range(0..4_u8) == 0;
            let id = if any { chance.random_range(0..=count) } else { count - chance.random_range(0..2).min(count) };
            let place = if any { chance.random_range(0..=drafts.len()) } else { drafts.len().saturating_sub(1) };
            let draft = drafts.get(place).cloned();
            let worked = match chance.random_range(0..15_u8) {
                0 | 1 => market.rent(1, chance.random_range(10..800)).is_ok(),
                2 => {
                    let more = chance.random_range(1..300_u32);
                    let call = IMarket::topUpCall { id, secondsMore: more };
                    market.pay(RENTER, MARKET, call, u128::from(more) * PRICE).is_ok()
                }
                3 if drafts.len() < 12 => {
                    drafts.push(market.register(next));
                    (next, live) = (next + 1, live + 301);
                    true
                }
                4 if draft.as_ref().is_some_and(|draft| market.standing(draft).isLive) => {
                    let draft = draft.unwrap();
                    let before = market.standing(&draft).expiresAt;
                    market.renew(&draft);
                    live += market.standing(&draft).expiresAt - before;
                    true
                }
                5..=7 => draft.is_some_and(|draft| market.attach(id, &draft).is_ok()),
                8 => market.send(PROVIDER, IMarket::detachCall { id }).is_ok(),
                9 => market.settle(id).is_ok(),
                10 => market.send(RENTER, IMarket::cancelCall { id }).is_ok(),
                11 => market.send(STRANGER, IMarket::finishCall { id }).is_ok(),
                12 => {
                    let from = PEOPLE[chance.random_range(0..PEOPLE.len())];
                    let call = IMarket::withdrawCall { token: NATIVE, to: address(&key(0x71)) };
                    market.send(from, call).is_ok()
                }
                13 => draft.is_some_and(|draft| close(&mut market, id, &draft, chance.random())),
                _ => {
                    market.pass(chance.random_range(1..120));
                    market.send(STRANGER, IMarket::freeBondCall { id }).is_ok()
                }
            };
            done += usize::from(worked);
            check(&market, live, seed);
        }
        println!("seed {seed}: {done} of {STEPS} steps did something; {} s paid", market.reputation().secondsServed);
        assert!(done > STEPS / 5, "seed {seed}: {done} steps did something");
        assert!(market.reputation().secondsServed > 0, "seed {seed}: nothing was ever paid");
    }
}

/// Closes an instance, and shows its header for a rental; answers whether that one was served by it.
fn close(market: &mut Market, id: u64, draft: &Draft, by_owner: bool) -> bool {
    let instance = id_of(draft);
    let closed = if by_owner {
        let app = market.app();
        market.registry.apps(OWNER, IApps::revokeCall { app, instance, reason: 0 })
    } else {
        market.registry.apps(PROVIDER, IApps::deregisterCall { instance })
    };
    let Ok(block) = closed else { return false };
    let header = market.header(block.header.number);
    market.send(STRANGER, IMarket::settleClosedCall { id, header }).is_ok()
}
